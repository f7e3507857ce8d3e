internal import Base
internal import Gateway

/// Watches one Maildir of each registration.
final class MaildirMonitor: Monitor {
    struct Settings: Sendable {
        /// With `{username}` in it.
        var path: String
        /// The longest time between two looks, and the only trigger where inotify is not to be had.
        var poll = Duration.seconds(60)
        var seen = MaildirScan.Seen.moved
        var usesInotify = true
    }

    /// Every so many timed looks, the names are read even when the folders' times say that nothing changed.
    static let thoroughEvery = 10
    /// Looks that may wait for the thread: one for each mailbox, so more than there are.
    private static let queueLimit = 200_000

    let settings: Settings
    private let time: any TimeSource
    private let log: Log
    private let watcher: FolderWatcher
    private let thread = Locked<WorkThread?>(nil)

    init(_ settings: Settings, time: any TimeSource, log: Log) {
        (self.settings, self.time, self.log) = (settings, time, log)
        watcher = FolderWatcher(log: log)
    }

    /// None: a folder asks for no password, so only the account's own name may choose it.
    var credentialFields: [CredentialField] { [] }

    var upstream: String { "maildir:\(settings.path)" }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: MaildirCursor?
        if let stored = target.cursor {
            guard let decoded = MaildirCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the maildir monitor")
            }
            cursor = decoded
        }
        let folder = DiskMaildir(path: try path(target))
        let wake = WakeUp()
        let token = settings.usesInotify ? try await subscribe(folder, wake) : nil
        defer { if let token { watcher.remove(token) } }
        var scan = MaildirScan(cursor: cursor, seen: settings.seen)
        var looks = 0
        while true {
            wake.clear()
            let thorough = looks % Self.thoroughEvery == 0
            let outcome = try await look(&scan, folder, thorough: thorough)
            for batch in outcome.batches { try await host.emit(batch) }
            if outcome.hasMore { continue }
            if looks == 0 { host.watching() }
            looks += 1
            host.heard()
            try await wait(for: wake)
        }
    }

    /// One look on our thread.
    private func look(
        _ scan: inout MaildirScan, _ folder: DiskMaildir, thorough: Bool
    ) async throws -> MaildirScan.Outcome {
        let before = scan
        let now = time.timestamp
        do {
            let (after, outcome) = try await work { () throws -> (MaildirScan, MaildirScan.Outcome) in
                var scan = before
                let outcome = try scan.look(folder, now: now, thorough: thorough)
                return (scan, outcome)
            }
            scan = after
            return outcome
        } catch let error as MaildirError {
            throw MonitorFailure(.sourceGone, "the mailbox cannot be read: \(error.message)")
        } catch is WorkThread.Overloaded {
            throw MonitorFailure(.throttled(until: time.now + settings.poll), "too many mailboxes wait to be read")
        }
    }

    private func subscribe(_ folder: DiskMaildir, _ wake: WakeUp) async throws -> Int? {
        let watcher = watcher
        do {
            return try await work { watcher.add(MaildirPart.allCases.map { "\(folder.path)/\($0.rawValue)" }, wake) }
        } catch is WorkThread.Overloaded {
            throw MonitorFailure(.throttled(until: time.now + settings.poll), "too many mailboxes wait to be read")
        }
    }

    private func work<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        let thread = thread.withLock { thread in
            if let thread { return thread }
            let started = WorkThread(name: "maildir", limit: Self.queueLimit)
            thread = started
            return started
        }
        return try await thread.run(body)
    }

    private func wait(for wake: WakeUp) async throws {
        let deadline = time.now + settings.poll * Double.random(in: 0.9...1)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await wake.wait() }
            group.addTask { [time] in
                do {
                    try await time.sleep(until: deadline)
                } catch {
                    // Woken or cancelled: the other task, or the check below, says which.
                }
            }
            await group.next()
            group.cancelAll()
        }
        try Task.checkCancellation()
    }

    private func path(_ target: MonitorTarget) throws -> String {
        let username = target.account.text
        guard Self.isSafe(username) else {
            throw MonitorFailure(.authFailed, "the username cannot be part of a path")
        }
        return settings.path.replacing("{username}", with: username)
    }

    /// Whether a username stays inside its place in the path.
    static func isSafe(_ username: String) -> Bool {
        (1...255).contains(username.utf8.count) && !username.hasPrefix(".")
            && !username.unicodeScalars.contains { $0 == "/" || $0.value < 0x20 || $0.value == 0x7F }
    }
}
