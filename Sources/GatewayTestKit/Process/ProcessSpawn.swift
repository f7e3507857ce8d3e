internal import Base
internal import FoundationEssentials
internal import Glibc

/// Starting a child with pipes, in a process group of its own.
enum ProcessSpawn {
    struct Spawned: Sendable {
        let processID: Int32
        let input: Int32
        let output: Int32
        let errors: Int32
    }

    private static let setpriv = "/usr/bin/setpriv"

    static func start(_ program: String, _ arguments: [String], _ options: ChildProcess.Options) throws -> Spawned {
        // A child that reads no more must not end the test process.
        _ = signal(SIGPIPE, SIG_IGN)
        var words = [program] + arguments
        // Both replace themselves by the program, so the process id stays the same.
        if let folder = options.workingFolder { words = ["/usr/bin/env", "-C", folder] + words }
        if FileSystem.exists(setpriv) { words = [setpriv, "--pdeathsig", "KILL", "--"] + words }
        let input = try pipe()
        let output = try pipe()
        let errors = try pipe()
        defer { for descriptor in [input.reading, output.writing, errors.writing] { close(descriptor) } }
        do {
            let processID = try spawn(words, options, (input.reading, output.writing, errors.writing))
            return Spawned(
                processID: processID, input: input.writing, output: output.reading, errors: errors.reading)
        } catch {
            for descriptor in [input.writing, output.reading, errors.reading] { close(descriptor) }
            throw error
        }
    }

    private static func spawn(
        _ words: [String], _ options: ChildProcess.Options, _ streams: (Int32, Int32, Int32)
    ) throws -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        // dup2 clears close-on-exec on the copies only.
        unsafe posix_spawn_file_actions_adddup2(&actions, streams.0, 0)
        unsafe posix_spawn_file_actions_adddup2(&actions, streams.1, 1)
        unsafe posix_spawn_file_actions_adddup2(&actions, streams.2, 2)
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Our threads block all signals; the child starts with none blocked.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigaddset(&signals, SIGPIPE)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        let environment = options.environment ?? ProcessInfo.processInfo.environment
        var argv = unsafe words.map { unsafe strdup($0) } + [nil]
        var envp = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            unsafe argv.forEach { unsafe free($0) }
            unsafe envp.forEach { unsafe free($0) }
        }
        var processID: pid_t = 0
        let status = unsafe posix_spawnp(&processID, words[0], &actions, &attributes, &argv, &envp)
        guard status == 0 else { throw PeerError(.process, "\(words[0]): \(FileSystem.message(of: status))") }
        return processID
    }

    private static func pipe() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [-1, -1]
        guard unsafe Glibc.pipe(&ends) == 0 else { throw PeerError(.process, FileSystem.lastError) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}

/// Reads lines from a pipe on a thread of its own until its end.
enum LineReader {
    /// - Parameter take: called with each line, and with nil at the end.
    static func start(_ descriptor: Int32, _ take: @escaping @Sendable (String?) -> Void) {
        SystemThread.start(name: "child-pipe", stackBytes: 262_144) {
            var rest: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
                if count < 0 && errno == EINTR { continue }
                if count <= 0 { break }
                // Only what is new is searched: a line may have megabytes.
                var start = 0
                while let end = ByteSearch.index(of: 10, in: chunk, from: start, to: count) {
                    rest.append(contentsOf: chunk[start..<end])
                    take(String(decoding: rest, as: UTF8.self))
                    rest.removeAll()
                    start = end + 1
                }
                rest.append(contentsOf: chunk[start..<count])
            }
            if !rest.isEmpty { take(String(decoding: rest, as: UTF8.self)) }
            take(nil)
            close(descriptor)
        }
    }
}
