internal import Base
internal import Cryptography
internal import Gateway
internal import MonitorTools

/// The subscriptions of an app's mailboxes to Graph's change notifications, and what those tell. A notification only
/// says that a mailbox is to be looked at (learn.microsoft.com/graph/change-notifications-delivery-webhooks).
final class GraphNotices: Sendable {
    /// Whom a subscription's notifications wake.
    private struct Subscriber {
        let secret: Secret
        let bell: GraphBell
    }

    /// A subscription nobody needs any more.
    private struct Farewell {
        let id: String
        let grant: TokenGrant
    }

    private struct State {
        var subscribers: [String: Subscriber] = [:]
        var farewells: [Farewell] = []
        var signal = ShutdownSignal()
    }

    /// Subscriptions that wait for their end; more simply run out.
    static let farewellLimit = 10_000

    /// Where Graph calls.
    let url: String
    private let http: MonitorHTTP
    private let time: any TimeSource
    private let log: Log
    private let state = Locked(State())

    init(url: String, http: MonitorHTTP, time: any TimeSource, log: Log) {
        (self.url, self.http, self.time, self.log) = (url, http, time, log)
    }

    // MARK: Subscribing

    /// Does what the plan says. What fails is tried again later: the mailbox is polled meanwhile.
    /// - Returns: whether there is another subscription than before, so that changes since the last look are unheard.
    /// - Throws: `CancellationError`.
    func keep(
        _ plan: inout SubscriptionPlan, of user: String, _ grant: TokenGrant, _ bell: GraphBell
    ) async throws -> Bool {
        let before = plan.id
        let step = plan.step(now: time.now)
        if let before, plan.id == nil { forget(before) }
        do {
            switch step {
            case .none: return false
            case .renew(let id):
                if try await !renew(id, &plan, grant) { try await subscribe(&plan, user, grant, bell) }
            case .subscribe: try await subscribe(&plan, user, grant, bell)
            }
        } catch let failure as MonitorFailure {
            try Task.checkCancellation()
            var until: Moment?
            if case .throttled(let end) = failure.code { until = end }
            plan.failed(now: time.now, until: until)
            log.warning(
                .graphSubscription, "Graph's notifications cannot be had now; the mailbox is polled",
                ["error": .string(failure.code.name), "detail": .string(failure.message)])
        }
        return plan.id != nil && plan.id != before
    }

    private func subscribe(
        _ plan: inout SubscriptionPlan, _ user: String, _ grant: TokenGrant, _ bell: GraphBell
    ) async throws {
        let secret: Secret
        do {
            secret = try TokenGenerator().secret()
        } catch {
            throw MonitorFailure(.network, "no random bytes: \(error)")
        }
        let call = MonitorHTTP.Call("POST", "/subscriptions").carrying([
            "changeType": "created,updated,deleted", "notificationUrl": .string(url),
            "lifecycleNotificationUrl": .string(url), "clientState": .string(secret.exposed),
            "resource": .string("\(user.dropFirst())/mailFolders('inbox')/messages"),
            "expirationDateTime": .string("\(time.timestamp + SubscriptionPlan.lifetime)"),
        ])
        let json = try MonitorHTTP.json(try await send(call, grant))
        guard let id = json["id"]?.string, (1...256).contains(id.utf8.count) else {
            throw MonitorFailure(.protocolViolation, "the server's answer names no subscription")
        }
        state.withLock { $0.subscribers[id] = Subscriber(secret: secret, bell: bell) }
        do {
            plan.holds(id, for: try life(json), now: time.now)
        } catch {
            forget(id)
            throw error
        }
    }

    /// - Returns: false when there is no such subscription any more.
    private func renew(_ id: String, _ plan: inout SubscriptionPlan, _ grant: TokenGrant) async throws -> Bool {
        var call = MonitorHTTP.Call("PATCH", "/subscriptions/\(id.percentEncoded())").carrying([
            "expirationDateTime": .string("\(time.timestamp + SubscriptionPlan.lifetime)")
        ])
        call.accepts = [404]
        let response = try await send(call, grant)
        if response.status == 404 {
            forget(id)
            plan.drop()
            return false
        }
        plan.holds(id, for: try life(try MonitorHTTP.json(response)), now: time.now)
        return true
    }

