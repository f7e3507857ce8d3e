internal import Base
internal import Gateway

/// Keeps one program running for all registrations of an app, and passes on what is said on either side. Starting the
/// program happens on a thread of its own; what it says is taken on the program's thread.
final class ExecHub: Sendable {
    /// What a watcher is told.
    enum Input: Sendable {
        case watching
        case batch(ExecMessage.Batch, run: Int)
        case failure(MonitorFailure)
    }

    private struct Entry {
        let registration: ExecRegistration
        let host: any MonitorHost
        let ticket: UInt64
        let feed: AsyncStream<Input>.Continuation
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var lastTicket: UInt64 = 0
        var program: ChildProgram?
        /// Counts the starts.
        var run = 0
        var isReady = false
        var heard = Moment(nanoseconds: 0)
    }

    /// Batches of a registration that may wait for the host: a program sends no more before they are acknowledged.
    static let unacknowledgedLimit = 8

    private let settings: ExecMonitor.Settings
    private let time: any TimeSource
    private let log: Log
    private let state = Locked(State())
    private let errorLines = Locked(ExecLineBudget())
    /// Raised by the first registration: a configuration that is only checked starts nothing.
    private let wanted = ShutdownSignal()

    init(_ settings: ExecMonitor.Settings, time: any TimeSource, log: Log) {
        (self.settings, self.time, self.log) = (settings, time, log)
    }

    /// The program's number, for tests that stop it.
    var processID: Int32? { state.withLock { $0.program?.processID } }

    // MARK: Registrations

    /// Hands a registration to the program, now or when it starts.
    func join(_ registration: ExecRegistration, _ host: any MonitorHost) -> (ticket: UInt64, inputs: AsyncStream<Input>)
    {
        // Two more than batches: the watching before them and the failure behind.
        let (inputs, feed) = AsyncStream.makeStream(
            of: Input.self, bufferingPolicy: .bufferingOldest(Self.unacknowledgedLimit + 2))
        let ticket = state.withLock { state in
            state.lastTicket += 1
            state.entries[registration.id] = Entry(
                registration: registration, host: host, ticket: state.lastTicket, feed: feed)
            if let program = state.program { Self.add(registration, to: program, feed) }
            return state.lastTicket
        }
        wanted.raise()
        return (ticket, inputs)
    }

    /// Takes a registration back, unless another watcher has taken it over.
    func leave(_ id: String, _ ticket: UInt64) {
        state.withLock { state in
            guard state.entries[id]?.ticket == ticket else { return }
            state.entries[id] = nil
            _ = state.program?.send(Self.line("remove", ["id": .string(id)]))
        }
    }

    /// A batch is stored.
    func acknowledge(_ batch: String, run: Int) {
        state.withLock { state in
            guard state.run == run else { return }
            _ = state.program?.send(Self.line("ack", ["batch": .string(batch)]))
        }
    }

    /// Has the program look for news of everybody each `poll`, whatever its source has told it.
    private func pollAgainAndAgain() async {
        while true {
            do {
                try await time.sleep(for: settings.poll)
            } catch {
                return
            }
            state.withLock { state in
                for id in state.entries.keys { _ = state.program?.send(Self.line("poll", ["id": .string(id)])) }
            }
        }
    }

    private static func line(_ kind: String, _ object: JSONObject) -> [UInt8] {
        JSON.object([kind: .object(object)]).serializedBytes
    }

    private static func add(
        _ registration: ExecRegistration, to program: ChildProgram, _ feed: AsyncStream<Input>.Continuation
    ) {
        let line = JSON.object(["add": registration.json]).serializedBytes
        send([line] + registration.secretLines, to: program, feed)
    }

    private static func send(
        _ lines: [[UInt8]], to program: ChildProgram, _ feed: AsyncStream<Input>.Continuation
    ) {
        for line in lines where line.count > ExecRegistration.lineLimit || !program.send(line) {
            feed.yield(.failure(MonitorFailure(.network, "the program does not take what it is sent")))
            return
        }
    }

    // MARK: The program

    /// Keeps the program running until cancelled, and then ends it.
    func run() async throws {
        let thread = WorkThread(name: "monitor-exec")
        defer { thread.stop() }
        var pace = ExecPace()
        await wanted.wait()
        while true {
            try Task.checkCancellation()
            let hasWorked = await serve(on: thread)
            try Task.checkCancellation()
            try await time.sleep(for: pace.ended(hasWorked: hasWorked, jitter: Double.random(in: 0...1)))
        }
    }

