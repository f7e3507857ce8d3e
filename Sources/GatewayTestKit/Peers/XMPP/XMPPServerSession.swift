internal import Base
internal import XML

/// One device's stream to the fake XMPP server. On the loop's thread only.
final class XMPPServerSession: PeerHandler {
    private enum State {
        case opening(afterLogin: Bool)
        case login, bind, bound
    }

    static let client = "jabber:client"
    private static let streams = "http://etherx.jabber.org/streams"
    private static let sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    private static let bindNamespace = "urn:ietf:params:xml:ns:xmpp-bind"

    private unowned let connection: PeerConnection
    private let core: FakeXMPPServer.Core
    private var state = State.opening(afterLogin: false)
    private var xml: XMLStream?
    private var resource = ""
    private var hasCarbons = false
    private var requests: Set<String> = []

    init(_ connection: PeerConnection, core: FakeXMPPServer.Core) { (self.connection, self.core) = (connection, core) }

    func opened() {
        if core.isDown { return connection.abort() }
        if core.talksNonsense { connection.send("<a></b>") }
        renew()
    }

    func closed() { core.sessions[ObjectIdentifier(self)] = nil }

    func received(_ bytes: [UInt8]) {
        if core.isSilent { return }
        do {
            for item in try xml?.push(bytes) ?? [] where !connection.isClosed { take(item) }
        } catch {
            violation("\(error)")
        }
    }

    private func renew() {
        do {
            xml = try XMLStream()
        } catch {
            violation("no reader")
        }
    }

    // MARK: What it says

    func inject(_ text: String) { connection.send(text) }

    private func say(_ element: XMLElement) { connection.send(element.xml(inheriting: Self.client)) }

