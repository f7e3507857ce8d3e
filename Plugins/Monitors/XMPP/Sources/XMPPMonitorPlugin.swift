package import Base
package import Gateway
internal import Outbound
internal import XMPPTools

/// The `xmpp` kind of monitor.
package struct XMPPMonitorPlugin: MonitorPlugin {
    package var kind: String { "xmpp" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        guard let settings = settings(reader) else { return nil }
        let connector: any XMPPConnector =
            (context.transport as? HTTPClient).map { OutboundXMPPConnector(client: $0) } ?? MissingXMPPConnector()
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
        guard let (isEncrypted, host, port) = XMPPServer.split(url) else {
            if reader.has("url") {
                reader.report("url", "expected xmpps://host or xmpp://host, with an optional :port and no path")
            }
            return nil
        }
        if !isEncrypted && !XMPPServer.isLoopback(host) && !allowPlaintext {
            reader.report(
                "url",
                "passwords would cross the network in the clear, as STARTTLS is not spoken: use xmpps:// (direct TLS, "
                    + "port 5223); set \"allowPlaintext\":true if that is meant")
        }
        return XMPPMonitor.Settings(
            server: XMPPServer(host: host, port: port, isEncrypted: isEncrypted, caFile: caFile, timeout: timeout),
            domain: domain, session: options)
    }
}
