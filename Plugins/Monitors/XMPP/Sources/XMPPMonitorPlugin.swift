package import Base
package import Gateway
internal import Outbound

/// The `xmpp` kind of monitor.
package struct XMPPMonitorPlugin: MonitorPlugin {
    package var kind: String { "xmpp" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        guard let settings = settings(reader) else { return nil }
        let connector: any XMPPConnector =
            (context.transport as? HTTPClient).map { OutboundXMPPConnector(client: $0) } ?? MissingConnector()
        return XMPPMonitor(
            settings, connector: connector, time: context.time,
            log: context.log.with(["app.id": .string(app.text), "monitor.kind": "xmpp"]))
    }

    /// Reads the plugin's keys; nil after a fault that leaves no server to watch.
    private func settings(_ reader: ConfigReader) -> XMPPMonitor.Settings? {
        let url = reader.url("url", schemes: ["xmpps", "xmpp"])
        let caFile = reader.optionalFile("caFile")
        let domain = reader.optionalString("domain")?.lowercased()
        if let domain, domain.isEmpty || domain.contains(where: { "@/ ".contains($0) }) {
            reader.report("domain", "expected a domain, such as example.org")
        }
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let timeout = reader.seconds("connectSeconds", in: 5...300, default: 30)
        var options = XMPPSession.Options()
        options.commandTimeout = reader.seconds("commandSeconds", in: 5...300, default: 30)
        options.ping = reader.seconds("pingSeconds", in: 30...3_600, default: 120)
        options.reconcile = reader.seconds("reconcileSeconds", in: 30...3_600, default: 300)
        guard let (isEncrypted, host, port) = Self.split(url) else {
            if reader.has("url") {
                reader.report("url", "expected xmpps://host or xmpp://host, with an optional :port and no path")
            }
            return nil
        }
        if !isEncrypted && !Self.isLoopback(host) && !allowPlaintext {
            reader.report(
                "url",
                "passwords would cross the network in the clear, as STARTTLS is not spoken: use xmpps:// (direct TLS, "
                    + "port 5223); set \"allowPlaintext\":true if that is meant")
        }
        return XMPPMonitor.Settings(
            server: XMPPServer(host: host, port: port, isEncrypted: isEncrypted, caFile: caFile, timeout: timeout),
            domain: domain, session: options)
    }

    /// Whether encrypted, host without brackets, and port of `xmpps://host:5223`; nil for anything else.
    static func split(_ url: String) -> (isEncrypted: Bool, host: String, port: Int)? {
        guard let colon = url.firstIndex(of: ":") else { return nil }
        let scheme = url[..<colon].lowercased()
        var rest = url[url.index(after: colon)...]
        guard rest.hasPrefix("//"), scheme == "xmpp" || scheme == "xmpps" else { return nil }
        rest = rest.dropFirst(2)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        guard !rest.contains(where: { "/@?# ".contains($0) }) else { return nil }
        var port = scheme == "xmpps" ? 5223 : 5222
        var host = String(rest)
        if let end = rest.lastIndex(of: ":"), !rest.hasSuffix("]"),
            rest.hasPrefix("[") || rest.firstIndex(of: ":") == end
        {
            guard let number = Int(rest[rest.index(after: end)...]), (1...65_535).contains(number) else { return nil }
            (port, host) = (number, String(rest[..<end]))
        }
        if host.hasPrefix("[") && host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
        return host.isEmpty || host.contains("[") || host.contains("]") ? nil : (scheme == "xmpps", host, port)
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "::1"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}

/// Stands in where the daemon gave no client, as in `farbell check`.
private struct MissingConnector: XMPPConnector {
    func connect(_ server: XMPPServer) async throws -> any XMPPStream {
        throw MonitorFailure(.network, "no client is available")
    }
}
