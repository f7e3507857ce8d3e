internal import Base
internal import Gateway

/// Keeps the program running and matches its answers to the requests. The program is started by the first
/// request; starting and writing happen on a thread of the runner's own.
final class ExecRunner: Sendable {
    struct Settings: Sendable {
        var command: ChildProgram.Command
        /// From the request to its answer.
        var timeout: Duration
        /// Values that no log line may show.
        var secrets: [String] = []
        var limits = ChildProgram.Limits()
    }

    private struct Request {
        let line: [UInt8]
        let continuation: CheckedContinuation<PushReport, Never>
        /// The run of the program it was written to; nil while it was not.
        var run: Int?
    }

    private struct State {
        var lastRequest: UInt64 = 0
        var requests: [String: Request] = [:]
        /// Made with the first request: a configuration that is only checked starts nothing.
        var thread: WorkThread?
        /// Counts the starts.
        var run = 0
        /// The last one that has ended.
        var endedRun = 0
        var program: ChildProgram?
        /// When it last said something that counts, or began.
        var heard = Moment(nanoseconds: 0)
        var hasAnswered = false
        var pace = RestartPace()
        var isStopping = false
    }

    private let settings: Settings
    private let time: any TimeSource
    private let log: Log
    private let errorLines: Locked<LineBudget>
    private let state = Locked(State())
    /// The program has ended after it was asked to.
    private let over = ShutdownSignal()

    init(_ settings: Settings, time: any TimeSource, log: Log) {
        (self.settings, self.time, self.log) = (settings, time, log)
        errorLines = Locked(LineBudget())
    }

    /// Has the program carry a request, and returns what it says of it.
    /// - Parameter body: the request without its id.
    func ask(_ body: JSONObject) async -> PushReport {
        let id = state.withLock { state in
            state.lastRequest += 1
            return String(state.lastRequest)
        }
        var request: JSONObject = ["id": .string(id)]
        request.members += body.members
        let line = JSON.object(request).serializedBytes
        return await withTaskGroup(of: PushReport?.self) { group in
            group.addTask { await self.answer(to: id, line) }
            group.addTask { [time, settings] in
                // Cancelled when the answer is there.
                guard (try? await time.sleep(for: settings.timeout)) != nil else { return nil }
                self.timedOut(id)
                return nil
            }
            while let result = await group.next() {
                guard let report = result else { continue }
                group.cancelAll()
                return report
            }
            return Self.cancelled
        }
    }

