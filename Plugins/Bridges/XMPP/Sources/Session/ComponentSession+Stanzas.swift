internal import Base
internal import Cryptography
internal import Gateway
internal import XML
internal import XMPPTools

// From the user to Farbell: stanzas.
extension ComponentSession {
    /// Who speaks to whom.
    struct Way: Sendable {
        let from: JID
        let to: JID
        let account: AccountID
        let stanza: XMLElement

        var id: String? { stanza.attribute("id") }
        var type: String { stanza.attribute("type") ?? "" }
    }

    mutating func take(_ stanza: XMLElement, _ instant: Instant) -> [Action] {
        guard stanza.name.namespace == Stanza.namespace, ["message", "presence", "iq"].contains(stanza.name.local),
            let from = stanza.attribute("from").flatMap({ JID($0) }),
            let to = stanza.attribute("to").flatMap({ JID($0) }), to.domain == component
        else { return [] }
        if from.domain == component {
            // Only an echo comes from ourselves; whatever else claims to is none of ours.
            if stanza.name.local == "iq", from.local == nil, to.local == nil {
                echoed(stanza.attribute("id") ?? "", instant)
                askForEcho(instant)
            }
            return []
        }
        guard let account = users.account(of: from).flatMap(host.account) else {
            refuse(stanza, from: from, to: to)
            return []
        }
        var actions: [Action] = []
        let way = Way(from: from, to: to, account: account, stanza: stanza)
        if linked[account] == nil {
            guard linked.count < Self.usersLimit, let address = users.address(of: account),
                stanza.attribute("type") != "error"
            else {
                refuse(stanza, from: from, to: to)
                return []
            }
            linked[account] = LinkedUser(address, perMinute: options.perMinute)
        }
        switch stanza.name.local {
        case "message": actions = message(way, instant)
        case "presence": actions = presence(way)
        default: query(way)
        }
        askForEcho(instant)
        return actions
    }

    /// Turns away somebody who is not linked, in the same words for every address.
    private mutating func refuse(_ stanza: XMLElement, from: JID, to: JID) {
        let type = stanza.attribute("type")
        guard type != "error", type != "result" else { return }
        if stanza.name.local == "presence" {
            if type == "subscribe" { send(Stanza.presence(from: to.bare, to: from.bare, type: "unsubscribed")) }
            return
        }
        send(Stanza.error(stanza.name.local, from: to, to: from, id: stanza.attribute("id"), .unavailable))
    }

    private mutating func refuse(_ way: Way, _ fault: Stanza.Fault) {
        send(Stanza.error(way.stanza.name.local, from: way.to, to: way.from, id: way.id, fault))
    }

    /// The app or account an address names.
    func address(_ jid: JID) -> QueueAddress? {
        switch names.name(jid) {
        case .app(let id): .app(id)
        case .account(let name): host.account(name).map { .account($0) }
        case nil: nil
        }
    }

    // MARK: Messages

    private mutating func message(_ way: Way, _ instant: Instant) -> [Action] {
        let (account, stanza) = (way.account, way.stanza)
        if way.type == "error" {
            guard let key = way.id.flatMap({ MessageKey($0) }) else { return [] }
            return bounced(key, account, stanza.child("error"), instant)
        }
        var actions: [Action] = []
        alive(account, &actions)
        if let id = stanza.child("received", in: XMPPNamespace.receipts)?.attribute("id"), let key = MessageKey(id) {
            linked[account]?.finish(key)
            settle(account, isUrgent: true, instant, &actions)
        }
        if let id = stanza.child("displayed", in: XMPPNamespace.markers)?.attribute("id"), let key = MessageKey(id),
            let peer = address(way.to)
        {
            linked[account]?.finish(key)
            settle(account, isUrgent: true, instant, &actions)
            for key in linked[account]?.read(upTo: key, from: peer) ?? [] { actions.append(.read(key, by: account)) }
        }
        if let peer = address(way.to) { typing(way, peer, &actions) }
        if let action = withdrawal(way) { return actions + [action] }
        guard let body = stanza.text(of: "body"), !body.isEmpty else { return actions }
        guard ["", "chat", "normal", "headline"].contains(way.type), let peer = address(way.to) else {
            refuse(way, .unavailable)
            return actions
        }
        if XMPPNamespace.encryption.contains(where: { stanza.child($0.0, in: $0.1) != nil }) {
            refuse(way, .encrypted)
            return actions
        }
        guard body.utf8.count <= options.messageBytes else {
            refuse(way, .tooLong)
            return actions
        }
        guard pending.count < Self.pendingLimit, linked[account]?.bucket.take(at: instant.now) == true else {
            refuse(way, .tooMany)
            return actions
        }
        actions.append(post(way, body, to: peer))
        return actions
    }

    /// What the user does at the keyboard (XEP-0085); with a text it has said itself.
    private func typing(_ way: Way, _ peer: QueueAddress, _ actions: inout [Action]) {
        let states = way.stanza.children.filter { $0.name.namespace == XMPPNamespace.chatStates }
        guard let state = states.first?.name.local, way.stanza.child("body") == nil else { return }
        actions.append(.typing(state == "composing" ? .composing : .paused, from: way.account, to: peer))
    }

