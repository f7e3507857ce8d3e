internal import CSpawn
internal import Glibc

/// Starting a program with three pipes. Descriptors are made close-on-exec from the first instant, and the child
/// closes what libraries may have left open.
enum ProgramSpawn {
    struct Spawned: Sendable {
        let processID: Int32
        /// Our ends; none of them blocks.
        let input: Int32
        let output: Int32
        let errors: Int32
        /// A pipe of ours, by which other threads wake the one that serves the program.
        let doorbell: Doorbell
    }

    static func start(_ command: ChildProgram.Command) throws(ChildProgramError) -> Spawned {
        // Without one, posix_spawn would look in the current folder.
        guard command.path.contains("/") else {
            throw ChildProgramError(path: command.path, message: "the program's path has no slash")
        }
        let pipes = try pipes(4, for: command)
        let ours = [pipes[0][1], pipes[1][0], pipes[2][0]]
        let theirs = [pipes[0][0], pipes[1][1], pipes[2][1]]
        defer { for end in theirs { close(end) } }
        // Each end has a file description of its own, so the child's ends stay blocking.
        for end in ours + pipes[3] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        let doorbell = Doorbell(listening: pipes[3][0], button: pipes[3][1])
        do {
            let processID = try spawn(command, theirs)
            limit(processID, command.limits)
            return Spawned(
                processID: processID, input: ours[0], output: ours[1], errors: ours[2], doorbell: doorbell)
        } catch {
            for end in ours { close(end) }
            throw error
        }
    }

    /// From outside, because posix_spawn cannot: the program may have run for an instant without.
    private static func limit(_ processID: Int32, _ limits: ChildProgram.ResourceLimits) {
        let wanted = [
            (RLIMIT_AS, limits.memoryBytes), (RLIMIT_NOFILE, limits.openFiles), (RLIMIT_CPU, limits.processorSeconds),
            // A dump would hold its secrets.
            (RLIMIT_CORE, limits == .init() ? nil : 0),
        ]
        for (resource, value) in wanted {
            guard let value else { continue }
            var limit = rlimit(rlim_cur: rlim_t(value), rlim_max: rlim_t(value))
            // One that has ended already needs none; ours may be lower, which then holds.
            _ = unsafe prlimit(processID, Int32(resource.rawValue), &limit, nil)
        }
    }

    private static func pipes(
        _ count: Int, for command: ChildProgram.Command
    ) throws(ChildProgramError) -> [[Int32]] {
        var pipes: [[Int32]] = []
        for _ in 0..<count {
            var ends: [Int32] = [-1, -1]
            guard unsafe pipe2(&ends, O_CLOEXEC) == 0 else {
                let message = FileSystem.lastError
                for end in pipes.joined() { close(end) }
                throw ChildProgramError(path: command.path, message: message)
            }
            pipes.append(ends)
        }
        return pipes
    }

    private static func spawn(
        _ command: ChildProgram.Command, _ streams: [Int32]
    ) throws(ChildProgramError) -> Int32 {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        for (number, end) in streams.enumerated() {
            // dup2 clears close-on-exec on the copy.
            unsafe posix_spawn_file_actions_adddup2(&actions, end, Int32(number))
        }
        unsafe posix_spawn_file_actions_addclosefrom_np(&actions, 3)
        if let folder = command.folder { unsafe posix_spawn_file_actions_addchdir_np(&actions, folder) }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Our threads block all signals, and some are ignored; the child begins as any program does.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        unsafe posix_spawnattr_setsigmask(&attributes, &signals)
        unsafe sigfillset(&signals)
        unsafe posix_spawnattr_setsigdefault(&attributes, &signals)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
        var words = unsafe ([command.path] + command.arguments).map { unsafe strdup($0) } + [nil]
        var settings =
            unsafe command.environment.sorted { $0.key < $1.key }.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            unsafe words.forEach { unsafe free($0) }
            unsafe settings.forEach { unsafe free($0) }
        }
        var processID: pid_t = 0
        let status = unsafe posix_spawn(&processID, command.path, &actions, &attributes, &words, &settings)
        guard status == 0 else {
            throw ChildProgramError(path: command.path, message: FileSystem.message(of: status))
        }
        return processID
    }
}

/// Wakes a thread that waits in `poll`.
final class Doorbell: Sendable {
    /// What to poll.
    let listening: Int32
    private let button: Int32

    /// - Parameters: both ends of a pipe that does not block; owned from now on.
    init(listening: Int32, button: Int32) { (self.listening, self.button) = (listening, button) }

    deinit {
        close(listening)
        close(button)
    }

    func ring() {
        var byte: UInt8 = 0
        // A full pipe rings already.
        _ = unsafe write(button, &byte, 1)
    }

    func silence() {
        var bytes: [UInt8] = .init(repeating: 0, count: 256)
        while unsafe read(listening, &bytes, bytes.count) > 0 {}
    }
}
