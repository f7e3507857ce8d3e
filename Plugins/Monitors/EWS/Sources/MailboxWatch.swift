internal import Base
internal import Gateway
internal import XML

/// Watches one mailbox: subscribes, compares, waits for its group to say that something happened.
struct MailboxWatch: Sendable {
    /// Changes of one page while watching, and of the first run, which announces nothing.
    static let pageSize = 100
    static let baselinePageSize = 512
    /// Subscriptions lost in a row within `lossWindow` before the host is left to decide.
    private static let lossLimit = 3
    private static let lossWindow: Duration = .seconds(60)

    let client: EWSClient
    let group: StreamGroup
    /// The SMTP address impersonated; nil in its own name.
    let mailbox: String?
    let host: any MonitorHost
    let time: any TimeSource

    /// - Throws: `MonitorFailure`; `CancellationError`; what the host throws.
    func run(_ cursor: EWSCursor?) async throws {
        let member = MailboxMember(mailbox: mailbox, host: host)
        guard group.join(member) else {
            throw MonitorFailure(
                .throttled(until: time.now + .seconds(300)), "all connections are full: raise \"connections\"")
        }
        defer { group.leave(member) }
        var state = cursor?.state
        var losses: [Moment] = []
        var isFirst = true
        while true {
            // First the subscription: what comes after it wakes us, what came before is in the comparison.
            try await subscribe(member)
            var isSubscribed = true
            while isSubscribed {
                state = try await reconcile(after: state)
                host.heard()
                if isFirst { host.watching() }
                isFirst = false
                switch try await member.next() {
                case .changed: break
                case .lost: isSubscribed = false
                case .failed(let failure): throw failure
                }
            }
            let now = time.now
            losses = losses.filter { now - $0 < Self.lossWindow } + [now]
            if losses.count > Self.lossLimit {
                throw MonitorFailure(.network, "the server loses the subscription again and again")
            }
        }
    }

    private func subscribe(_ member: MailboxMember) async throws {
        let (messages, response) = try await client.ask(EWSRequests.subscribe, as: mailbox, group.affinity)
        let message = try succeeded(messages)
        guard let id = message.element.text(of: "SubscriptionId")?.trimmingSpace, (1...2048).contains(id.utf8.count)
        else { throw MonitorFailure(.protocolViolation, "the server's subscription has no id") }
        group.subscribed(member, id, cookie: EWSAffinity.cookie(of: response))
    }

    private func succeeded(_ messages: [EWSMessage]) throws -> EWSMessage {
        guard let message = messages.first, message.isSuccess else {
            throw EWSFailure.of(messages.first?.code ?? "", backOff: messages.first?.backOff, now: time.now)
        }
        return message
    }

    /// Takes all changes since a sync state, page by page, each stored with its own state.
    /// - Returns: the state reached.
    private func reconcile(after start: String?) async throws -> String {
        var state = start
        while true {
            let limit = start == nil ? Self.baselinePageSize : Self.pageSize
            let (messages, _) = try await client.ask(
                EWSRequests.sync(after: state, limit: limit), as: mailbox, group.affinity)
            let page = try EWSAnswers.page(try succeeded(messages))
            guard page.state.utf8.count <= EWSCursor.stateLimit else {
                throw MonitorFailure(.protocolViolation, "the server's sync state is too long")
            }
            guard page.isLast || page.state != state else {
                throw MonitorFailure(.protocolViolation, "the server's list of changes does not go on")
            }
            let changes = start == nil ? [] : try await self.changes(page.changes)
            // A first run is stored as a whole, or another one would take its rest for news.
            if start == nil ? page.isLast : page.state != state {
                try await host.emit(MonitorBatch(changes: changes, cursor: EWSCursor(state: page.state).encoded))
            }
            state = page.state
            if page.isLast { return page.state }
        }
    }

    /// A page's changes as the host takes them: new messages with what people want to know of them, oldest first.
    private func changes(_ changes: [EWSAnswers.Change]) async throws -> [MonitorBatch.Change] {
        var wanted: [String] = []
        var rest: [MonitorBatch.Change] = []
        for change in changes {
            switch change {
            case .created(let id): wanted.append(id)
            case .read(let id): rest.append(.seen(key: id))
            case .unread: break
            case .deleted(let id):
                wanted.removeAll { $0 == id }
                rest.append(.gone(key: id))
            }
        }
        var items: [Item] = []
        for start in stride(from: 0, to: wanted.count, by: EWSRequests.itemsPerRequest) {
            let ids = Array(wanted[start..<min(start + EWSRequests.itemsPerRequest, wanted.count)])
            let (messages, _) = try await client.ask(EWSRequests.items(ids), as: mailbox, group.affinity)
            for message in messages {
                if let (item, isRead) = EWSAnswers.item(message) {
                    if !isRead { items.append(item) }
                } else if message.code != "ErrorItemNotFound" {
                    // Anything else would lose the message for good.
                    throw EWSFailure.of(message.code, backOff: message.backOff, now: time.now)
                }
            }
        }
        // Exchange lists the newest first, since 2010 SP2.
        let sorted = items.enumerated().sorted { a, b in
            (a.element.time ?? .latest, a.offset) < (b.element.time ?? .latest, b.offset)
        }
        return sorted.map { .new($0.element) } + rest
    }
}