    /// The message that a correction or retraction is of, if it is known still.
    private func original(_ id: String?, _ way: Way) -> MessageKey? {
        guard let id else { return nil }
        return sent.first {
            $0.value.id == id && $0.value.from.bare == way.from.bare && $0.value.to.bare == way.to.bare
        }?.key
    }

    /// The user takes a message back (XEP-0424); one that is not known any more is left as it is.
    private mutating func withdrawal(_ way: Way) -> Action? {
        guard let id = way.stanza.child("retract", in: XMPPNamespace.retract)?.attribute("id"),
            let key = original(id, way), pending.count < Self.pendingLimit
        else { return nil }
        wait(for: way, isChange: true)
        return .withdraw(token: serial, key, by: way.account)
    }

    /// Notes a message that the gateway is asked to take.
    private mutating func wait(for way: Way, isChange: Bool) {
        serial += 1
        pending[serial] = Pending(
            from: way.from, to: way.to, type: way.type.isEmpty ? "normal" : way.type, id: way.id,
            wantsReceipt: way.stanza.child("request", in: XMPPNamespace.receipts) != nil,
            wantsMarker: way.stanza.child("markable", in: XMPPNamespace.markers) != nil, isChange: isChange)
    }

    private mutating func post(_ way: Way, _ body: String, to peer: QueueAddress) -> Action {
        let stanza = way.stanza
        if let key = original(stanza.child("replace", in: XMPPNamespace.correct)?.attribute("id"), way) {
            wait(for: way, isChange: true)
            return .edit(token: serial, key, by: way.account, body: body)
        }
        wait(for: way, isChange: false)
        var message = BridgeMessage(from: way.account, to: peer, body: body)
        message.subject = stanza.text(of: "subject").flatMap {
            $0.isEmpty || $0.utf8.count > SendOrder.subjectLimit ? nil : $0
        }
        // The client's own name of the message survives its reconnection; one of the stanza alone may be anybody's.
        if let origin = stanza.child("origin-id", in: XMPPNamespace.stanzaIDs)?.attribute("id") {
            message.id = Self.fitting("o/" + origin)
        } else if let id = way.id {
            message.id = Self.fitting("\(way.from.resource ?? "")/\(id)")
        }
        let thread = stanza.text(of: "thread").flatMap {
            (1...SendOrder.nameLimit).contains($0.utf8.count) ? $0 : nil
        }
        let reply = stanza.child("reply", in: XMPPNamespace.reply)?.attribute("id")
        message.correlation = linked[way.account]?.correlation(with: peer, reply: reply, thread: thread) ?? thread
        return .post(token: serial, message)
    }

    /// An id within its bounds; a long one is replaced by its hash.
    private static func fitting(_ id: String) -> String? {
        id.utf8.count <= SendOrder.nameLimit ? id : (try? SHA256.hash(Array(id.utf8)))?.hexadecimal
    }

    // MARK: Queries

    private mutating func query(_ way: Way) {
        guard way.type == "get" || way.type == "set", let request = way.stanza.children.first else { return }
        let isKnown = way.to.local == nil || address(way.to) != nil
        var answer: XMLElement?
        if way.type == "get", isKnown {
            switch request.name.namespace {
            case XMPPNamespace.ping: return result(way, [])
            case XMPPNamespace.discoInfo: answer = info(way.to)
            case XMPPNamespace.discoItems: answer = items(way.to)
            default: break
            }
        }
        if let answer { result(way, [answer]) } else { refuse(way, .unavailable) }
    }

    private mutating func result(_ way: Way, _ children: [XMLElement]) {
        send(Stanza.make("iq", from: way.to, to: way.from, type: "result", id: way.id, children))
    }

    /// What an address is and understands (XEP-0030).
    private func info(_ jid: JID) -> XMLElement {
        var (category, type, name) = ("account", "registered", "")
        switch names.name(jid) {
        case .app(let id): (category, type, name) = ("client", "bot", host.apps.first { $0.id == id }?.name ?? id.text)
        case .account: break
        case nil: (category, type, name) = ("gateway", "xmpp", "Farbell")
        }
        let features = [
            XMPPNamespace.discoInfo, XMPPNamespace.discoItems, XMPPNamespace.ping, XMPPNamespace.receipts,
            XMPPNamespace.markers, XMPPNamespace.chatStates, XMPPNamespace.correct,
        ]
        let identity = XMLElement(
            "identity", in: XMPPNamespace.discoInfo, ["category": category, "type": type, "name": name])
        return XMLElement(
            "query", in: XMPPNamespace.discoInfo,
            children: [identity] + features.map { XMLElement("feature", in: XMPPNamespace.discoInfo, ["var": $0]) })
    }

    /// The apps, for clients that show what there is.
    private func items(_ jid: JID) -> XMLElement {
        let apps = jid.local == nil ? host.apps.prefix(Self.appsShown) : []
        return XMLElement(
            "query", in: XMPPNamespace.discoItems,
            children: apps.compactMap { app in
                names.address(.app(app.id)).map {
                    XMLElement("item", in: XMPPNamespace.discoItems, ["jid": $0.text, "name": app.name])
                }
            })
    }
}
