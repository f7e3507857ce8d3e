internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

/// One account's stream, from the login to its end. What arrives live is only a hint: news are what the archive
/// (XEP-0313) says after it was asked, so nothing is lost or told twice whatever happens to the stream.
///
/// No clock, no socket: takes what the server says and deadlines that pass, returns what to do.
struct XMPPSession: Sendable {
    struct Options: Sendable, Hashable {
        /// From a request to its answer.
        var commandTimeout = Duration.seconds(30)
        /// Between pings (XEP-0199) while nothing else is said.
        var ping = Duration.seconds(120)
        /// Between questions to the archive that nothing gave rise to.
        var reconcile = Duration.seconds(300)
    }

    struct Login: Sendable {
        /// The account's part before the `@`.
        var user: String
        var domain: String
        var password: Secret
        /// The name of this device.
        var resource: String
        /// Whether the password may be sent: TLS, or plain text on purpose.
        var isProtected = true
    }

    struct Instant: Sendable {
        var now: Moment
        var wall: Timestamp
    }

    enum Action: Sendable {
        case send([UInt8])
        /// The next bytes are the start of a new XML document.
        case restart
        case emit(MonitorBatch)
        case watching
        case heard
        case fail(MonitorFailure)
    }

    enum State: Sendable, Hashable {
        case opening(afterLogin: Bool)
        case features(afterLogin: Bool)
        case loggingIn, binding, baseline
        /// Asks the archive, or waits for the host to store what it said.
        case catchingUp
        case storing
        case watching
        /// Waits for the answer to a ping.
        case pinging
    }

    /// Entries that are asked for at once.
    static let pageLimit = 50

    let options: Options
    let login: Login
    var page: Int
    var state = State.opening(afterLogin: false)
    private(set) var deadline = Moment.distantFuture
    var cursor: XMPPCursor?
    /// The account's address as the server knows it, without a device.
    var own = ""
    var lastRequest = 0
    /// Something was heard of since the archive was asked.
    var isDirty = false
    var hasMore = false
    var saidWatching = false
    /// When the archive is asked even if nothing was heard.
    var reconcileAt = Moment.distantFuture
    /// What a page of the archive has brought so far.
    var pending: [ArchiveEntry] = []
    /// The server has forgotten the cursor's id: ask by time.
    var asksByTime = false

    struct ArchiveEntry: Sendable {
        var id: String
        var time: Timestamp?
        var message: XMPPMessage?
    }

    init(cursor: XMPPCursor?, login: Login, options: Options, page: Int = pageLimit) {
        (self.cursor, self.login, self.options, self.page) = (cursor, login, options, page)
    }

    // MARK: Events

    mutating func start(_ instant: Instant) -> [Action] { openStream(instant) }

    /// Takes the next piece of the server's stream.
    mutating func received(_ item: XMLStreamItem, _ instant: Instant) -> [Action] {
        switch item {
        case .opened(let root):
            guard root.isNamed("stream", in: XMPPNamespace.stream), case .opening(let afterLogin) = state else {
                return [.fail(MonitorFailure(.protocolViolation, "the server does not speak XMPP"))]
            }
            state = .features(afterLogin: afterLogin)
            return [.heard]
        case .closed: return [.fail(MonitorFailure(.network, "the server closed the stream"))]
        case .child(let element):
            if element.isNamed("error", in: XMPPNamespace.stream) {
                return [.fail(XMPPFailure.stream(element, now: instant.now))]
            }
            return [.heard] + take(element, instant)
        }
    }

    /// The time of `deadline` has come.
    mutating func deadlinePassed(_ instant: Instant) -> [Action] {
        switch state {
        case .watching where instant.now >= reconcileAt: return askArchive(instant)
        case .watching:
            state = .pinging
            expectAnswer(instant)
            let ping = XMLElement("ping", in: XMPPNamespace.ping)
            return [.send(request("get", to: login.domain, ping))]
        case .storing: return []
        default: return [.fail(MonitorFailure(.network, "the server did not answer in time"))]
        }
    }

    /// The host has stored the batch emitted last.
    mutating func committed(_ instant: Instant) -> [Action] {
        guard state == .storing else { return [] }
        return hasMore || isDirty ? askArchive(instant) : settle(instant)
    }

    // MARK: Steps

    private mutating func take(_ element: XMLElement, _ instant: Instant) -> [Action] {
        switch state {
        case .features(let afterLogin):
            guard element.isNamed("features", in: XMPPNamespace.stream) else { return unexpected() }
            return afterLogin ? bind(element, instant) : authenticate(element, instant)
        case .loggingIn:
            if element.isNamed("success", in: XMPPNamespace.sasl) {
                state = .opening(afterLogin: true)
                return [.restart] + openStream(instant)
            }
            guard element.isNamed("failure", in: XMPPNamespace.sasl) else { return unexpected() }
            return [.fail(XMPPFailure.login(element))]
        case .opening: return unexpected()
        case .binding: return element.name.local == "iq" ? bound(element, instant) : []
        default: return stanza(element, instant)
        }
    }