    /// One life of the program; returns whether it was ready once.
    private func serve(on thread: WorkThread) async -> Bool {
        let ended = ShutdownSignal()
        guard let program = await start(on: thread, ended) else { return false }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await ended.wait() }
            group.addTask { await self.watchOver(program) }
            group.addTask { await self.pollAgainAndAgain() }
            await group.next()
            group.cancelAll()
        }
        if Task.isCancelled {
            _ = program.send(JSON.object(["shutdown": .integer(1)]).serializedBytes)
            program.stop()
        }
        // No program outlives us. SIGKILL bounds it.
        await uncancelled { await ended.wait() }
        return state.withLock { state in
            defer { (state.program, state.isReady) = (nil, false) }
            return state.isReady
        }
    }

    private func start(on thread: WorkThread, _ ended: ShutdownSignal) async -> ChildProgram? {
        let run = state.withLock { state in
            state.run += 1
            (state.isReady, state.heard) = (false, time.now)
            return state.run
        }
        let started = await withCheckedContinuation {
            (answer: CheckedContinuation<Result<ChildProgram, ChildProgramError>?, Never>) in
            let isTaken = thread.submit { [self] in
                answer.resume(
                    returning: Result { () throws(ChildProgramError) in
                        try ChildProgram(settings.command, limits: settings.limits, time: time) { [weak self] event in
                            self?.handle(event, run: run, ended)
                        }
                    })
            }
            if !isTaken { answer.resume(returning: nil) }
        }
        switch started {
        case .success(let program)?:
            log.info(.programStarted, "The program was started", ["processId": .integer(Int64(program.processID))])
            greet(program)
            return program
        case .failure(let error)?:
            log.error(.programEnded, "The program cannot be started", ["error": .string(error.message)])
            fail(MonitorFailure(.network, "the program cannot be started"))
            return nil
        case nil: return nil
        }
    }

    /// The first line, and whatever has no room in it.
    private func greet(_ program: ChildProgram) {
        state.withLock { state in
            state.program = program
            var (greeted, rest, size) = ([JSON](), [Entry](), 0)
            for entry in state.entries.values.sorted(by: { $0.ticket < $1.ticket }) {
                let json = entry.registration.json
                size += json.serializedBytes.count + 1
                if size < ExecRegistration.lineLimit - 100 { greeted.append(json) } else { rest.append(entry) }
            }
            let names = Set(greeted.compactMap { $0["id"]?.string })
            _ = program.send(
                JSON.object(["hello": .integer(1), "registrations": .array(greeted)]).serializedBytes)
            for entry in state.entries.values where names.contains(entry.registration.id) {
                Self.send(entry.registration.secretLines, to: program, entry.feed)
            }
            for entry in rest { Self.add(entry.registration, to: program, entry.feed) }
        }
    }

    /// Kills a program that says nothing for too long.
    private func watchOver(_ program: ChildProgram) async {
        while true {
            let due = state.withLock { $0.heard } + settings.heartbeat
            guard time.now < due else {
                log.warning(
                    .programMisspoke, "The program says nothing any more; it is ended", ["error": "no_heartbeat"])
                program.kill()
                return
            }
            do {
                try await time.sleep(until: due)
            } catch {
                return
            }
        }
    }

    /// Ends all watching; the host decides when to begin again.
    private func fail(_ failure: MonitorFailure) {
        let feeds = state.withLock { $0.entries.values.map(\.feed) }
        for feed in feeds { feed.yield(.failure(failure)) }
    }

    // MARK: On the program's thread

    private func handle(_ event: ChildProgram.Event, run: Int, _ ended: ShutdownSignal) {
        switch event {
        case .line(let line): take(line, run: run)
        case .errorLine(let line): tell(line)
        case .lineTooLong:
            log.warning(.programMisspoke, "The program's line is too long; it is ended", ["error": "line_too_long"])
        case .ended(let exit):
            log.info(.programEnded, "The program has ended", ["exit": .string(exit.description)])
            fail(MonitorFailure(.network, "the program has ended: \(exit)"))
            ended.raise()
        }
    }

    private func take(_ line: [UInt8], run: Int) {
        let message: ExecMessage
        do {
            message = try ExecMessage(line)
        } catch {
            log.warning(
                .programMisspoke, "A line of the program's is no JSON object; it is ended", ["error": "no_json"])
            fail(MonitorFailure(.protocolViolation, "the program said what is no JSON object"))
            state.withLock { $0.program }?.kill()
            return
        }
        let hosts = state.withLock { state -> [any MonitorHost] in
            state.heard = time.now
            if message == .ready { state.isReady = true }
            return message == .heartbeat ? state.entries.values.map(\.host) : []
        }
        for host in hosts { host.heard() }
        switch message {
        case .ready, .heartbeat, .unknown: break
        case .watching(let reg): pass(.watching, to: reg)
        case .batch(let reg, let batch): pass(.batch(batch, run: run), to: reg)
        case .error(let reg, let trouble):
            let secrets = state.withLock { $0.entries[reg]?.registration.secrets ?? [] }
            let failure = trouble.failure(now: time.now, hiding: secrets.map(\.value.exposed))
            pass(
                .failure(failure ?? MonitorFailure(.protocolViolation, "the program named an unknown kind of error")),
                to: reg)
        case .wrong(let reg, let what):
            pass(.failure(MonitorFailure(.protocolViolation, "the program sent \(what)")), to: reg)
        }
    }

    private func pass(_ input: Input, to reg: String) {
        // What is said of a registration that has left is late, and nothing else.
        guard let feed = state.withLock({ $0.entries[reg]?.feed }) else { return }
        if case .dropped = feed.yield(input) {
            log.warning(
                .programMisspoke, "The program does not wait for acknowledgements; its registration is taken back",
                ["error": "too_many_batches", "registration.id": .string(reg)])
            feed.finish()
        }
    }

    /// What the program complains of: at debug only, as it may name anybody.
    private func tell(_ line: [UInt8]) {
        guard errorLines.withLock({ [now = time.now] in $0.spend(now: now) }) else { return }
        var text = String(decoding: line, as: UTF8.self)
        let secrets = state.withLock { $0.entries.values.flatMap { $0.registration.secrets.map(\.value) } }
        for secret in secrets where !secret.isEmpty { text = text.replacing(secret.exposed, with: "***") }
        log.debug(.programSaid, "The program wrote to its standard error", ["text": .personal(text)])
    }
}
