internal import Glibc

/// Serves one started program on a thread of its own: reads, writes, ends it.
final class ProgramServer: Sendable {
    private struct Inbox {
        /// To be written.
        var waiting: [UInt8] = []
        var isStopping = false
        /// Nothing more will be written to it.
        var isInputOver = false
        var isKilled = false
        var hasExited = false
        /// The thread has gone: nothing is taken any more.
        var isOver = false
    }

    private let spawned: ProgramSpawn.Spawned
    private let limits: ChildProgram.Limits
    private let time: any TimeSource
    private let handler: @Sendable (ChildProgram.Event) -> Void
    private let inbox = Locked(Inbox())
    private var doorbell: Doorbell { spawned.doorbell }

    init(
        _ spawned: ProgramSpawn.Spawned, limits: ChildProgram.Limits, time: any TimeSource,
        handler: @escaping @Sendable (ChildProgram.Event) -> Void
    ) {
        (self.spawned, self.limits, self.time, self.handler) = (spawned, limits, time, handler)
    }

    func start() {
        let processID = spawned.processID
        SystemThread.start(name: "program", stackBytes: 262_144) { [self] in serve() }
        SystemThread.start(name: "program-wait", stackBytes: 65_536) { [self] in
            // It stays a zombie, so that its number and group cannot become somebody else's meanwhile.
            var info = unsafe siginfo_t()
            while unsafe waitid(P_PID, id_t(processID), &info, WEXITED | Int32(WNOWAIT)) != 0 && errno == EINTR {}
            inbox.withLock { $0.hasExited = true }
            doorbell.ring()
        }
    }

    func send(_ bytes: [UInt8]) -> Bool {
        let isTaken = inbox.withLock { [limit = limits.waitingBytes] inbox in
            guard !inbox.isOver, !inbox.isInputOver, !inbox.isStopping, !inbox.isKilled, !inbox.hasExited,
                inbox.waiting.count + bytes.count <= limit
            else { return false }
            inbox.waiting.append(contentsOf: bytes)
            return true
        }
        if isTaken { doorbell.ring() }
        return isTaken
    }

    func finishInput() {
        inbox.withLock { $0.isInputOver = true }
        doorbell.ring()
    }

    func stop() {
        inbox.withLock { $0.isStopping = true }
        doorbell.ring()
    }

    func kill() {
        inbox.withLock { $0.isKilled = true }
        doorbell.ring()
    }

    // MARK: On the program's thread

    private struct Wires {
        var input: Int32
        var output: Int32
        var errors: Int32
        var outputLines: LineSplitter
        var errorLines: LineSplitter
        /// Taken from the inbox and not written yet.
        var outgoing: ArraySlice<UInt8> = []
        var signalsSent = 0
        var nextSignal: Moment?
    }

    private func serve() {
        var wires = Wires(
            input: spawned.input, output: spawned.output, errors: spawned.errors,
            outputLines: LineSplitter(limit: limits.lineBytes),
            errorLines: LineSplitter(limit: limits.errorLineBytes))
        while true {
            let (isInputOver, isStopping, isKilled, hasExited) = inbox.withLock { inbox in
                if wires.outgoing.isEmpty {
                    wires.outgoing = inbox.waiting[...]
                    inbox.waiting = []
                }
                return (inbox.isInputOver, inbox.isStopping, inbox.isKilled, inbox.hasExited)
            }
            if hasExited { break }
            if isKilled { signalGroup(SIGKILL) }
            write(&wires)
            if isInputOver, wires.outgoing.isEmpty { Self.close(&wires.input) }
            if isStopping { escalate(&wires) }
            wait(&wires)
            read(&wires)
        }
        finish(&wires)
    }

