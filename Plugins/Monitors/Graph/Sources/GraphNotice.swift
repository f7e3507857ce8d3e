internal import Base
internal import Gateway

/// One of the notifications of a call.
struct GraphNotice {
    /// Notifications of one call.
    static let limit = 1000

    enum Event: Sendable, Hashable {
        /// The mailbox has changed, or may have without our being told.
        case changed
        /// Graph has ended the subscription.
        case removed
        /// Graph will not go on unless we show that we still may.
        case reauthorize
    }

    let subscription: String
    let secret: Secret
    let event: Event

    /// The notifications of a call's body, plain or about subscriptions themselves
    /// (learn.microsoft.com/graph/change-notifications-lifecycle-events).
    static func read(_ body: [UInt8]) throws(InboundRefusal) -> [GraphNotice] {
        guard let list = (try? JSONParser.parse(body))?["value"]?.array, (1...limit).contains(list.count) else {
            throw InboundRefusal(.malformed, "the body is no collection of notifications")
        }
        var notices: [GraphNotice] = []
        for entry in list {
            guard let id = entry["subscriptionId"]?.string else {
                throw InboundRefusal(.malformed, "a notification names no subscription")
            }
            let event: Event
            switch entry["lifecycleEvent"]?.string {
            case "subscriptionRemoved": event = .removed
            case "reauthorizationRequired": event = .reauthorize
            // `missed`; a look does no harm for one that is not known.
            default: event = .changed
            }
            notices.append(
                GraphNotice(
                    subscription: id, secret: Secret(entry["clientState"]?.string ?? ""), event: event))
        }
        return notices
    }
}

/// How a notification reaches the watch it is for. What comes while the watch works counts once.
final class GraphBell: Sendable {
    struct Heard: Sendable, Hashable {
        /// Ids of subscriptions that were ended, and of those to renew: at most one each, the watch's own.
        var removed: String?
        var reauthorize: String?
    }

    private let state = Locked((heard: Heard(), signal: ShutdownSignal()))

    func ring(_ event: GraphNotice.Event, of subscription: String) {
        let signal = state.withLock { state in
            switch event {
            case .changed: break
            case .removed: state.heard.removed = subscription
            case .reauthorize: state.heard.reauthorize = subscription
            }
            return state.signal
        }
        signal.raise()
    }

    /// What was told since the last time; from now on `wait` waits for more.
    func take() -> Heard {
        state.withLock { state in
            defer { state = (Heard(), ShutdownSignal()) }
            return state.heard
        }
    }

    /// Returns when something was told since `take`, or the moment has come.
    /// - Throws: `CancellationError`.
    func wait(until moment: Moment, _ time: any TimeSource) async throws {
        let signal = state.withLock { $0.signal }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await time.sleep(until: moment) }
            group.addTask { await signal.wait() }
            defer { group.cancelAll() }
            try await group.next()
        }
        try Task.checkCancellation()
    }
}
