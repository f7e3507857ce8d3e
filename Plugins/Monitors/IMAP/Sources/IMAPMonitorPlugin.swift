package import Base
package import Gateway
internal import Outbound

/// The `imap` kind of monitor.
package struct IMAPMonitorPlugin: MonitorPlugin {
    package var kind: String { "imap" }
    private let connector: (any MailConnector)?

    /// - Parameter connector: nil takes the daemon's own client, out of the plugin context.
    package init(connector: (any MailConnector)? = nil) { self.connector = connector }

    private enum StartTLS: String, CaseIterable { case required, none }
    private enum Authentication: String, CaseIterable { case password, token }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        guard let settings = settings(reader) else { return nil }
        let client = (context.transport as? HTTPClient).map { OutboundMailConnector(client: $0, time: context.time) }
        return IMAPMonitor(
            settings, connector: connector ?? client ?? MissingConnector(), time: context.time,
            log: context.log.with(["app.id": .string(app.text), "monitor.kind": "imap"]),
            readHeader: MessageHeader.read)
    }

    /// Reads the plugin's keys; nil after a fault that leaves no server to watch.
    private func settings(_ reader: ConfigReader) -> IMAPMonitor.Settings? {
        let url = reader.url("url", schemes: ["imaps", "imap"])
        let caFile = reader.optionalFile("caFile")
        let mailbox = reader.string("mailbox", default: "INBOX")
        if mailbox.isEmpty || mailbox.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            reader.report("mailbox", "a mailbox's name is not empty and has no control characters")
        }
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let hasStartTLS = reader.has("startTLS")
        let chosen = reader.choice("startTLS", default: StartTLS.required)
        var options = IMAPSession.Options()
        options.mailbox = mailbox
        options.poll = reader.seconds("pollSeconds", in: 10...86_400, default: 60)
        options.reconcile = reader.seconds("reconcileSeconds", in: 30...3_600, default: 300)
        options.commandTimeout = reader.seconds("commandSeconds", in: 5...300, default: 30)
        let idle = reader.seconds("idleSeconds", in: 60...1_740, default: 540)
        let connectTimeout = reader.seconds("connectSeconds", in: 5...300, default: 30)
        let authentication = reader.choice("authentication", default: Authentication.password)

        guard let (scheme, host, port) = Self.split(url) else {
            if reader.has("url") {
                reader.report("url", "expected imaps://host or imap://host, with an optional :port and no path")
            }
            return nil
        }
        var encryption = MailLogin.Encryption.implicit
        if scheme == "imap" {
            let isLocal = Self.isLoopback(host)
            let startTLS = hasStartTLS || !isLocal ? chosen : .none
            if startTLS == .none && !isLocal && !allowPlaintext {
                reader.report(
                    "startTLS",
                    "passwords would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
            }
            encryption = startTLS == .none ? .none : .startTLS
        } else if hasStartTLS {
            reader.report("startTLS", "imaps:// is encrypted from the first byte; startTLS belongs to imap://")
        }
        return IMAPMonitor.Settings(
            host: host, port: port, encryption: encryption, caFile: caFile, usesToken: authentication == .token,
            connectTimeout: connectTimeout, idle: idle, session: options)
    }

    /// Scheme, host without brackets, and port of `imaps://host:993`; nil for anything else.
    static func split(_ url: String) -> (scheme: String, host: String, port: Int)? {
        guard let colon = url.firstIndex(of: ":") else { return nil }
        let scheme = url[..<colon].lowercased()
        var rest = url[url.index(after: colon)...]
        guard rest.hasPrefix("//"), scheme == "imap" || scheme == "imaps" else { return nil }
        rest = rest.dropFirst(2)
        guard !rest.contains(where: { "/@?# ".contains($0) }) else { return nil }
        var port = scheme == "imaps" ? 993 : 143
        var host = String(rest)
        if let end = rest.lastIndex(of: ":"), !rest.hasSuffix("]"),
            rest.hasPrefix("[") || rest.firstIndex(of: ":") == end
        {
            guard let number = Int(rest[rest.index(after: end)...]), (1...65_535).contains(number) else { return nil }
            (port, host) = (number, String(rest[..<end]))
        }
        if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty || host.contains("[") || host.contains("]") ? nil : (scheme, host, port)
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "::1"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}

/// Stands in where the daemon gave no mail client, as in `farbell check`.
private struct MissingConnector: MailConnector {
    func connect(_ login: MailLogin) async throws -> any MailStream {
        throw MonitorFailure(.network, "no mail client is available")
    }
}
