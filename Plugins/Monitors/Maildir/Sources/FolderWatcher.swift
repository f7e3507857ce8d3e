internal import Base
internal import Glibc

/// Wakes one waiting task; a signal that comes while nobody waits is kept.
final class WakeUp: Sendable {
    private struct State {
        var isPending = false
        var waiter: CheckedContinuation<Void, Never>?
    }
    private let state = Locked(State())

    func signal() {
        let waiter = state.withLock { state in
            state.isPending = true
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    /// Forgets a signal; call before looking at what it announced.
    func clear() { state.withLock { $0.isPending = false } }

    /// Returns at a signal, or when the task is cancelled. One caller at a time.
    func wait() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if state.isPending || Task.isCancelled { return true }
                    state.waiter = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume()
        }
    }
}

/// All folders watched with inotify: one descriptor and one thread, however many there are. Where the system's limits
/// (`fs.inotify.max_user_watches`, `max_user_instances`) are reached, callers have to poll; that is logged once.
final class FolderWatcher: Sendable {
    /// Folders being watched at once.
    static let watchLimit = 100_000

    private struct State {
        var descriptor: Int32 = -1
        var stop: Int32 = -1
        var nextToken = 1
        /// By watch descriptor, then by token.
        var wakes: [Int32: [Int: WakeUp]] = [:]
        var watches: [Int: [Int32]] = [:]
        var hasWarned = false
    }

    private let state: Locked<State>
    private let log: Log

    /// Starts nothing: the thread starts with the first folder.
    init(log: Log) {
        self.log = log
        state = Locked(State())
    }

    deinit {
        let stop = state.withLock { $0.stop }
        // The thread reads the end of this pipe and closes the rest.
        if stop >= 0 { close(stop) }
    }

    /// Wakes `wake` when something changes in one of the folders. Blocks; call on a thread of ours.
    /// - Returns: nil when it cannot, and the caller has to poll; else a token for `remove`.
    func add(_ folders: [String], _ wake: WakeUp) -> Int? {
        let failure: Int32? = state.withLock { state in state.descriptor < 0 ? Self.start(&state, self.state) : nil }
        if let failure {
            warn(failure)
            return nil
        }
        let result: Result<Int, Failure> = state.withLock { state in
            guard state.wakes.count < Self.watchLimit else { return .failure(Failure(code: ENOSPC)) }
            let token = state.nextToken
            state.nextToken += 1
            let mask = UInt32(IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF)
            for folder in folders {
                let watch = unsafe inotify_add_watch(state.descriptor, folder, mask | UInt32(IN_ONLYDIR))
                guard watch >= 0 else {
                    let code = errno
                    Self.remove(token, &state)
                    return .failure(Failure(code: code))
                }
                state.wakes[watch, default: [:]][token] = wake
                state.watches[token, default: []].append(watch)
            }
            return .success(token)
        }
        switch result {
        case .success(let token): return token
        case .failure(let failure):
            warn(failure.code)
            return nil
        }
    }

    func remove(_ token: Int) { state.withLock { Self.remove(token, &$0) } }

    private struct Failure: Error { let code: Int32 }

    private static func remove(_ token: Int, _ state: inout State) {
        for watch in state.watches.removeValue(forKey: token) ?? [] {
            state.wakes[watch]?[token] = nil
            if state.wakes[watch]?.isEmpty == true {
                state.wakes[watch] = nil
                // Fails harmlessly when the folder is gone and the kernel has removed the watch.
                inotify_rm_watch(state.descriptor, watch)
            }
        }
    }

    private func warn(_ code: Int32) {
        // A missing folder is the mailbox's own trouble, and reported as such.
        guard code != ENOENT, code != ENOTDIR else { return }
        let isFirst = state.withLock { state in
            defer { state.hasWarned = true }
            return !state.hasWarned
        }
        guard isFirst else { return }
        log.warning(
            "monitor.polling", "Folders cannot be watched, so they are polled; raise fs.inotify.max_user_watches",
            ["error": .string(FileSystem.message(of: code))])
    }

    // MARK: The thread

    /// - Returns: the error's number when inotify is not to be had.
    private static func start(_ state: inout State, _ shared: Locked<State>) -> Int32? {
        let descriptor = inotify_init1(Int32(IN_CLOEXEC | IN_NONBLOCK))
        guard descriptor >= 0 else { return errno }
        var ends: [Int32] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else {
            let code = errno
            close(descriptor)
            return code
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (state.descriptor, state.stop) = (descriptor, ends[1])
        let stop = ends[0]
        SystemThread.start(name: "maildir-inotify") { [weak shared] in
            var polled = [
                pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stop, events: Int16(POLLIN), revents: 0),
            ]
            while true {
                let count = unsafe poll(&polled, 2, -1)
                if count < 0 && errno == EINTR { continue }
                guard count > 0, polled[1].revents == 0, let shared else { break }
                let changed = read(from: descriptor)
                let wakes = shared.withLock { state in
                    changed.map { $0.flatMap { state.wakes[$0].map { Array($0.values) } ?? [] } }
                        ?? state.wakes.values.flatMap { Array($0.values) }
                }
                for wake in wakes { wake.signal() }
            }
            close(descriptor)
            close(stop)
        }
        return nil
    }

    /// The watches something happened to; nil when the kernel lost events, and all may have changed.
    private static func read(from descriptor: Int32) -> Set<Int32>? {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var watches: Set<Int32> = []
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        guard count > 0 else { return watches }
        return unsafe buffer.withUnsafeBytes { bytes in
            var offset = 0
            // struct inotify_event: watch, mask, cookie and name length, four bytes each, then the name.
            while offset + 16 <= count {
                let watch = unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Int32.self)
                let mask = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
                if mask & UInt32(IN_Q_OVERFLOW) != 0 { return nil }
                watches.insert(watch)
                offset += 16 + Int(unsafe bytes.loadUnaligned(fromByteOffset: offset + 12, as: UInt32.self))
            }
            return watches
        }
    }
}
