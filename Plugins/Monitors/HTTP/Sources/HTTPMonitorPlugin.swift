package import Base
package import Gateway
internal import MonitorTools

/// The `http` kind of monitor: any API that answers with a list in JSON.
package struct HTTPMonitorPlugin: MonitorPlugin {
    package var kind: String { "http" }

    package init() {}

    private enum Missing: String, CaseIterable { case nothing, gone }

    package func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        let url = reader.url("url", schemes: ["https", "http"])
        var settings = HTTPMonitor.Settings(url: url, reader: items(reader))
        settings.caFile = reader.optionalFile("caFile")
        settings.authentication = reader.choice("authentication", default: .bearer)
        if let header = reader.optionalString("header") {
            settings.header = header
            if settings.authentication != .header {
                reader.report("header", "belongs to \"authentication\":\"header\"")
            } else if !Self.isToken(header) {
                reader.report("header", "is no name of a header field")
            }
        }
        settings.next = next(reader)
        settings.pages = reader.integer("pages", in: 1...100, default: 5)
        settings.missingIsGone = reader.choice("missing", default: Missing.nothing) == .gone
        settings.poll = reader.seconds("pollSeconds", in: 5...86_400, default: 60)
        // Marks are no characters of a URL: any name stands for them here.
        let example = url.replacing("{username}", with: "u").replacing("{account}", with: "u")
        guard let address = try? WebAddress(example) else {
            if reader.has("url") { reader.report("url", "expected a URL, with {username} or {account} where needed") }
            return nil
        }
        let authority = url.split(separator: "/", omittingEmptySubsequences: false).dropFirst(2).first ?? ""
        if authority.contains("{") { reader.report("url", "a name must not choose the server") }
        if settings.authentication == .none, url == example {
            reader.report("url", "without {username} or a login, every user would see the same items; see kind 'feed'")
        }
        if settings.authentication != .none, !address.isSecure, !Self.isLoopback(address.host),
            !reader.bool("allowPlaintext", default: false)
        {
            reader.report(
                "url", "credentials would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
        } else {
            _ = reader.bool("allowPlaintext", default: false)
        }
        var http = MonitorHTTP(
            base: address.origin, pool: "http:\(app.text)", transport: context.transport, time: context.time)
        http.caFile = settings.caFile
        return HTTPMonitor(settings, origin: address.origin, http: http, time: context.time)
    }

    private func items(_ reader: ConfigReader) -> ItemReader {
        func place(_ key: String) -> JSONPointer? {
            guard let text = reader.optionalString(key) else { return nil }
            guard let pointer = JSONPointer(text) else {
                reader.report(key, "expected a JSON Pointer (RFC 6901) such as /data/items")
                return nil
            }
            return pointer
        }
        var items = ItemReader(items: place("items") ?? JSONPointer.whole)
        items.places.id = place("id")
        items.places.title = place("title")
        items.places.sender = place("sender")
        items.places.senderAddress = place("senderAddress")
        items.places.time = place("time")
        items.places.preview = place("preview")
        items.places.thread = place("thread")
        items.places.content = place("content")
        items.places.read = place("read")
        items.places.unread = place("unread")
        if items.places.read != nil, items.places.unread != nil {
            reader.report("unread", "either 'read' or 'unread' tells whether an item was read, not both")
        }
        return items
    }

    private func next(_ reader: ConfigReader) -> HTTPMonitor.Next {
        let parameter = reader.optionalString("nextParameter")
        guard let text = reader.optionalString("next") else {
            if parameter != nil { reader.report("nextParameter", "needs 'next', the place of its value") }
            return .none
        }
        if text == "link" {
            if parameter != nil { reader.report("nextParameter", "does not go with \"next\":\"link\"") }
            return .link
        }
        guard let pointer = JSONPointer(text), !text.isEmpty else {
            reader.report("next", "expected \"link\" or a JSON Pointer (RFC 6901) such as /paging/next")
            return .none
        }
        return parameter.map { .parameter(pointer, name: $0) } ?? .url(pointer)
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                    || "!#$%&'*+-.^_`|~".utf8.contains(byte)
            }
    }

    private static func isLoopback(_ host: String) -> Bool {
        host == "localhost" || host == "[::1]"
            || (host.hasPrefix("127.") && host.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E })
    }
}
