package import Base
package import Gateway
internal import MonitorTools

/// The `jmap` kind of monitor.
package struct JMAPMonitorPlugin: MonitorPlugin {
    package var kind: String { "jmap" }

    package init() {}

    private enum Authentication: String, CaseIterable { case password, token }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let url = reader.url("url", schemes: ["https", "http"])
        let caFile = reader.optionalFile("caFile")
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        let authentication = reader.choice("authentication", default: Authentication.password)
        let mailboxes = reader.strings("mailboxes", default: ["inbox"])
        let poll = reader.seconds("pollSeconds", in: 10...86_400, default: 60)
        let reconcile = reader.seconds("reconcileSeconds", in: 30...3_600, default: 300)
        let push = reader.bool("push", default: true)
        if mailboxes.isEmpty || mailboxes.contains("") {
            reader.report("mailboxes", "expected roles such as \"inbox\", or names")
        }
        guard let address = try? WebAddress(url) else {
            if reader.has("url") { reader.report("url", "expected a URL such as https://mail.example.org") }
            return nil
        }
        if !address.isSecure, !Self.isLoopback(address.host), !allowPlaintext {
            reader.report(
                "url", "credentials would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
        }
        // A server's address alone: the session is at the well-known place (RFC 8620 section 2.2).
        let hasPath = url.drop { $0 != ":" }.dropFirst(3).contains("/")
        let settings = JMAPMonitor.Settings(
            sessionURL: hasPath ? url : url + "/.well-known/jmap", caFile: caFile,
            usesToken: authentication == .token, mailboxes: mailboxes, poll: poll, reconcile: reconcile, push: push)
        var http = MonitorHTTP(
            base: address.origin, pool: "jmap:\(app.text)", transport: context.transport, time: context.time)
        http.caFile = caFile
        return JMAPMonitor(
            settings, upstream: address.origin, http: http, streams: context.transport as? any HTTPStreamTransport,
            time: context.time)
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "[::1]"
            || (host.hasPrefix("127.") && host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E })
    }
}
