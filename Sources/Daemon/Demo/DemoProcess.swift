internal import Base
internal import Glibc

/// The gateway as a process of its own, for the demonstration.
final class DemoProcess: Sendable {
    private let pid: pid_t
    private let ended = Locked(false)

    /// Starts this same program with other arguments; its log goes to a file.
    /// - Throws: `DaemonError`.
    init(arguments: [String], log: String) throws {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        unsafe posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO)
        let words = ["farbell"] + arguments
        let vector: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = .allocate(capacity: words.count + 1)
        for (index, word) in words.enumerated() { unsafe vector[index] = strdup(word) }
        unsafe vector[words.count] = nil
        defer {
            for index in words.indices { unsafe free(vector[index]) }
            unsafe vector.deallocate()
        }
        var pid = pid_t()
        let status = unsafe posix_spawn(&pid, "/proc/self/exe", &actions, nil, vector, environ)
        guard status == 0 else {
            throw DaemonError(.software, "cannot start the gateway: \(FileSystem.message(of: status))")
        }
        self.pid = pid
    }

    deinit { stop() }

    /// Asks the process to end and waits until it has.
    func stop() {
        let isFirst = ended.withLock { ended in
            defer { ended = true }
            return !ended
        }
        guard isFirst else { return }
        kill(pid, SIGTERM)
        var status: Int32 = 0
        unsafe waitpid(pid, &status, 0)
    }
}
