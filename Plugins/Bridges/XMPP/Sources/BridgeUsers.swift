internal import Gateway

/// Which addresses are which accounts.
struct BridgeUsers: Sendable, Hashable {
    /// Entries of the longest map.
    static let limit = 10_000

    /// The local parts of this domain are the accounts' names.
    let domain: String?
    /// Accounts by bare address; these come first.
    private let accounts: [String: String]
    private let addresses: [String: String]

    init(domain: String?, accounts: [String: String] = [:]) {
        (self.domain, self.accounts) = (domain, accounts)
        addresses = Dictionary(accounts.map { ($0.value, $0.key) }) { first, _ in first }
    }

    /// The name of an address's account; whether there is one, the gateway knows.
    func account(of jid: JID) -> String? {
        if let name = accounts[jid.bare.text] { return name }
        guard let domain, jid.domain == domain, let local = jid.local else { return nil }
        let name = JIDEscaping.unescape(local)
        // An account has one address.
        return addresses[name] == nil ? name : nil
    }

    /// The bare address of an account's user.
    func address(of account: AccountID) -> JID? {
        if let text = addresses[account.text] { return JID(text) }
        return domain.map { JID(local: JIDEscaping.escape(account.text), domain: $0) }
    }
}

/// Our own addresses: `app@component`, `account@component`.
struct BridgeNames: Sendable {
    let component: String
    let apps: Set<AppID>

    /// What an address names; nil for one of another domain, and for the component itself.
    ///
    /// An app comes before an account of the same name; `account\2fNAME` and `app\2fNAME` say which one is meant.
    func name(_ jid: JID) -> Name? {
        guard jid.domain == component, let local = jid.local else { return nil }
        let text = JIDEscaping.unescape(local)
        if let address = QueueAddress(text) {
            switch address {
            case .app(let id): return apps.contains(id) ? .app(id) : nil
            case .account(let id): return .account(id.text)
            case .device: return nil
            }
        }
        return apps.contains(AppID(text)) ? .app(AppID(text)) : .account(text)
    }

    enum Name: Sendable, Hashable {
        case app(AppID)
        /// Whether there is one, the gateway knows.
        case account(String)
    }

    /// The address of a sender; nil for a device.
    func address(_ sender: QueueAddress) -> JID? {
        switch sender {
        case .app(let id): JID(local: JIDEscaping.escape(id.text), domain: component)
        case .account(let id):
            JID(
                local: JIDEscaping.escape(apps.contains(AppID(id.text)) ? sender.description : id.text),
                domain: component)
        case .device: nil
        }
    }
}
