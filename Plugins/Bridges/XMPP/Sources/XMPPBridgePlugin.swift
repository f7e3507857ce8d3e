package import Base
package import Gateway
internal import Outbound
internal import XMPPTools

/// The `xmpp` kind of bridge.
package struct XMPPBridgePlugin: BridgePlugin {
    package var kind: String { "xmpp" }

    package init() {}

    package func configure(bridge name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any Bridge)? {
        guard let settings = settings(reader) else { return nil }
        let connector: any XMPPConnector =
            (context.transport as? HTTPClient).map { OutboundXMPPConnector(client: $0) } ?? MissingXMPPConnector()
        return XMPPBridge(
            settings, connector: connector, time: context.time, log: context.log.with(["bridge": .string(name)]))
    }

    /// Reads the plugin's keys; nil after a fault that leaves no server to join.
    private func settings(_ reader: ConfigReader) -> XMPPBridge.Settings? {
        let url = reader.url("url", schemes: ["xmpp", "xmpps"])
        let caFile = reader.optionalFile("caFile")
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let component = domain("component", reader.string("component"), reader)
        let secret = reader.secret("secret")
        let users = reader.object("users") { self.users($0, component: component) }
        if users == nil, !reader.has("users") {
            reader.report("users", "say which addresses are which accounts: \"users\":{\"domain\":\"example.org\"}")
        }
        let timeout = reader.seconds("connectSeconds", in: 5...300, default: 30)
        var options = ComponentSession.Options()
        options.patience = timeout
        options.ping = reader.seconds("pingSeconds", in: 10...3_600, default: 60)
        options.receiptWait = reader.seconds("receiptSeconds", in: 1...300, default: 10)
        options.messageBytes = reader.integer("messageBytes", in: 1024...(128 << 10), default: options.messageBytes)
        options.perMinute = reader.integer("messagesPerMinute", in: 1...100_000, default: options.perMinute)
        guard let (isEncrypted, host, port) = XMPPServer.split(url, ports: (5347, 5347)) else {
            if reader.has("url") {
                reader.report("url", "expected xmpp://host or xmpps://host, with an optional :port and no path")
            }
            return nil
        }
        if !isEncrypted && !XMPPServer.isLoopback(host) && !allowPlaintext {
            reader.report(
                "url",
                "messages would cross the network in the clear: use xmpps://, a tunnel to a loopback address, or set "
                    + "\"allowPlaintext\":true if that is meant")
        }
        guard let users else { return nil }
        return XMPPBridge.Settings(
            server: XMPPServer(host: host, port: port, isEncrypted: isEncrypted, caFile: caFile, timeout: timeout),
            component: component, secret: secret, users: users, session: options)
    }

    private func users(_ reader: ConfigReader, component: String) -> BridgeUsers {
        let domain = reader.optionalString("domain").map { self.domain("domain", $0, reader) }
        if domain == component { reader.report("domain", "the component is no domain of users") }
        let entries = reader.stringMap("accounts")
        var accounts: [String: String] = [:]
        for (address, account) in entries {
            guard let jid = JID(address.lowercased()), jid.local != nil, jid.resource == nil, jid.domain != component
            else {
                reader.report("accounts", "'\(address.printable)' is no address such as alice@example.org")
                continue
            }
            if accounts.values.contains(account) {
                reader.report("accounts", "the account '\(account.printable)' has two addresses; one is taken")
            }
            accounts[jid.text] = account
        }
        if entries.count > BridgeUsers.limit {
            reader.report("accounts", "at most \(BridgeUsers.limit) addresses; use \"domain\"")
        }
        if domain == nil, entries.isEmpty { reader.report("domain", "name a domain, or accounts by address") }
        return BridgeUsers(domain: domain, accounts: accounts)
    }

    private func domain(_ key: String, _ text: String, _ reader: ConfigReader) -> String {
        let domain = text.lowercased()
        if reader.has(key), JID(domain).map({ $0.local != nil || $0.resource != nil }) ?? true || domain.contains(" ") {
            reader.report(key, "expected a domain, such as example.org")
        }
        return domain
    }
}
