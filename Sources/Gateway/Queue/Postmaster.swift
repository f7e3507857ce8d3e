package import Base

/// Takes what devices and applications send: finds the addresses (TT-3), checks who may send where, stores, and tells
/// how far it came.
package final class Postmaster: Sendable {
    private let directory: StateKeeper<Directory>
    private let apps: Set<AppID>
    /// Those that are called: their conversations keep their order.
    private let called: Set<AppID>
    private let mailroom: Mailroom
    private let messages: Messages
    private let hub: StreamHub
    let people: People
    /// Of messages between accounts.
    let rates: Locked<(senders: AccountRates, recipients: AccountRates)>
    /// What an attachment may be said to have.
    package let attachmentBytes: Int
    let time: any TimeSource
    private let log: Log

    package init(
        directory: StateKeeper<Directory>, apps: [App], mailroom: Mailroom, messages: Messages, hub: StreamHub,
        people: People, limits: Limits, time: any TimeSource, log: Log
    ) {
        (self.directory, self.mailroom, self.messages, self.hub) = (directory, mailroom, messages, hub)
        (self.apps, self.people, self.time, self.log) = (Set(apps.map(\.id)), people, time, log)
        attachmentBytes = limits.attachmentBytes
        rates = Locked(
            (
                AccountRates(limits.messagesPerSenderPerMinute, in: .seconds(60)),
                AccountRates(limits.messagesPerRecipientPerMinute, in: .seconds(60))
            ))
        called = Set(apps.filter { $0.callback != nil }.map(\.id))
    }

    /// Finds the recipients and checks everything that can be checked before storing.
    /// - Throws: `unknown_recipient`, `forbidden`, `unknown_app`, `invalid_field`, `rate_limited`.
    package func prepare(_ order: SendOrder, by party: Party) throws(GatewayError) -> [Posting] {
        try check(order)
        var recipients: [Recipient] = []
        for (index, target) in order.to.enumerated() {
            do throws(GatewayError) {
                recipients += try self.recipients(target, party)
            } catch {
                let field = order.to.count == 1 ? "to" : "to[\(index)]"
                throw GatewayError(error.code, error.message, field: field, retryAfterSeconds: error.retryAfterSeconds)
            }
        }
        let draft = draft(order, party, recipients)
        return recipients.map { posting(draft, to: $0) }
    }

    /// A conversation with an application that is called keeps its order, unless the sender has ordered it otherwise.
    private func posting(_ draft: MessageDraft, to recipient: Recipient) -> Posting {
        guard draft.group == nil, case .app(let id) = recipient.address, called.contains(id) else {
            return Posting(draft, to: recipient)
        }
        var ordered = draft
        ordered.group = "conversation/\(draft.sender)"
        return Posting(ordered, to: recipient)
    }

    private func draft(_ order: SendOrder, _ party: Party, _ recipients: [Recipient]) -> MessageDraft {
        let sender: QueueAddress
        switch party {
        case .app(let id): sender = .app(id)
        case .device(let device):
            let isDevice = order.from.map { $0 == .device } ?? recipients.contains { $0.owner != nil }
            sender = isDevice ? .device(device.id) : .account(device.account)
        }
        var draft = MessageDraft(sender: sender, app: order.app)
        if case .device = sender, case .device(let device) = party { draft.senderOwner = device.account }
        draft.receipts = order.receipts ?? .final
        if case .app(let id) = party {
            // An application speaks for itself, and hears of its messages' fortunes when it asks to.
            draft.app = order.app ?? id
            draft.receipts = order.receipts ?? .none
        }
        (draft.header, draft.subject, draft.body) = (order.header, order.subject, order.body)
        (draft.priority, draft.notBefore) = (order.priority, order.notBefore)
        // Counted from when it comes up, or a scheduled one might never be seen.
        draft.expires = order.lifetime.map { max(time.timestamp, order.notBefore ?? time.timestamp) + $0 }
        (draft.group, draft.collapse) = (order.group, order.collapse)
        (draft.correlation, draft.senderID, draft.attachments) = (order.correlation, order.id, order.attachments)
        return draft
    }

    /// Stores prepared messages and announces them; returns when they are durable.
    /// - Throws: `queue_full`, `storage_full`, `rate_limited`, or the store's failure.
    package func send(_ postings: [Posting]) async throws -> [Sent] {
        let posted = try await mailroom.post(postings)
        let decisions = messages.accepted(posted)
        return posted.map { item in
            let sent = Sent(key: item.key, address: item.address, state: state(of: item, decisions[item.key]))
            // What devices are to be told of has its own lines, one for each device.
            if item.message != nil, decisions[item.key] == nil { note(sent) }
            return sent
        }
    }

    private func note(_ sent: Sent) {
        let fields: LogFields = ["messageId": .key(sent.key), "queue": .string(sent.address.description)]
        switch sent.state {
        case .forwarded: log.info(.messageForwarded, "A message goes to a consumer or a device that waits", fields)
        case .held, .notified: log.info(.messageHeld, "A message is held until somebody takes it", fields)
        }
    }

    /// As `send`, for messages to applications alone, without a task: nobody's devices are to be told.
    /// - Parameter then: called when they are durable, on the store's thread.
    /// - Throws: as `send`; then `then` is not called.
    package func sendToApps(
        _ postings: [Posting], then: @escaping @Sendable (Result<[Sent], StoreError>) -> Void
    ) throws(GatewayError) {
        try mailroom.post(postings) { [log] result in
            then(
                result.map { posted in
                    posted.map { item in
                        // At `debug`: tens of thousands a second may come this way.
                        log.debug(
                            .messageAccepted, "A message is stored",
                            ["messageId": .key(item.key), "queue": .string(item.address.description)])
                        return Sent(key: item.key, address: item.address, state: item.isTaken ? .forwarded : .held)
                    }
                })
        }
    }

    private func state(of item: Posted, _ decision: NotifierMachine.Decision?) -> Sent.State {
        if item.isTaken { return .forwarded }
        // A repeat of one that is settled has found its way.
        if item.message == nil, mailroom.state(of: item.key) == nil { return .forwarded }
        let devices: [DeviceID] =
            switch item.address {
            case .account(let account): directory.read { $0.devices(of: account).map(\.id) }
            case .device(let device): [device]
            case .app: []
            }
        let isScheduled = mailroom.state(of: item.key) == .scheduled
        if !isScheduled, devices.contains(where: hub.isLive) { return .forwarded }
        return decision == .push ? .notified : .held
    }

    // MARK: Replies

    /// What answers a message goes back to whoever sent it (TT-7).
    /// - Throws: `not_found`; `forbidden` for a message that was not sent to the caller; `unknown_recipient`.
    package func reply(to key: MessageKey, _ order: SendOrder, by party: Party) async throws -> [Sent] {
        let (message, _) = try await messages.trace(key)
        guard mayTake(message.address, party) else {
            throw GatewayError(.forbidden, "the message '\(key)' was not sent to you")
        }
        var order = order
        order.to = [target(message.sender)]
        order.correlation = order.correlation ?? message.correlation ?? key.description
        if order.from == nil, case .device(let id) = message.address, case .device(let device) = party, device.id == id
        {
            order.from = .device
        }
        try check(order)
        // Whoever was written to may answer, also where it could not write of its own accord; but not one that has
        // blocked it since.
        var isHeard = true
        if case .account(let id) = message.sender { isHeard = try admit(party, to: id, isReply: true) }
        guard let recipient = recipient(message.sender), isHeard else {
            throw GatewayError(.unknownRecipient, "whoever sent the message is gone")
        }
        return try await send([posting(draft(order, party, [recipient]), to: recipient)])
    }

    private func target(_ address: QueueAddress) -> SendOrder.Target {
        switch address {
        case .account(let id): .account(id)
        case .device(let id): .device(id)
        case .app(let id): .app(id)
        }
    }

    /// What became of a message, for whoever sent it or may take it (TT-6).
    /// - Throws: `not_found`; `forbidden` for anybody else.
    package func trace(
        _ key: MessageKey, for party: Party
    ) async throws -> (message: Message, deliveries: [DeliveryRecord]) {
        let (message, deliveries) = try await messages.trace(key)
        guard mayTake(message.address, party) || mayTake(message.sender, party) else {
            throw GatewayError(.forbidden, "the message '\(key)' is neither from you nor for you")
        }
        return (message, deliveries)
    }

    // MARK: Who may

    /// Whether a party may take messages from a queue: an account's devices from its own and their own queues, an
    /// application from its own.
    package func mayTake(_ address: QueueAddress, _ party: Party) -> Bool {
        switch (party, address) {
        case (.device(let device), .account(let id)): id == device.account
        case (.device(let device), .device(let id)): directory.read { $0.devices[id]?.account } == device.account
        case (.app(let own), .app(let id)): own == id
        case (.device, .app), (.app, .account), (.app, .device): false
        }
    }

    /// The queue a party names, or its own.
    /// - Throws: `invalid_field`, `not_found`, `forbidden`.
    package func queue(_ name: String?, for party: Party) throws(GatewayError) -> Recipient {
        guard let name else { return Recipient(party.queue) }
        guard let address = QueueAddress(name) else {
            throw .invalid("queue", "expected account/NAME, device/ID or app/ID")
        }
        guard let recipient = recipient(address) else {
            throw GatewayError(.notFound, "there is no queue '\(address)'", field: "queue")
        }
        guard mayTake(address, party) else {
            throw GatewayError(.forbidden, "the queue '\(address)' is not yours", field: "queue")
        }
        return recipient
    }

    // MARK: Addresses

    private func recipient(_ address: QueueAddress) -> Recipient? {
        switch address {
        // As it is stored: names are equal that are written in other bytes.
        case .account(let id): directory.read { $0.accounts[id] }.map { Recipient.account($0.id) }
        case .device(let id): directory.read { $0.devices[id] }.map(Recipient.device)
        case .app(let id): apps.contains(id) ? Recipient(address) : nil
        }
    }

    private func recipients(_ target: SendOrder.Target, _ party: Party) throws(GatewayError) -> [Recipient] {
        func unknown(_ what: String) -> GatewayError { GatewayError(.unknownRecipient, "there is no \(what)") }
        switch target {
        case .account(let id):
            let mayWrite = try admit(party, to: id)
            guard let recipient = recipient(.account(id)), mayWrite else { throw unknown("account '\(id)'") }
            return [recipient]
        case .app(let id):
            guard let recipient = recipient(.app(id)) else { throw unknown("app '\(id)'") }
            return [recipient]
        case .device(let id):
            guard let recipient = recipient(.device(id)) else { throw unknown("device '\(id)'") }
            if case .device(let device) = party, recipient.owner != device.account {
                throw GatewayError(.forbidden, "the device '\(id)' belongs to another account")
            }
            return [recipient]
        case .tag(let tag):
            let devices = directory.read { $0.devices(tag: tag) }.filter { other in
                if case .device(let device) = party { other.account == device.account } else { true }
            }
            guard !devices.isEmpty else { throw unknown("device with the tag '\(tag.printable)'") }
            guard devices.count <= SendOrder.targetsLimit else {
                throw .invalid("to", "more than \(SendOrder.targetsLimit) devices have the tag")
            }
            return devices.map(Recipient.device)
        }
    }

    private func check(_ order: SendOrder) throws(GatewayError) {
        try order.check(attachmentBytes: attachmentBytes)
        if let app = order.app, !apps.contains(app) {
            throw GatewayError(.unknownApp, "there is no app '\(app)'", field: "app")
        }
    }
}
