package import Base
package import Gateway
internal import MonitorTools

/// The `feed` kind of monitor: RSS and Atom.
package struct FeedMonitorPlugin: MonitorPlugin {
    package var kind: String { "feed" }

    package init() {}

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        var settings = FeedMonitor.Settings(url: reader.url("url", schemes: ["https", "http"]))
        settings.caFile = reader.optionalFile("caFile")
        settings.authentication = reader.choice("authentication", default: .none)
        settings.poll = reader.seconds("pollSeconds", in: 30...86_400, default: 900)
        let allowPlaintext = reader.bool("allowPlaintext", default: false)
        guard let address = try? WebAddress(settings.url.replacing("{username}", with: "u")) else {
            if reader.has("url") { reader.report("url", "expected a URL, with {username} where needed") }
            return nil
        }
        let authority = settings.url.split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).first ?? ""
        if authority.contains("{") { reader.report("url", "a name must not choose the server") }
        if settings.authentication == .basic, !address.isSecure, !allowPlaintext {
            reader.report(
                "url", "passwords would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
        }
        var http = MonitorHTTP(
            base: address.origin, pool: "feed:\(app.text)", transport: context.transport, time: context.time)
        http.caFile = settings.caFile
        return FeedMonitor(settings, origin: address.origin, http: http, time: context.time)
    }
}
