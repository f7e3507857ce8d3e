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

    private mutating func post(_ way: Way, _ body: String, to peer: QueueAddress) -> Action {
        serial += 1
        let stanza = way.stanza
        pending[serial] = Pending(
            from: way.from, to: way.to, type: way.type.isEmpty ? "normal" : way.type, id: way.id,
            wantsReceipt: stanza.child("request", in: XMPPNamespace.receipts) != nil,
            wantsMarker: stanza.child("markable", in: XMPPNamespace.markers) != nil)
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
            XMPPNamespace.markers,
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
