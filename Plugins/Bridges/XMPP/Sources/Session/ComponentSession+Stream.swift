internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

// From Farbell to the user: what the accounts' streams bring.
extension ComponentSession {
    /// Opens an account's stream unless it is open.
    mutating func attach(_ account: AccountID, _ actions: inout [Action]) {
        guard var user = linked[account], user.link == .none, !user.isPaused else { return }
        user.generation += 1
        user.link = .attached
        linked[account] = user
        actions.append(.attach(account, generation: user.generation, after: user.position))
    }

    mutating func detach(_ account: AccountID, _ actions: inout [Action]) {
        guard linked[account]?.link == .attached else { return }
        linked[account]?.link = .none
        actions.append(.detach(account))
    }

    /// An account could or could not be attached.
    mutating func attached(_ account: AccountID, generation: Int64, isNew: Bool?) {
        guard let user = linked[account], user.generation == generation else { return }
        guard let isNew else {
            // Gone or disabled: the next sign of life tries again.
            linked[account] = nil
            return
        }
        // Whether the user is there is worth knowing; the user's client asks for leave.
        if isNew {
            send(Stanza.presence(from: JID(local: nil, domain: component), to: user.address, type: "subscribe"))
        }
    }

    /// An event of an attached account's stream.
    mutating func heard(
        _ event: BridgeEvent, number: Int64?, _ account: AccountID, generation: Int64, _ instant: Instant
    ) -> [Action] {
        guard var user = linked[account], user.generation == generation, user.link == .attached else { return [] }
        var actions: [Action] = []
        guard let number else {
            // It ended without our doing: such as when there was too much waiting, or the device was deleted.
            linked[account]?.link = .none
            // Whoever deleted the device does not want it back before there is a reason.
            guard host.isLinked(account) else {
                linked[account] = nil
                return actions
            }
            if user.reach != .away { attach(account, &actions) }
            return actions
        }
        guard number > user.position else { return [] }
        if user.outstanding.count >= LinkedUser.outstandingLimit {
            linked[account]?.isPaused = true
            detach(account, &actions)
            return actions
        }
        user.position = number
        var stanza: XMLElement?
        var key: MessageKey?
        switch event {
        case .message(let message):
            stanza = self.stanza(message, to: user.address, instant)
            guard stanza != nil else { break }
            key = message.key
            serial += 1
            user.show(
                message.key, from: message.sender, correlation: message.correlation ?? message.key.description,
                at: serial)
        case .receipt(let key, let state): receipt(key, state)
        case .presence(let peer, let presence): show(peer, presence, to: user.address)
        case .contact(let peer, let state): stands(with: peer, state, account, user.address)
        case .typing(let peer, let state):
            if let from = names.address(peer) {
                send(
                    Stanza.make(
                        "message", from: from, to: user.address, type: "chat",
                        [XMLElement(state.rawValue, in: XMPPNamespace.chatStates)]))
            }
        case .edited(let key, let peer, let subject, let body): edited(key, peer, subject, body, to: user.address)
        case .other, .ended: break
        }
        user.outstanding.append(
            LinkedUser.Outstanding(number: number, key: key, isDone: stanza == nil, echo: echo.next))
        if let stanza {
            send(stanza)
            sentSinceEcho.insert(account)
            needsEcho = true
        }
        linked[account] = user
        settle(account, isUrgent: false, instant, &actions)
        return actions
    }

    /// What the user is sent for a message; nil for what is no conversation: what monitors bring is for notifications.
    private func stanza(_ message: Message, to: JID, _ instant: Instant) -> XMLElement? {
        guard message.origin == nil, let from = names.address(message.sender) else { return nil }
        if let expires = message.expires, expires <= instant.wall { return nil }
        guard let text = text(message.subject, message.body) else { return nil }
        var children = [
            Stanza.text("body", text), XMLElement("request", in: XMPPNamespace.receipts),
            XMLElement("markable", in: XMPPNamespace.markers),
        ]
        if let correlation = message.correlation { children.append(Stanza.text("thread", correlation)) }
        if instant.wall - message.enqueued >= .seconds(10) {
            children.append(
                XMLElement(
                    "delay", in: XMPPNamespace.delay, ["stamp": message.enqueued.description, "from": component]))
        }
        return Stanza.make("message", from: from, to: to, type: "chat", id: message.key.description, children)
    }

    /// Subject and text as one, within its bounds; nil when there is none.
    private func text(_ subject: String?, _ body: [UInt8]) -> String? {
        var text = String(decoding: body, as: UTF8.self)
        if let subject, !subject.isEmpty { text = text.isEmpty ? subject : "\(subject)\n\(text)" }
        if text.utf8.count > options.messageBytes {
            text = String(decoding: text.utf8.prefix(options.messageBytes), as: UTF8.self) + "…"
        }
        return text.isEmpty ? nil : text
    }

    /// A message that the user was sent has changed: a correction (XEP-0308), or a retraction (XEP-0424).
    private mutating func edited(
        _ key: MessageKey, _ peer: QueueAddress, _ subject: String?, _ body: [UInt8]?, to user: JID
    ) {
        guard let from = names.address(peer) else { return }
        serial += 1
        var children = [XMLElement("retract", in: XMPPNamespace.retract, ["id": key.description])]
        if let text = body.flatMap({ text(subject, $0) }) {
            children = [
                Stanza.text("body", text), XMLElement("replace", in: XMPPNamespace.correct, ["id": key.description]),
            ]
        }
        children.append(XMLElement("store", in: XMPPNamespace.hints))
        send(Stanza.make("message", from: from, to: user, type: "chat", id: "e\(serial)", children))
    }

