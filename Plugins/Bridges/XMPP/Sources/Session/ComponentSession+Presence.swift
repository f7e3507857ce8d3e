internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

// Who is there and who may know, both ways (RFC 6121 sections 3 and 4).
extension ComponentSession {
    /// Apps whose presence is sent to a user who comes, at most.
    static let appsShown = 50
    /// Characters of a status text.
    static let statusLimit = OwnStatus.textLimit

    /// The user does something: whoever was thought to be away is not.
    mutating func alive(_ account: AccountID, _ actions: inout [Action]) {
        if linked[account]?.reach == .away { linked[account]?.reach = .unknown }
        attach(account, &actions)
    }

    mutating func presence(_ way: Way) -> [Action] {
        var actions: [Action] = []
        switch way.type {
        case "": came(way, &actions)
        case "unavailable": went(way, &actions)
        case "subscribe":
            alive(way.account, &actions)
            subscribe(way, &actions)
        case "subscribed":
            if let peer = asking(way) { actions.append(.setContact(peer, of: way.account, isWanted: true)) }
        case "unsubscribed":
            if let peer = asking(way) { actions.append(.setContact(peer, of: way.account, isWanted: false)) }
        case "unsubscribe":
            let own = way.to.bare
            send(Stanza.presence(from: own, to: way.from.bare, type: "unsubscribed"))
            if case .account(let peer)? = address(own) {
                actions.append(.setContact(peer, of: way.account, isWanted: false))
            }
        case "probe": sendPresence(of: way.to.bare, for: way.account, to: way.from)
        default: break
        }
        return actions
    }

    // MARK: The user

    private mutating func came(_ way: Way, _ actions: inout [Action]) {
        let account = way.account
        guard var user = linked[account] else { return }
        let wasAvailable = user.reach == .available
        user.reach = .available
        let resource = way.from.resource ?? ""
        if user.resources.contains(resource) || user.resources.count < LinkedUser.resourcesLimit {
            user.resources.insert(resource)
            actions.append(.presence(account, connection: resource, Self.presence(way.stanza)))
        }
        linked[account] = user
        // First, so that the account is linked when its presence comes.
        let own = actions
        actions = []
        attach(account, &actions)
        actions += own
        guard !wasAvailable else { return }
        // Whoever has them in the contact list sees how they are; the server drops it for the others.
        for app in host.apps.prefix(Self.appsShown) {
            if let from = names.address(.app(app.id)) { send(Stanza.presence(from: from, to: user.address)) }
        }
        for (peer, presence) in host.contacts(account) where presence.state != .offline {
            show(peer, presence, to: user.address)
        }
    }

    private mutating func went(_ way: Way, _ actions: inout [Action]) {
        let account = way.account
        guard var user = linked[account] else { return }
        let gone = way.from.resource.map { [$0] } ?? user.resources.sorted()
        for resource in gone where user.resources.remove(resource) != nil {
            actions.append(.presence(account, connection: resource, nil))
        }
        let isGone = way.from.resource == nil || user.resources.isEmpty
        if isGone { user.reach = .away }
        linked[account] = user
        if isGone { detach(account, &actions) }
    }

    /// What a stanza says of its sender: `show` and `status` (RFC 6121 section 4.7.2).
    private static func presence(_ stanza: XMLElement) -> AccountPresence {
        let state: AccountPresence.State =
            switch stanza.text(of: "show") ?? "" {
            case "away", "xa": .away
            case "dnd": .busy
            default: .online
            }
        let text = (stanza.text(of: "status") ?? "").printable.prefix(statusLimit)
        return AccountPresence(state, text: text.isEmpty ? nil : String(text))
    }

    // MARK: Subscriptions

    /// The account an address names that wants the user as a contact.
    private func asking(_ way: Way) -> AccountID? {
        guard case .account(let peer)? = address(way.to.bare), host.contact(peer, way.account) == .asking else {
            return nil
        }
        return peer
    }

    private mutating func subscribe(_ way: Way, _ actions: inout [Action]) {
        let own = way.to.bare
        switch own.local == nil ? nil : names.name(own) {
        // Agreed to by themselves: the component and its apps.
        case nil where own.local != nil, .account(way.account.text)?:
            send(Stanza.presence(from: own, to: way.from.bare, type: "unsubscribed"))
        case nil, .app?:
            send(Stanza.presence(from: own, to: way.from.bare, type: "subscribed"))
            send(Stanza.presence(from: own, to: way.from.bare))
        case .account(let name)?: actions.append(.setContact(AccountID(name), of: way.account, isWanted: true))
        }
    }

    /// How the account and a peer stand after the user asked for a change; nil when it was refused.
    mutating func contacted(_ peer: AccountID, _ account: AccountID, _ state: ContactState??) {
        guard let user = linked[account], let from = names.address(.account(peer)) else { return }
        guard let state else {
            send(Stanza.presence(from: from, to: user.address, type: "unsubscribed"))
            return
        }
        if state == .contact { stands(with: peer, state, account, user.address) }
    }

    /// The account stands differently with a peer, whoever has brought it about.
    mutating func stands(with peer: AccountID, _ state: ContactState?, _ account: AccountID, _ user: JID) {
        guard let from = names.address(.account(peer)) else { return }
        switch state {
        case .contact:
            send(Stanza.presence(from: from, to: user, type: "subscribed"))
            sendPresence(of: from, for: account, to: user)
        // The user's client asks whether the peer may.
        case .asking: send(Stanza.presence(from: from, to: user, type: "subscribe"))
        case .asked: break
        case nil: send(Stanza.presence(from: from, to: user, type: "unsubscribed"))
        }
    }

    // MARK: Peers

    /// Sends how one of our addresses is; whoever may not know sees nobody there.
    private mutating func sendPresence(of own: JID, for account: AccountID, to user: JID) {
        switch own.local == nil ? nil : address(own) {
        case nil where own.local == nil, .app?: send(Stanza.presence(from: own, to: user))
        case .account(let peer)?:
            send(Self.stanza(host.presence(peer, account) ?? .offline, from: own, to: user))
        case .device?, nil: send(Stanza.presence(from: own, to: user, type: "unavailable"))
        }
    }

    /// Sends how a contact is.
    mutating func show(_ peer: AccountID, _ presence: AccountPresence, to user: JID) {
        guard let from = names.address(.account(peer)) else { return }
        send(Self.stanza(presence, from: from, to: user))
    }

    private static func stanza(_ presence: AccountPresence, from: JID, to: JID) -> XMLElement {
        var children: [XMLElement] = []
        switch presence.state {
        case .offline: return Stanza.presence(from: from, to: to, type: "unavailable")
        case .online: break
        case .busy: children.append(Stanza.text("show", "dnd"))
        case .away, .lunch: children.append(Stanza.text("show", "away"))
        }
        if let text = presence.text ?? (presence.state == .lunch ? "lunch" : nil) {
            children.append(Stanza.text("status", text))
        }
        return Stanza.make("presence", from: from, to: to, children)
    }
}
