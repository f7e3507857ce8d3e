internal import Base
internal import Gateway

/// Something happened, or did not yet: one task waits, any may raise it, and nothing that happened before the wait is
/// lost.
final class WakeFlag: Sendable {
    private struct State {
        var isRaised = false
        var waiter: CheckedContinuation<Void, any Error>?
    }

    private let state = Locked(State())

    func raise() {
        let waiter = state.withLock { state in
            let waiter = state.waiter
            state.waiter = nil
            state.isRaised = waiter == nil
            return waiter
        }
        waiter?.resume()
    }

    /// Returns when the flag is up, and takes it down.
    /// - Throws: `CancellationError`.
    func wait() async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (waiter: CheckedContinuation<Void, any Error>) in
                let result: Result<Void, any Error>? = state.withLock { state in
                    // The cancellation handler may have run before there was a waiter.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if state.isRaised {
                        state.isRaised = false
                        return .success(())
                    }
                    state.waiter = waiter
                    return nil
                }
                if let result { waiter.resume(with: result) }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(throwing: CancellationError())
        }
    }
}

/// One mailbox as its group sees it: what happened to it since it was last asked.
final class MailboxMember: Sendable {
    enum News: Sendable {
        /// Look for changes.
        case changed
        /// The subscription is void: subscribe anew, and only then look.
        case lost
        case failed(MonitorFailure)

        var rank: Int {
            switch self {
            case .changed: 0
            case .lost: 1
            case .failed: 2
            }
        }
    }

    /// The SMTP address impersonated; nil in its own name.
    let mailbox: String?
    let host: any MonitorHost
    private let flag = WakeFlag()
    private let pending = Locked<News?>(nil)

    init(mailbox: String?, host: any MonitorHost) { (self.mailbox, self.host) = (mailbox, host) }

    func post(_ news: News) {
        pending.withLock { pending in
            if pending.map({ $0.rank < news.rank }) ?? true { pending = news }
        }
        flag.raise()
    }

    /// Waits for news; several of them count as the weightiest.
    func next() async throws -> News {
        while true {
            let news = pending.withLock { pending in
                defer { pending = nil }
                return pending
            }
            if let news { return news }
            try await flag.wait()
        }
    }
}