    /// Acknowledges what has arrived; what no sender waits for may wait a little itself.
    mutating func settle(
        _ account: AccountID, isUrgent: Bool, _ instant: Instant, _ actions: inout [Action]
    ) {
        guard var user = linked[account], let first = user.outstanding.first, first.isDone else { return }
        let hasMessage = user.outstanding.prefix { $0.isDone }.contains { $0.key != nil }
        guard isUrgent || hasMessage || user.outstanding.count >= LinkedUser.outstandingLimit / 2 else {
            if user.outstanding.count == 1 { timers.insert(.settle(account), due: instant.now + Self.settlePause) }
            return
        }
        guard let number = user.settle() else { return }
        actions.append(.arrived(account, upTo: number))
        let mayGoOn = user.isPaused && user.outstanding.count <= LinkedUser.outstandingLimit / 2
        if mayGoOn { user.isPaused = false }
        linked[account] = user
        if mayGoOn, user.reach != .away { attach(account, &actions) }
    }

    mutating func handedLongEnough(_ account: AccountID, _ instant: Instant, _ actions: inout [Action]) {
        linked[account]?.finish(handedBefore: instant.now + (.zero - options.receiptWait))
        settle(account, isUrgent: true, instant, &actions)
    }

    /// The server, or the user's, returns a message: for now, so that it waits here for a sign of life, or for good.
    mutating func bounced(
        _ key: MessageKey, _ account: AccountID, _ error: XMLElement?, _ instant: Instant
    ) -> [Action] {
        guard var user = linked[account], let index = user.outstanding.firstIndex(where: { $0.key == key }),
            !user.outstanding[index].isDone
        else { return [] }
        let condition = error?.children.first { $0.name.namespace == XMPPNamespace.stanzaErrors }?.name.local ?? ""
        let isForGood = Self.finalConditions.contains(condition)
        var actions = [
            Action.undeliverable(account, key, condition: condition.printable, isForGood: isForGood)
        ]
        if isForGood {
            user.outstanding[index].isDone = true
            linked[account] = user
            settle(account, isUrgent: true, instant, &actions)
            return actions
        }
        user.position = user.outstanding[index].number - 1
        user.outstanding.removeSubrange(index...)
        (user.reach, user.resources) = (.away, [])
        linked[account] = user
        detach(account, &actions)
        return actions
    }

    /// What is wrong with the message itself, whoever is there.
    private static let finalConditions: Set<String> = [
        "bad-request", "not-acceptable", "policy-violation", "jid-malformed", "feature-not-implemented", "forbidden",
        "not-allowed", "gone",
    ]

    // MARK: Receipts of what the user sent

    /// What became of a message that the user sent: a receipt (XEP-0184) when it was delivered, a marker (XEP-0333)
    /// when it was read, an error when it will be neither.
    mutating func receipt(_ key: MessageKey, _ state: ReceiptState) {
        guard let message = sent[key] else {
            // Its answer may still be on the way.
            if !pending.isEmpty, early.count < Self.pendingLimit { early[key, default: []].append(state) }
            return
        }
        switch state {
        case .delivered:
            if message.wantsReceipt, let id = message.id {
                answer(message, XMLElement("received", in: XMPPNamespace.receipts, ["id": id]))
            }
        case .read:
            if message.wantsMarker, let id = message.id {
                answer(message, XMLElement("displayed", in: XMPPNamespace.markers, ["id": id]))
            }
        case .expired, .dead:
            send(Stanza.error("message", from: message.to, to: message.from, id: message.id, .undelivered))
            sent[key] = nil
        case .forwarded, .notified: break
        }
    }

    private mutating func answer(_ message: Pending, _ child: XMLElement) {
        serial += 1
        send(
            Stanza.make(
                "message", from: message.to, to: message.from, type: message.type, id: "r\(serial)", [child]))
    }

    /// The gateway has, or has not, taken a message.
    mutating func posted(_ token: Int64, _ result: Result<MessageKey, GatewayError>) {
        guard let message = pending.removeValue(forKey: token) else { return }
        switch result {
        case .success where message.isChange:
            // It is durable; whether it was seen, nobody says.
            if message.wantsReceipt, let id = message.id {
                answer(message, XMLElement("received", in: XMPPNamespace.receipts, ["id": id]))
            }
        case .success(let key):
            if sent[key] == nil {
                if sentOrder.count >= Self.sentLimit { sent[sentOrder.removeFirst()] = nil }
                sentOrder.append(key)
            }
            sent[key] = message
            for state in early.removeValue(forKey: key) ?? [] { receipt(key, state) }
        case .failure(let error):
            let fault: Stanza.Fault =
                switch error.code.kind {
                case .tooMany, .full: .tooMany
                case .unavailable: .notNow
                case .invalid: .tooLong
                // Nobody learns which it is.
                default: .unavailable
                }
            send(Stanza.error("message", from: message.to, to: message.from, id: message.id, fault))
        }
        if pending.isEmpty { early = [:] }
    }
}
