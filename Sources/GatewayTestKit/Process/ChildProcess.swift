internal import Base
internal import FoundationEssentials
internal import Glibc

/// A program started by a test. It is killed, with its process group, when this object goes; where
/// `setpriv` exists, the kernel also kills it when the test process dies.
package final class ChildProcess: Sendable {
    /// How a program ended.
    package enum Exit: Sendable, Hashable {
        case code(Int32)
        case signal(Int32)
    }

    package struct Options: Sendable {
        /// nil for the test process's own environment.
        package var environment: [String: String]?
        package var workingFolder: String?

        package init(environment: [String: String]? = nil, workingFolder: String? = nil) {
            (self.environment, self.workingFolder) = (environment, workingFolder)
        }
    }

    private struct State {
        var output: [String] = []
        var errors: [String] = []
        var exit: Exit?
        var openPipes = 2
        var input: Int32
    }

    package let processID: Int32
    private let state: Locked<State>
    /// Signalled when nobody needs the process's id any more.
    private let isDone = Semaphore()

    /// - Parameters:
    ///   - program: a path, or a name looked up in PATH.
    /// - Throws: `PeerError` when it cannot be started.
    package init(_ program: String, _ arguments: [String] = [], _ options: Options = Options()) async throws {
        let spawned = try await Spawner.shared.run { try ProcessSpawn.start(program, arguments, options) }
        processID = spawned.processID
        let state = Locked(State(input: spawned.input))
        self.state = state
        LineReader.start(spawned.output) { line in
            state.withLock { if let line { $0.output.append(line) } else { $0.openPipes -= 1 } }
        }
        LineReader.start(spawned.errors) { line in
            state.withLock { if let line { $0.errors.append(line) } else { $0.openPipes -= 1 } }
        }
        let processID = spawned.processID
        let isDone = isDone
        SystemThread.start(name: "child-wait", stackBytes: 65_536) {
            // It stays a zombie as long as its id is in use here: after thousands of processes the kernel gives an
            // id out again, and the group that is killed at the end would be a stranger's.
            var info = unsafe siginfo_t()
            while unsafe waitid(P_PID, id_t(processID), &info, WEXITED | Int32(WNOWAIT)) != 0 && errno == EINTR {}
            let status = unsafe info._sifields._sigchld.si_status
            let exit: Exit = unsafe info.si_code == CLD_EXITED ? .code(status) : .signal(status)
            state.withLock { $0.exit = exit }
            isDone.wait()
            waitpid(processID, nil, 0)
        }
    }

    deinit {
        closeInput()
        // The group may hold grandchildren even when the program itself has ended.
        _ = Glibc.kill(-processID, SIGKILL)
        isDone.signal()
    }

    /// What the program has written so far, in lines.
    package var output: [String] { state.withLock { $0.output } }
    /// The same of its standard error.
    package var errors: [String] { state.withLock { $0.errors } }
    /// nil while it runs.
    package var exit: Exit? { state.withLock { $0.exit } }

    /// SIGTERM.
    package func terminate() { send(SIGTERM) }
    /// SIGKILL.
    package func kill() { send(SIGKILL) }
    /// SIGSTOP: the program stands still as on a frozen machine.
    package func stop() { send(SIGSTOP) }
    /// SIGCONT.
    package func resume() { send(SIGCONT) }

    package func send(_ signal: Int32) {
        if exit == nil { _ = Glibc.kill(processID, signal) }
    }

    /// Writes to the program's standard input.
    /// - Throws: `PeerError` when it reads no more.
    package func write(_ text: String) throws {
        let descriptor = state.withLock { $0.input }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw PeerError(.process, "standard input: \(FileSystem.lastError)") }
            rest = rest.dropFirst(count)
        }
    }

    /// Closes the program's standard input.
    package func closeInput() {
        let descriptor = state.withLock { state in
            defer { state.input = -1 }
            return state.input
        }
        if descriptor >= 0 { close(descriptor) }
    }

    /// Returns when the program has ended and all it wrote has been read.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func waitForExit(deadline: Duration = .seconds(30)) async throws -> Exit {
        try await Eventually.value("the end of process \(processID)", for: deadline) {
            state.withLock { $0.openPipes == 0 ? $0.exit : nil }
        }
    }

    /// Returns the first line of the standard output, or of the standard error, that fits.
    /// - Throws: `DeadlineMissed`, `PeerError` when the program ended without such a line.
    @discardableResult
    package func waitForLine(
        _ what: String, errors: Bool = false, deadline: Duration = .seconds(30), where fits: (String) -> Bool
    ) async throws -> String {
        try await Eventually.value("a line from process \(processID): \(what)", for: deadline) {
            let ended = state.withLock { $0.exit != nil && $0.openPipes == 0 }
            if let line = (errors ? self.errors : output).first(where: fits) { return line }
            if ended { throw PeerError(.process, "ended before it wrote a line: \(what)") }
            return nil
        }
    }

    /// Runs a program to its end and returns its output.
    /// - Throws: `DeadlineMissed`, `PeerError` when it cannot be started.
    package static func run(
        _ program: String, _ arguments: [String], input: String? = nil, deadline: Duration = .seconds(30)
    ) async throws -> (exit: Exit, output: [String], errors: [String]) {
        let child = try await ChildProcess(program, arguments)
        if let input { try child.write(input) }
        child.closeInput()
        let exit = try await child.waitForExit(deadline: deadline)
        return (exit, child.output, child.errors)
    }
}

/// The thread that starts children: the kernel sends the parent-death signal when the *thread* that started
/// a child ends, so it must be one that lives as long as the process.
private enum Spawner {
    static let shared = WorkThread(name: "spawner")
}