    private func unexpected() -> [Action] {
        [.fail(MonitorFailure(.protocolViolation, "the server said something out of turn"))]
    }

    private mutating func openStream(_ instant: Instant) -> [Action] {
        expectAnswer(instant)
        let head =
            "<?xml version='1.0'?><stream:stream xmlns='\(XMPPNamespace.client)' xmlns:stream='\(XMPPNamespace.stream)' "
            + "to='\(login.domain.xmlEscaped)' version='1.0'>"
        return [.send(Array(head.utf8))]
    }

    private mutating func authenticate(_ features: XMLElement, _ instant: Instant) -> [Action] {
        let mechanisms = features.child("mechanisms", in: XMPPNamespace.sasl)
        let names = mechanisms?.children("mechanism").map { $0.text.trimmingSpace } ?? []
        guard names.contains("PLAIN"), login.isProtected else {
            return [.fail(MonitorFailure(.network, "the server offers no login by password (SASL PLAIN) here"))]
        }
        state = .loggingIn
        expectAnswer(instant)
        // RFC 4616.
        let message = [0] + Array(login.user.utf8) + [0] + login.password.bytes
        return [send(XMLElement("auth", in: XMPPNamespace.sasl, ["mechanism": "PLAIN"], text: message.base64))]
    }

    private mutating func bind(_ features: XMLElement, _ instant: Instant) -> [Action] {
        guard features.child("bind", in: XMPPNamespace.bind) != nil else { return unexpected() }
        state = .binding
        let resource = XMLElement("resource", in: XMPPNamespace.bind, text: login.resource)
        expectAnswer(instant)
        return [.send(request("set", to: nil, XMLElement("bind", in: XMPPNamespace.bind, children: [resource])))]
    }

    private mutating func bound(_ answer: XMLElement, _ instant: Instant) -> [Action] {
        guard answer.attribute("type") == "result",
            let address = answer.child("bind", in: XMPPNamespace.bind)?.text(of: "jid", in: XMPPNamespace.bind)
        else { return [.fail(XMPPFailure.stanza(answer, to: "a session", now: instant.now))] }
        own = XMPPMessage.bare(address)
        // A negative priority: nothing is routed here that would go to another device (RFC 6121 section 8.5.2.1.1),
        // and copies of everything come as carbons. "Extended away", so that nobody is thought to sit here.
        let presence = XMLElement(
            "presence", in: XMPPNamespace.client,
            children: [
                XMLElement("show", in: XMPPNamespace.client, text: "xa"),
                XMLElement("priority", in: XMPPNamespace.client, text: "-1"),
            ])
        let carbons = request("set", to: nil, XMLElement("enable", in: XMPPNamespace.carbons))
        return [.send(carbons), send(presence)] + askArchive(instant)
    }

    /// Nothing is left to ask.
    mutating func settle(_ instant: Instant) -> [Action] {
        state = .watching
        reconcileAt = instant.now + options.reconcile
        rest(instant)
        if saidWatching { return [] }
        saidWatching = true
        return [.watching]
    }

    // MARK: Sending

    mutating func expectAnswer(_ instant: Instant) { deadline = instant.now + options.commandTimeout }

    /// Waits for the next ping or reconciliation.
    mutating func rest(_ instant: Instant) { deadline = min(instant.now + options.ping, reconcileAt) }

    mutating func wait() { deadline = .distantFuture }

    func send(_ element: XMLElement) -> Action {
        .send(
            Array(
                element.xml(inheriting: element.name.namespace == XMPPNamespace.client ? XMPPNamespace.client : "").utf8
            ))
    }

    /// A request with an id of its own, which `isAnswer` knows again.
    mutating func request(_ type: String, to: String?, _ content: XMLElement) -> [UInt8] {
        lastRequest += 1
        var iq = XMLElement(
            "iq", in: XMPPNamespace.client, ["type": type, "id": "f\(lastRequest)"], children: [content])
        if let to { iq.attributes.append(XMLAttribute(XMLName("to"), to)) }
        return Array(iq.xml(inheriting: XMPPNamespace.client).utf8)
    }

    /// Whether a stanza answers the request sent last.
    func isAnswer(_ stanza: XMLElement) -> Bool {
        guard stanza.attribute("id") == "f\(lastRequest)" else { return false }
        // From our server or our account, and nobody else (RFC 6120 section 10.3.3).
        guard let from = stanza.attribute("from") else { return true }
        return XMPPMessage.bare(from) == own || from == login.domain
    }

    /// The end of our side.
    static let farewell = Array("</stream:stream>".utf8)
}