    private static let cancelled = PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service)

    private func answer(to id: String, _ line: [UInt8]) async -> PushReport {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let thread = state.withLock { state in
                    state.requests[id] = Request(line: line, continuation: continuation)
                    let thread = state.thread ?? WorkThread(name: "push-exec")
                    state.thread = thread
                    return thread
                }
                // A cancellation that came before found no request to end.
                if Task.isCancelled {
                    settle(id, Self.cancelled)
                } else if !thread.submit({ [weak self] in self?.write(id) }) {
                    settle(id, Self.trouble("overloaded"))
                }
            }
        } onCancel: {
            settle(id, Self.cancelled)
        }
    }

    private static func trouble(_ reason: String, after: Duration? = nil) -> PushReport {
        PushReport(.retry(after: after, .service), reason: reason, hop: .service)
    }

    /// Gives a request its report, if it still waits for one.
    @discardableResult
    private func settle(_ id: String, _ report: PushReport) -> Bool {
        let request = state.withLock { $0.requests.removeValue(forKey: id) }
        request?.continuation.resume(returning: report)
        return request != nil
    }

    /// Ends the program in order: its input ends, and it may finish what it has. Returns when it has ended, which
    /// SIGKILL sees to in the end.
    func stop() async {
        let program = state.withLock { state -> ChildProgram? in
            state.isStopping = true
            return state.program
        }
        guard let program else { return }
        program.stop()
        await over.wait()
    }

    /// Whether the program runs.
    var isRunning: Bool { state.withLock { $0.program != nil } }

    // MARK: On the runner's thread

    private func write(_ id: String) {
        guard let program = running(for: id) else { return }
        let line = state.withLock { state -> [UInt8]? in
            state.requests[id]?.run = state.run
            return state.requests[id]?.line
        }
        guard let line else { return }
        if !program.send(line) { settle(id, Self.trouble("program_busy")) }
    }

    /// The program, started if it is time to; else the request is settled.
    private func running(for id: String) -> ChildProgram? {
        let now = time.now
        let (program, pause, isStopping, run) = state.withLock { state in
            if state.program == nil, state.pace.pause(now: now) == nil, !state.isStopping { state.run += 1 }
            return (state.program, state.pace.pause(now: now), state.isStopping, state.run)
        }
        if let program { return program }
        if isStopping {
            settle(id, PushReport(.retry(after: nil, .device), reason: "stopped", hop: .service))
            return nil
        }
        if let pause {
            settle(id, Self.trouble("program_ended", after: pause))
            return nil
        }
        do {
            let program = try ChildProgram(settings.command, limits: settings.limits, time: time) { [weak self] event in
                self?.handle(event, run: run)
            }
            log.info(
                .pushProgramStarted, "The program was started", ["processId": .integer(Int64(program.processID))])
            let isLate = state.withLock { state in
                (state.heard, state.hasAnswered) = (now, false)
                // Its end is told on another thread and may have been told already.
                if state.endedRun < run { state.program = program }
                return state.isStopping
            }
            if isLate { program.stop() }
            return program
        } catch {
            state.withLock { $0.pace.ended(isRegular: false, hasAnswered: false, now: now) }
            log.error(.pushProgramEnded, "The program cannot be started", ["error": .string(error.message)])
            settle(id, Self.trouble("program_not_started"))
            return nil
        }
    }

    // MARK: On the program's thread

    private func handle(_ event: ChildProgram.Event, run: Int) {
        switch event {
        case .line(let line): take(line)
        case .errorLine(let line): tell(line)
        case .lineTooLong:
            log.warning(.pushProgramMisspoke, "The program's line is too long; it is ended", ["error": "line_too_long"])
        case .ended(let exit): ended(exit, run: run)
        }
    }

    private func take(_ line: [UInt8]) {
        do {
            let answer = try ExecAnswer(line)
            state.withLock { state in
                (state.heard, state.hasAnswered) = (time.now, true)
            }
            // One that nobody waits for came after its time.
            if settle(answer.id, answer.report), answer.report.reason == "bad_answer" {
                log.warning(
                    .pushProgramMisspoke, "An answer of the program's has unknown members or values",
                    ["error": "bad_answer"])
            }
        } catch {
            log.warning(
                .pushProgramMisspoke, "A line of the program's is no answer", ["error": .string(error.message)])
        }
    }

    /// What the program complains of: at debug only, as it may name anybody.
    private func tell(_ line: [UInt8]) {
        guard errorLines.withLock({ [now = time.now] in $0.spend(now: now) }) else { return }
        var text = String(decoding: line, as: UTF8.self)
        for secret in settings.secrets where !secret.isEmpty { text = text.replacing(secret, with: "***") }
        log.debug(.pushProgramSaid, "The program wrote to its standard error", ["text": .personal(text)])
    }

    private func ended(_ exit: ChildProgram.Exit, run: Int) {
        let now = time.now
        let (orphans, isWanted) = state.withLock { state -> ([String], Bool) in
            state.program = nil
            state.endedRun = run
            let orphans = state.requests.filter { $0.value.run == run }.map(\.key)
            state.pace.ended(
                isRegular: exit == .code(0) && orphans.isEmpty, hasAnswered: state.hasAnswered, now: now)
            return (orphans, state.isStopping)
        }
        let fields: LogFields = ["exit": .string(exit.description), "unanswered": .count(orphans.count)]
        if isWanted || (exit == .code(0) && orphans.isEmpty) {
            log.info(.pushProgramEnded, "The program has ended", fields)
        } else {
            log.warning(.pushProgramEnded, "The program has ended and is started again later", fields)
        }
        // Last: whoever waits finds it said.
        for id in orphans { settle(id, Self.trouble("program_ended")) }
        if isWanted { over.raise() }
    }

    // MARK: Time-outs

    private func timedOut(_ id: String) {
        guard settle(id, Self.trouble("timeout")) else { return }
        let hung = state.withLock { [timeout = settings.timeout, now = time.now] state in
            now - state.heard >= timeout ? state.program : nil
        }
        guard let hung else { return }
        log.warning(.pushProgramMisspoke, "The program answers nothing any more; it is ended", ["error": "timeout"])
        hung.kill()
    }
}

/// How many lines of a standard error are logged: so many a minute.
private struct LineBudget {
    static let linesPerMinute = 60

    private var began: Moment?
    private var spent = 0

    mutating func spend(now: Moment) -> Bool {
        if began.map({ now - $0 >= .seconds(60) }) ?? true { (began, spent) = (now, 0) }
        spent += 1
        return spent <= Self.linesPerMinute
    }
}

extension LogEvent {
    static let pushProgramStarted = LogEvent("push.program_started")
    static let pushProgramEnded = LogEvent("push.program_ended")
    static let pushProgramSaid = LogEvent("push.program_said")
    static let pushProgramMisspoke = LogEvent("push.program_misspoke")
}
