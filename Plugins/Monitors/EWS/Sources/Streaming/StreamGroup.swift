internal import Base
internal import MonitorTools
internal import Gateway
internal import XML

/// Up to 200 subscriptions on one hanging connection
/// (learn.microsoft.com/exchange/client-developer/exchange-web-services/how-to-stream-notifications-about-a-mailbox-by-using-ews-in-exchange).
///
/// Events are hints: whoever gets one compares with its sync state. Whatever may have lost events (a subscription the
/// server does not know, a failover) makes the mailbox subscribe anew and compare then. The server keeps the events of
/// a subscription while it has no connection; but what it wrote into one that broke, or that we closed to take others
/// in, may have reached nobody, so who was on it compares when the next connection stands.
final class StreamGroup: Sendable {
    struct Settings: Sendable {
        /// Subscriptions of a connection; the server takes no more than 200.
        var capacity = 200
        /// Minutes after which the server ends the answer: 1 to 30.
        var minutes = 30
        /// Silence after which the connection counts as dead: the server sends status events in between.
        var heartbeat: Duration = .seconds(180)
        /// All mailboxes are compared so often, whatever events came.
        var reconcile: Duration = .seconds(600)
        /// From a change of the members to the new connection: others may follow.
        var settle: Duration = .seconds(1)
    }

    private struct State {
        var members: [ObjectIdentifier: MailboxMember] = [:]
        var subscribed: [String: MailboxMember] = [:]
        var affinity = EWSAffinity()
        var stream: (any HTTPStream)?
        /// The connection's subscriptions are not the group's any more.
        var isStale = false
        /// Subscriptions on a connection that has not ended with the server's word: their events may have been sent
        /// to nobody.
        var unheard: Set<String> = []
    }

    private enum End {
        /// The server's time is over, or the members have changed.
        case reopen
        /// Nobody is subscribed.
        case empty
    }

    private let settings: Settings
    private let time: any TimeSource
    private let state = Locked(State())
    private let changed = WakeFlag()

    init(_ settings: Settings, time: any TimeSource) { (self.settings, self.time) = (settings, time) }

    // MARK: Members

    /// Takes a mailbox in; false when the group is full.
    func join(_ member: MailboxMember) -> Bool {
        state.withLock { state in
            guard state.members.count < settings.capacity else { return false }
            state.members[ObjectIdentifier(member)] = member
            if state.affinity.anchor == nil { state.affinity.anchor = member.mailbox }
            return true
        }
    }

    var isFull: Bool { state.withLock { $0.members.count >= settings.capacity } }

    func leave(_ member: MailboxMember) {
        state.withLock { state in
            state.members[ObjectIdentifier(member)] = nil
            state.subscribed = state.subscribed.filter { $0.value !== member }
            if state.affinity.anchor == member.mailbox { state.affinity.anchor = Self.firstMailbox(state) }
            // The next group begins with another server.
            if state.members.isEmpty { state.affinity = EWSAffinity() }
        }
        change()
    }

    private static func firstMailbox(_ state: State) -> String? { state.members.values.compactMap(\.mailbox).min() }

    /// What requests of the group's members carry, to reach the server their subscriptions live on.
    var affinity: EWSAffinity { state.withLock { $0.affinity } }

    /// A member has a subscription.
    func subscribed(_ member: MailboxMember, _ id: String, cookie: String?) {
        state.withLock { state in
            guard state.members[ObjectIdentifier(member)] != nil else { return }
            state.subscribed = state.subscribed.filter { $0.value !== member }
            state.subscribed[id] = member
            if state.affinity.cookie == nil { state.affinity.cookie = cookie }
        }
        change()
    }

    private func change() {
        let stream = state.withLock { state in
            state.isStale = true
            return state.stream
        }
        stream?.close()
        changed.raise()
    }

    // MARK: The connection

    /// Keeps the connection up for as long as the task lives.
    /// - Parameter client: the login of the connection.
    func run(_ client: EWSClient) async throws {
        var hasRetried = false
        while true {
            let began = time.now
            do {
                if case .empty = try await converse(client) { try await changed.wait() }
                hasRetried = false
            } catch let failure as MonitorFailure {
                // A connection that broke once may stand again at once; the second time the host decides.
                if time.now - began > .seconds(30 * settings.minutes) { hasRetried = false }
                if failure.code == .network, !hasRetried {
                    hasRetried = true
                } else if !dropAnchor(failure) {
                    hasRetried = false
                    failAll(failure)
                }
            }
            // Others may join meanwhile, and a server that ends each answer at once is not asked in a loop.
            try await time.sleep(for: settings.settle)
        }
    }

