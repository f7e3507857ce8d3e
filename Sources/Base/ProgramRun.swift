/// Runs a program to its end: a line in, lines out, and no longer than allowed.
package struct ProgramRun: Sendable {
    /// Lines of output kept; a program that writes more is ended.
    package static let lineLimit = 10_000

    package struct Output: Sendable {
        package let lines: [String]
        package let errors: [String]
        package let exit: ChildProgram.Exit
    }

    /// Why there is no output.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package enum Code: String, Sendable { case notStarted, tooSlow, tooMuch, cancelled }
        package let code: Code
        package let message: String
        package var description: String { message }
    }

    private struct State {
        var lines: [String] = []
        var errors: [String] = []
        var exit: ChildProgram.Exit?
        var failure: Failure?
        var child: ChildProgram?
    }

    private let state = Locked(State())
    private let ended = ShutdownSignal()

    private init() {}

    /// - Parameters:
    ///   - input: written to its standard input, which is then closed.
    ///   - limit: after that it is killed, with what it left in its process group.
    /// - Throws: `Failure`. An exit status other than zero is no failure.
    package static func output(
        of command: ChildProgram.Command, input: [UInt8] = [], within limit: Duration, time: any TimeSource
    ) async throws(Failure) -> Output {
        let run = ProgramRun()
        // Starting blocks.
        SystemThread.start(name: "program-start", stackBytes: 262_144) { run.start(command, input, time) }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await run.ended.wait() }
            group.addTask {
                do { try await time.sleep(for: limit) } catch { return }
                run.fail(Failure(code: .tooSlow, message: "\(command.path) did not end within \(limit)"))
            }
            await group.next()
            group.cancelAll()
        }
        if Task.isCancelled { run.fail(Failure(code: .cancelled, message: "nobody waits for \(command.path)")) }
        let (failure, output) = run.state.withLock { state in
            (state.failure, state.exit.map { Output(lines: state.lines, errors: state.errors, exit: $0) })
        }
        if let failure { throw failure }
        guard let output else { throw Failure(code: .cancelled, message: "\(command.path) was cut off") }
        return output
    }

    private func start(_ command: ChildProgram.Command, _ input: [UInt8], _ time: any TimeSource) {
        let child: ChildProgram
        do {
            child = try ChildProgram(command, time: time) { self.take($0, command) }
        } catch {
            return fail(Failure(code: .notStarted, message: error.description))
        }
        let isOver = state.withLock { state in
            if state.exit == nil { state.child = child }
            return state.failure != nil
        }
        if isOver { return child.kill() }
        if !input.isEmpty { _ = child.send(input) }
        // Closes its input; it has until the limit to end by itself, or it is told to.
        child.finishInput()
    }

    private func take(_ event: ChildProgram.Event, _ command: ChildProgram.Command) {
        switch event {
        case .line(let line):
            let isTooMuch = state.withLock { state in
                state.lines.append(String(decoding: line, as: UTF8.self))
                return state.lines.count > Self.lineLimit
            }
            if isTooMuch { fail(Failure(code: .tooMuch, message: "\(command.path) writes too many lines")) }
        case .errorLine(let line):
            state.withLock { if $0.errors.count < 100 { $0.errors.append(String(decoding: line, as: UTF8.self)) } }
        case .lineTooLong: fail(Failure(code: .tooMuch, message: "\(command.path) writes too long a line"))
        case .ended(let exit):
            state.withLock { ($0.exit, $0.child) = (exit, nil) }
            ended.raise()
        }
    }

    private func fail(_ failure: Failure) {
        let child = state.withLock { state -> ChildProgram? in
            guard state.exit == nil || failure.code != .cancelled else { return nil }
            if state.failure == nil { state.failure = failure }
            defer { state.child = nil }
            return state.child
        }
        child?.kill()
        ended.raise()
    }
}
