internal import Base
internal import Gateway

/// One run of a program by the one-shot contract: everything on its input, news on its output, the rest in its exit
/// status.
final class ExecOnce: Sendable {
    private struct State {
        var lines: [[UInt8]] = []
        var bytes = 0
        var isTooMuch = false
        var exit: ChildProgram.Exit?
        var isOutOfTime = false
    }

    struct Outcome: Sendable {
        var lines: [[UInt8]]
        var exit: ChildProgram.Exit
    }

    /// Bytes of all that a run may print.
    static let outputLimit = 8 << 20

    private let state = Locked(State())
    private let ended = ShutdownSignal()

    /// Runs the program and waits for its end, which comes within twice the timeout in any case.
    /// - Throws: `MonitorFailure`; `CancellationError`, after the program has ended.
    static func run(
        _ registration: ExecRegistration, _ settings: ExecMonitor.Settings, on thread: WorkThread,
        time: any TimeSource, said: @escaping @Sendable ([UInt8]) -> Void
    ) async throws -> Outcome {
        let once = ExecOnce()
        var limits = settings.limits
        limits.grace = settings.timeout
        let program = try await once.start(settings.command, limits, on: thread, time, said)
        for line in registration.oneShotLines { _ = program.send(line) }
        // The end of its input; a program that does not end by itself gets signals after the time-out.
        program.stop()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await once.ended.wait() }
            group.addTask {
                do {
                    try await time.sleep(for: settings.timeout)
                } catch {
                    return
                }
                once.state.withLock { $0.isOutOfTime = $0.exit == nil }
            }
            await group.next()
            group.cancelAll()
        }
        program.kill()
        // No program outlives us.
        await uncancelled { await once.ended.wait() }
        try Task.checkCancellation()
        return try once.outcome()
    }

    private func start(
        _ command: ChildProgram.Command, _ limits: ChildProgram.Limits, on thread: WorkThread, _ time: any TimeSource,
        _ said: @escaping @Sendable ([UInt8]) -> Void
    ) async throws -> ChildProgram {
        let started = await withCheckedContinuation {
            (answer: CheckedContinuation<Result<ChildProgram, ChildProgramError>?, Never>) in
            let isTaken = thread.submit { [self] in
                answer.resume(
                    returning: Result { () throws(ChildProgramError) in
                        try ChildProgram(command, limits: limits, time: time) { [self] in handle($0, said) }
                    })
            }
            if !isTaken { answer.resume(returning: nil) }
        }
        switch started {
        case .success(let program)?: return program
        case .failure?: throw MonitorFailure(.network, "the program cannot be started")
        case nil: throw MonitorFailure(.network, "too many programs wait for their start")
        }
    }

    private func handle(_ event: ChildProgram.Event, _ said: ([UInt8]) -> Void) {
        switch event {
        case .line(let line):
            state.withLock { state in
                state.bytes += line.count
                if state.bytes > Self.outputLimit { state.isTooMuch = true } else { state.lines.append(line) }
            }
        case .errorLine(let line): said(line)
        case .lineTooLong: state.withLock { $0.isTooMuch = true }
        case .ended(let exit):
            state.withLock { $0.exit = exit }
            ended.raise()
        }
    }

    private func outcome() throws(MonitorFailure) -> Outcome {
        let state = state.withLock { $0 }
        if state.isOutOfTime { throw MonitorFailure(.network, "the program did not end in time") }
        if state.isTooMuch { throw MonitorFailure(.protocolViolation, "the program printed too much") }
        return Outcome(lines: state.lines, exit: state.exit ?? .signal(9))
    }
}