    /// Waits until something can be read or written, somebody rings or a signal is due.
    private func wait(_ wires: inout Wires) {
        var descriptors = [
            pollfd(fd: doorbell.listening, events: Int16(POLLIN), revents: 0),
            // A negative descriptor is passed over (poll(2)).
            pollfd(fd: wires.output, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wires.errors, events: Int16(POLLIN), revents: 0),
            pollfd(fd: wires.outgoing.isEmpty ? -1 : wires.input, events: Int16(POLLOUT), revents: 0),
        ]
        var milliseconds: Int32 = -1
        if let due = wires.nextSignal {
            milliseconds = Int32(max(0, min((due - time.now).milliseconds + 1, 60_000)))
        }
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), milliseconds)
        doorbell.silence()
    }

    private func write(_ wires: inout Wires) {
        while !wires.outgoing.isEmpty, wires.input >= 0 {
            let count = unsafe wires.outgoing.withUnsafeBytes { bytes in
                unsafe Glibc.write(wires.input, bytes.baseAddress, bytes.count)
            }
            if count >= 0 {
                wires.outgoing = wires.outgoing.dropFirst(count)
            } else if errno == EAGAIN {
                return
            } else if errno != EINTR {
                // It reads no more (the signal is blocked on this thread); its end will say the rest.
                Self.close(&wires.input)
                wires.outgoing = []
            }
        }
        if wires.input < 0 { wires.outgoing = [] }
    }

    private func read(_ wires: inout Wires) {
        Self.read(&wires.output) { bytes in
            for piece in wires.outputLines.feed(bytes) {
                switch piece {
                case .line(let line): handler(.line(line))
                case .cut:
                    handler(.lineTooLong)
                    signalGroup(SIGKILL)
                }
            }
        }
        Self.read(&wires.errors) { bytes in
            for piece in wires.errorLines.feed(bytes) {
                switch piece {
                case .line(let line), .cut(let line): handler(.errorLine(line))
                }
            }
        }
    }

    /// Bytes read of one stream before the other one and the orders have their turn.
    private static let readAtOnce = 1 << 20

    /// Reads what is there; closes the descriptor at the stream's end.
    private static func read(_ descriptor: inout Int32, _ take: (ArraySlice<UInt8>) -> Void) {
        var chunk = [UInt8](repeating: 0, count: descriptor >= 0 ? 65_536 : 0)
        var total = 0
        while descriptor >= 0, total < readAtOnce {
            let count = unsafe chunk.withUnsafeMutableBytes { [descriptor] bytes in
                unsafe Glibc.read(descriptor, bytes.baseAddress, bytes.count)
            }
            if count > 0 {
                total += count
                take(chunk[..<count])
            } else if count == 0 || (errno != EINTR && errno != EAGAIN) {
                close(&descriptor)
            } else if errno == EAGAIN {
                return
            }
        }
    }

    /// The steps of a stop: end of input, SIGTERM, SIGKILL.
    private func escalate(_ wires: inout Wires) {
        // What was sent before the stop is still delivered.
        if wires.outgoing.isEmpty, inbox.withLock({ $0.waiting.isEmpty }) { Self.close(&wires.input) }
        guard let due = wires.nextSignal else {
            wires.nextSignal = time.now + limits.grace
            return
        }
        guard time.now >= due else { return }
        signalGroup(wires.signalsSent == 0 ? SIGTERM : SIGKILL)
        wires.signalsSent += 1
        wires.nextSignal = time.now + limits.grace
    }

    private func signalGroup(_ signal: Int32) { _ = Glibc.kill(-spawned.processID, signal) }

    /// The program has ended: its last words, its group, its status.
    private func finish(_ wires: inout Wires) {
        // What it left behind must not hold the pipes open, nor live on unseen.
        signalGroup(SIGKILL)
        read(&wires)
        if let line = wires.outputLines.finish() { handler(.line(line)) }
        if let line = wires.errorLines.finish() { handler(.errorLine(line)) }
        for end in [wires.input, wires.output, wires.errors] where end >= 0 { Glibc.close(end) }
        inbox.withLock { inbox in
            inbox.isOver = true
            inbox.waiting = []
        }
        var status: Int32 = 0
        while unsafe waitpid(spawned.processID, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7F
        handler(.ended(signal == 0 ? .code((status >> 8) & 0xFF) : .signal(signal)))
    }

    private static func close(_ descriptor: inout Int32) {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }
}
