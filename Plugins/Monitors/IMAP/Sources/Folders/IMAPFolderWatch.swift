internal import Base
internal import Gateway
internal import MailMonitoring

/// Watches several folders of one mailbox over a connection each.
struct IMAPFolderWatch: Sendable {
    /// Folders watched of one mailbox; the inbox first, then by name.
    static let limit = 20
    /// Between two looks for folders that are new.
    static let listInterval = Duration.seconds(3_600)

    let patterns: [String]
    let monitor: IMAPMonitor
    let time: any TimeSource
    let log: Log

    /// Other folders than before: the watch begins anew with them.
    private struct FoldersChanged: Error {}

    /// Watches until cancelled.
    /// - Throws: `MonitorFailure`, `CancellationError`, or what the host threw.
    func run(_ target: MonitorTarget, _ host: any MonitorHost) async throws {
        var cursor = IMAPFolderCursor()
        if let stored = target.cursor {
            guard let read = IMAPFolderCursor(stored, single: monitor.settings.session.mailbox) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the imap monitor")
            }
            cursor = read
        }
        while true {
            // One login alone, so that a refused password is tried once and not for every folder.
            let names = try await list(target, host)
            cursor.keep(names)
            let shared = SharedFolders(cursor, names, host)
            do {
                try await watch(names, target, shared)
            } catch is FoldersChanged {
                cursor = shared.cursor
            }
        }
    }

    private func list(_ target: MonitorTarget, _ host: any MonitorHost) async throws -> [String] {
        let stream = try await monitor.connect(target, host)
        defer { stream.close() }
        let list = IMAPFolderList(timeout: monitor.settings.session.commandTimeout, time: time)
        let names = IMAPFolderList.chosen(try await list.folders(stream), patterns: patterns)
        do {
            try await stream.send(Array("L9 LOGOUT\r\n".utf8))
        } catch let error as CancellationError {
            throw error
        } catch {
            log.debug("monitor.logout_failed", "The connection was gone before LOGOUT")
        }
        if names.isEmpty { throw MonitorFailure(.sourceGone, "the mailbox has no folder that \"mailboxes\" names") }
        return names
    }

    private func watch(_ names: [String], _ target: MonitorTarget, _ shared: SharedFolders) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in names {
                group.addTask { try await watch(name, target, shared) }
            }
            group.addTask {
                while true {
                    try await time.sleep(for: Self.listInterval)
                    if try await list(target, shared.host) != names { throw FoldersChanged() }
                }
            }
            defer { group.cancelAll() }
            for try await _ in group {}
        }
    }

    private func watch(_ name: String, _ target: MonitorTarget, _ shared: SharedFolders) async throws {
        var options = monitor.settings.session
        options.mailbox = name
        let own = MonitorTarget(
            registration: target.registration, account: target.account, credentials: target.credentials,
            cursor: shared.cursor.folders[name]?.encoded)
        do {
            try await monitor.watch(own, options, SharedFolders.Member(shared: shared, folder: name))
        } catch let failure as MonitorFailure where failure.code == .sourceGone && name != "INBOX" {
            // One folder that nobody may open, or that went, costs the others nothing.
            log.info("monitor.folder_skipped", "A folder cannot be opened; the others are watched")
            shared.watching(name)
        }
    }
}

/// What the connections of one mailbox share: the cursor, and the host, which gets one batch after the other.
final class SharedFolders: Sendable {
    private struct State {
        var cursor: IMAPFolderCursor
        var silent: Set<String>
    }

    let host: any MonitorHost
    private let count: Int
    private let state: Locked<State>
    private let turn = Turnstile()

    init(_ cursor: IMAPFolderCursor, _ names: [String], _ host: any MonitorHost) {
        state = Locked(State(cursor: cursor, silent: Set(names)))
        (self.host, count) = (host, names.count)
    }

    /// What is stored.
    var cursor: IMAPFolderCursor { state.withLock { $0.cursor } }

    fileprivate func watching(_ folder: String) {
        let isLast = state.withLock { $0.silent.remove(folder) != nil && $0.silent.isEmpty }
        if isLast { host.watching() }
    }

    fileprivate func emit(_ batch: MonitorBatch, of folder: String) async throws {
        try await turn.enter()
        defer { turn.leave() }
        var next = cursor
        let changes = next.take(batch, of: folder, among: count)
        try await host.emit(MonitorBatch(changes: changes, cursor: next.encoded))
        let stored = next
        state.withLock { $0.cursor = stored }
    }

    /// The host of one folder's connection.
    struct Member: MonitorHost {
        let shared: SharedFolders
        let folder: String

        func emit(_ batch: MonitorBatch) async throws { try await shared.emit(batch, of: folder) }
        func watching() { shared.watching(folder) }
        func heard() { shared.host.heard() }
        func replaced(_ field: String, with value: Secret) async throws {
            try await shared.host.replaced(field, with: value)
        }
    }
}

/// Lets one task in at a time, in the order they came.
final class Turnstile: Sendable {
    private struct State {
        var isTaken = false
        var next = 0
        var waiting: [(number: Int, task: CheckedContinuation<Bool, Never>)] = []
        /// Cancelled before they waited.
        var cancelled: Set<Int> = []
    }

    private let state = Locked(State())

    /// Waits for its turn, which `leave` ends.
    /// - Throws: `CancellationError`, without the turn.
    func enter() async throws {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        let isIn = await withTaskCancellationHandler {
            await withCheckedContinuation { task in
                let decided: Bool? = state.withLock { state in
                    if state.cancelled.remove(number) != nil { return false }
                    if state.isTaken {
                        state.waiting.append((number, task))
                        return nil
                    }
                    state.isTaken = true
                    return true
                }
                if let decided { task.resume(returning: decided) }
            }
        } onCancel: {
            let task = state.withLock { state in
                guard let index = state.waiting.firstIndex(where: { $0.number == number }) else {
                    state.cancelled.insert(number)
                    return nil as CheckedContinuation<Bool, Never>?
                }
                return state.waiting.remove(at: index).task
            }
            task?.resume(returning: false)
        }
        state.withLock { _ = $0.cancelled.remove(number) }
        if !isIn { throw CancellationError() }
    }

    func leave() {
        let task = state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.isTaken = false
                return nil as CheckedContinuation<Bool, Never>?
            }
            return state.waiting.removeFirst().task
        }
        task?.resume(returning: true)
    }
}