    func end(_ condition: String) {
        connection.send(
            "<stream:error><\(condition) xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
        connection.close()
    }

    private func violation(_ text: String) {
        core.violations.append(text)
        if !connection.isClosed { end("bad-format") }
    }

    /// A message as this device gets it: its own account's as a copy.
    func tell(_ message: XMLElement) {
        if core.isSilent { return }
        guard message.attribute("from")?.hasPrefix(FakeXMPPServer.address) == true else { return say(message) }
        guard hasCarbons else { return }
        let copy = XMLElement(
            "sent", in: "urn:xmpp:carbons:2",
            children: [XMLElement("forwarded", in: "urn:xmpp:forward:0", children: [message])])
        say(
            XMLElement(
                "message", in: Self.client,
                ["from": FakeXMPPServer.address, "to": "\(FakeXMPPServer.address)/\(resource)"], children: [copy]))
    }

    // MARK: What it takes

    private func take(_ item: XMLStreamItem) {
        switch item {
        case .opened(let root): open(root)
        case .closed:
            connection.send("</stream:stream>")
            connection.close()
        case .child(let element): take(element)
        }
    }

    private func open(_ root: XMLElement) {
        guard root.isNamed("stream", in: Self.streams), root.attribute("to") == FakeXMPPServer.domain,
            root.attribute("version") == "1.0", case .opening(let afterLogin) = state
        else { return violation("not the start of a stream") }
        connection.send(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='\(Self.streams)' id='s' "
                + "from='\(FakeXMPPServer.domain)' version='1.0' xml:lang='en'>")
        if core.isThrottled { return end("resource-constraint") }
        let features =
            afterLogin
            ? "<bind xmlns='\(Self.bindNamespace)'><required/></bind>"
            : "<mechanisms xmlns='\(Self.sasl)'><mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism></mechanisms>"
        connection.send("<stream:features>\(features)</stream:features>")
        state = afterLogin ? .bind : .login
    }

    private func take(_ element: XMLElement) {
        switch state {
        case .opening: violation("a stanza before the stream's start")
        case .login: logIn(element)
        case .bind, .bound:
            guard element.name.namespace == Self.client else { return violation("not of jabber:client") }
            switch element.name.local {
            case "iq": request(element)
            case "presence": presence(element)
            default: violation("a monitor has nothing to say: \(element.name.local)")
            }
        }
    }

    private func logIn(_ element: XMLElement) {
        guard element.isNamed("auth", in: Self.sasl), element.attribute("mechanism") == "PLAIN",
            let message = [UInt8](base64: element.text)
        else { return violation("no SASL PLAIN") }
        core.logins += 1
        guard message == [0] + Array(FakeXMPPServer.user.utf8) + [0] + Array(FakeXMPPServer.password.utf8) else {
            connection.send(
                "<failure xmlns='\(Self.sasl)'><not-authorized/><text>\(FakeXMPPServer.user)</text></failure>")
            return
        }
        connection.send("<success xmlns='\(Self.sasl)'/>")
        state = .opening(afterLogin: true)
        renew()
    }

    private func presence(_ presence: XMLElement) {
        guard case .bound = state else { return violation("presence before a resource") }
        guard presence.text(of: "priority") == "-1" else { return violation("a priority that takes messages away") }
    }

    private func request(_ iq: XMLElement) {
        guard let id = iq.attribute("id"), let type = iq.attribute("type"), iq.children.count == 1 || type == "result",
            type == "result" || type == "error" || requests.insert(id).inserted
        else { return violation("an iq without an id of its own, or with nothing to ask") }
        guard let child = iq.children.first, type == "get" || type == "set" else { return }
        switch (child.name.namespace, state) {
        case (Self.bindNamespace, .bind):
            resource = child.text(of: "resource") ?? "r"
            let jid = XMLElement("jid", in: Self.bindNamespace, text: "\(FakeXMPPServer.address)/\(resource)")
            answer(id, XMLElement("bind", in: Self.bindNamespace, children: [jid]))
            state = .bound
            core.sessions[ObjectIdentifier(self)] = self
        case (_, .bind): violation("a request before a resource")
        case ("urn:xmpp:carbons:2", _):
            hasCarbons = true
            answer(id, nil)
        case ("urn:xmpp:ping", _): answer(id, nil)
        case ("urn:xmpp:mam:2", _): query(child, id)
        default: violation("an unknown request: \(child.name.local)")
        }
    }

    private func answer(_ id: String, _ content: XMLElement?) {
        say(XMLElement("iq", in: Self.client, ["type": "result", "id": id], children: content.map { [$0] } ?? []))
    }

    // MARK: The archive

    private func query(_ query: XMLElement, _ id: String) {
        let (form, set) = ("jabber:x:data", "http://jabber.org/protocol/rsm")
        let fields = query.child("x", in: form)?.children("field") ?? []
        func value(_ name: String) -> String? { fields.first { $0.attribute("var") == name }?.text(of: "value") }
        guard query.child("x", in: form)?.attribute("type") == "submit", fields.first?.attribute("type") == "hidden",
            value("FORM_TYPE") == "urn:xmpp:mam:2", let page = query.child("set", in: set),
            let limit = page.text(of: "max").flatMap({ Int($0) }), (1...100).contains(limit)
        else { return violation("not a query of an archive") }
        var found = core.archive[...]
        if let after = page.text(of: "after") {
            core.queries.append("after:\(after)")
            guard let number = Int(after.dropFirst()), number > core.forgotten else { return notFound(id) }
            found = found.drop { (Int($0.id.dropFirst()) ?? 0) <= number }
        } else if let start = value("start") {
            core.queries.append("start:\(start)")
            found = found.drop { $0.stamp < start }
        } else {
            core.queries.append(page.child("before") == nil ? "" : "before")
        }
        let results = page.child("before") == nil ? found.prefix(limit) : found.suffix(limit)
        for entry in results { say(result(entry, query.attribute("queryid") ?? "")) }
        var fin = XMLElement("fin", in: "urn:xmpp:mam:2", children: [XMLElement("set", in: set)])
        if results.count == found.count { fin.attributes.append(XMLAttribute(XMLName("complete"), "true")) }
        answer(id, fin)
    }

    private func notFound(_ id: String) {
        let condition = XMLElement("item-not-found", in: "urn:ietf:params:xml:ns:xmpp-stanzas")
        let error = XMLElement("error", in: Self.client, ["type": "cancel"], children: [condition])
        say(XMLElement("iq", in: Self.client, ["type": "error", "id": id], children: [error]))
    }

    private func result(_ entry: FakeXMPPServer.Core.Entry, _ query: String) -> XMLElement {
        let delay = XMLElement("delay", in: "urn:xmpp:delay", ["stamp": entry.stamp])
        let forwarded = XMLElement("forwarded", in: "urn:xmpp:forward:0", children: [delay, entry.message])
        let result = XMLElement(
            "result", in: "urn:xmpp:mam:2", ["id": entry.id, "queryid": query], children: [forwarded])
        return XMLElement(
            "message", in: Self.client, ["to": "\(FakeXMPPServer.address)/\(resource)"], children: [result])
    }
}