    /// How long a subscription lasts, as Graph says: it may allow less than was asked for.
    private func life(_ json: JSON) throws(MonitorFailure) -> Duration {
        guard let end = json["expirationDateTime"]?.string.flatMap({ Timestamp($0) }), end > time.timestamp else {
            throw MonitorFailure(.protocolViolation, "the server's answer does not say when the subscription ends")
        }
        return min(end - time.timestamp, SubscriptionPlan.lifetime)
    }

    private func send(_ call: MonitorHTTP.Call, _ grant: TokenGrant) async throws -> HTTPResponse {
        try await grant.authorized { token in try await http.send(call.authorized(by: token.secret)) }
    }

    // MARK: Ending

    /// What a subscription tells is of no use any more.
    func forget(_ id: String) { state.withLock { _ = $0.subscribers.removeValue(forKey: id) } }

    /// A watch has ended: Graph is told so by `run`.
    func end(_ id: String, _ grant: TokenGrant) {
        let signal = state.withLock { state in
            state.subscribers[id] = nil
            if state.farewells.count < Self.farewellLimit { state.farewells.append(Farewell(id: id, grant: grant)) }
            return state.signal
        }
        signal.raise()
    }

    /// Ends subscriptions until cancelled, one after the other. What cannot be ended runs out.
    func run() async throws {
        while true {
            let (farewells, signal) = state.withLock { state in
                defer { (state.farewells, state.signal) = ([], ShutdownSignal()) }
                return (state.farewells, state.signal)
            }
            guard !farewells.isEmpty else {
                let next = state.withLock { $0.farewells.isEmpty ? $0.signal : signal }
                await next.wait()
                try Task.checkCancellation()
                continue
            }
            for farewell in farewells {
                var call = MonitorHTTP.Call("DELETE", "/subscriptions/\(farewell.id.percentEncoded())")
                call.accepts = [404]
                do {
                    _ = try await send(call, farewell.grant)
                } catch let failure as MonitorFailure {
                    try Task.checkCancellation()
                    log.debug(
                        .graphSubscription, "A subscription could not be ended; it runs out",
                        ["error": .string(failure.code.name)])
                }
            }
        }
    }

    // MARK: Calls

    /// Reads what Graph calls with, and wakes whom it is about.
    /// - Throws: `InboundRefusal`.
    func receive(_ call: InboundCall) throws(InboundRefusal) -> InboundAnswer {
        guard call.method == "POST" else { throw InboundRefusal(.malformed, "Graph calls by POST") }
        // Before it makes a subscription Graph asks whether the address is ours.
        if let token = call.query("validationToken") {
            guard (1...InboundAnswer.textLimit).contains(token.utf8.count) else {
                throw InboundRefusal(.malformed, "validationToken has 1 to \(InboundAnswer.textLimit) bytes")
            }
            return .text(token)
        }
        let notices = try GraphNotice.read(call.body)
        let known = state.withLock { state in notices.map { state.subscribers[$0.subscription] } }
        // All or nothing: who has one of our secrets has no wrong ones.
        for (notice, subscriber) in zip(notices, known) {
            if let subscriber, subscriber.secret != notice.secret {
                throw InboundRefusal(.unauthorized, "the caller is not known here")
            }
        }
        // A subscription of an earlier run may tell until it runs out, and one that is being made may tell already: both
        // are looked after without it.
        for (notice, subscriber) in zip(notices, known) {
            subscriber?.bell.ring(notice.event, of: notice.subscription)
        }
        return .accepted
    }
}

extension LogEvent {
    static let graphSubscription = LogEvent("monitor.graph_subscription")
}