    /// The connection is opened in the name of the anchor mailbox: where that is gone, or may not be impersonated any
    /// more, the others go on with another anchor.
    private func dropAnchor(_ failure: MonitorFailure) -> Bool {
        guard failure.code == .sourceGone || failure.code == .authFailed else { return false }
        let dropped = state.withLock { state -> [MailboxMember] in
            let anchor = state.affinity.anchor
            let dropped = state.subscribed.filter { $0.value.mailbox == anchor }
            guard anchor != nil, !dropped.isEmpty, dropped.count < state.subscribed.count else { return [] }
            for (id, member) in dropped {
                state.subscribed[id] = nil
                state.members[ObjectIdentifier(member)] = nil
            }
            state.affinity.anchor = Self.firstMailbox(state)
            return Array(dropped.values)
        }
        for member in dropped { member.post(.failed(failure)) }
        return !dropped.isEmpty
    }

    private func failAll(_ failure: MonitorFailure) {
        let members = state.withLock { state in
            defer { (state.subscribed, state.affinity.cookie) = ([:], nil) }
            return Array(state.subscribed.values)
        }
        for member in members { member.post(.failed(failure)) }
    }

    private func converse(_ client: EWSClient) async throws -> End {
        let (ids, unheard, first, affinity) = state.withLock { state in
            state.isStale = false
            let ids = state.subscribed.keys.sorted()
            let unheard = state.unheard.intersection(ids)
            // Before it is asked for: it may be answered and break before we know.
            state.unheard = Set(ids)
            return (ids, unheard, state.subscribed.values.first, state.affinity)
        }
        guard let first else { return .empty }
        let stream = try await client.open(
            EWSRequests.streamingEvents(ids, minutes: settings.minutes), as: affinity.anchor ?? first.mailbox, affinity)
        defer {
            stream.close()
            state.withLock { $0.stream = nil }
        }
        let (isStale, missing) = state.withLock { state in
            state.stream = stream
            return (state.isStale, unheard.compactMap { state.subscribed[$0] })
        }
        if isStale { return .reopen }
        for member in missing { member.post(.changed) }
        do {
            try await listen(to: stream, ids)
            state.withLock { $0.unheard = [] }
        } catch let error as HTTPTransportError {
            // Closed by us.
            if state.withLock({ $0.isStale }) { return .reopen }
            throw MonitorFailure(error)
        }
        return .reopen
    }

    /// Takes documents until the server ends the answer.
    private func listen(to stream: any HTTPStream, _ ids: [String]) async throws {
        let reader = XMLDocuments(limits: .document(bytes: EWSClient.answerLimit))
        var reconcile = time.now + settings.reconcile
        while let bytes = try await stream.next(until: time.now + settings.heartbeat) {
            let documents: [XMLElement]
            do {
                documents = try reader.push(bytes)
            } catch {
                throw MonitorFailure(.protocolViolation, "the stream of events is not XML: \(error)")
            }
            for document in documents {
                for message in try EWSAnswers.messages(document, operation: "GetStreamingEvents", now: time.now) {
                    if try take(message, ids) { return }
                }
            }
            if time.now >= reconcile {
                reconcile = time.now + settings.reconcile
                for member in state.withLock({ Array($0.subscribed.values) }) { member.post(.changed) }
            }
        }
        throw MonitorFailure(.network, "the stream of events ended before its time")
    }

    /// Hands a message's events to the members; true when the answer ends with it.
    private func take(_ message: EWSMessage, _ ids: [String]) throws -> Bool {
        guard message.isSuccess else {
            guard EWSFailure.lostSubscription.contains(message.code) else {
                throw EWSFailure.of(message.code, backOff: message.backOff, now: time.now)
            }
            lose(message, ids)
            return true
        }
        for notification in message.element.child("Notifications")?.children("Notification") ?? [] {
            guard let id = notification.text(of: "SubscriptionId", in: EWSNames.types),
                let member = state.withLock({ $0.subscribed[id] })
            else { continue }
            member.host.heard()
            let events = notification.children.map(\.name.local).filter { $0.hasSuffix("Event") && $0 != "StatusEvent" }
            if !events.isEmpty { member.post(.changed) }
        }
        return message.element.text(of: "ConnectionStatus") == "Closed"
    }

    /// The subscriptions a message names are void, or all where it names none.
    private func lose(_ message: EWSMessage, _ ids: [String]) {
        let named =
            message.element.descendants("SubscriptionId", in: EWSNames.messages)
            + message.element.descendants("SubscriptionId", in: EWSNames.types)
        let lost = named.isEmpty ? ids : named.map { $0.text.trimmingSpace }
        let members = state.withLock { state in
            // The server they lived on has lost them: the next subscription may be led elsewhere.
            state.affinity.cookie = nil
            return lost.compactMap { state.subscribed.removeValue(forKey: $0) }
        }
        for member in members { member.post(.lost) }
    }
}
