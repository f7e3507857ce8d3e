import Base
import Gateway
import XML
import XMPPTools

@testable import XMPPBridge

/// A session with its server's side in the test's hands.
struct SessionRig {
    static let component = "farbell.x"
    static let secret = Secret("mellon")

    var session: ComponentSession
    var now = Moment(nanoseconds: 1_000_000_000_000)
    var wall = Timestamp(seconds: 1_800_000_000)
    /// Everything asked for since the last look.
    var actions: [ComponentSession.Action] = []
    /// Everything sent since the last look.
    var sent: [XMLElement] = []
    private let reader: XMLStream

    init(
        accounts: Set<String> = ["alice", "bob", "oa"], linked: [AccountID] = [],
        options: ComponentSession.Options = .init(), contacts: [AccountID: AccountPresence] = [:],
        asking: Set<AccountID> = [], isLinked: Bool = true, isReady: Bool = true
    ) throws {
        let names = ComponentSession.Names(
            apps: [(id: "oa", name: "Office")], account: { accounts.contains($0) ? AccountID($0) : nil },
            isLinked: { isLinked && accounts.contains($0.text) },
            presence: { peer, _ in contacts[peer] }, contacts: { _ in contacts.map { ($0.key, $0.value) } },
            contact: { peer, _ in contacts[peer] == nil ? asking.contains(peer) ? .asking : nil : .contact })
        session = ComponentSession(
            component: Self.component, secret: Self.secret, users: BridgeUsers(domain: "x"), host: names,
            options: options, linked: linked, at: now)
        reader = try XMLStream()
        perform(session.start(instant))
        guard isReady else { return }
        try opened()
        try take("<handshake/>")
        (actions, sent) = ([], [])
    }

    var instant: ComponentSession.Instant { .init(now: now, wall: wall) }

    private mutating func perform(_ new: [ComponentSession.Action]) {
        actions += new
        session.askForEcho(instant)
        // What our side writes must be XML a server reads.
        let items = (try? reader.push(session.takeOutput())) ?? [.closed]
        for case .child(let element) in items { sent.append(element) }
    }

    mutating func opened(id: String = "s1") throws {
        perform(session.received(.opened(Self.root(["id": id, "from": Self.component])), instant))
    }

    static func root(_ attributes: [String: String]) -> XMLElement {
        XMLElement(
            XMLName("stream", in: XMPPNamespace.stream),
            attributes.map { XMLAttribute(XMLName($0.key), $0.value) })
    }

    /// The server sends a stanza.
    mutating func take(_ text: String) throws {
        let root = try XMLElement(
            parsing: Array("<r xmlns='\(Stanza.namespace)' xmlns:stream='\(XMPPNamespace.stream)'>\(text)</r>".utf8))
        for child in root.children { perform(session.received(.child(child), instant)) }
    }

    /// A message from a user.
    mutating func say(
        _ body: String, from: String = "alice@x/phone", to: String = "oa@farbell.x", id: String = "1", more: String = ""
    ) throws {
        try take("<message from='\(from)' to='\(to)' id='\(id)' type='chat'><body>\(body)</body>\(more)</message>")
    }

    /// An event of an account's stream.
    mutating func hear(_ event: BridgeEvent, _ number: Int64?, _ account: AccountID = "alice") {
        let generation = session.linked[account]?.generation ?? 0
        perform(session.heard(event, number: number, account, generation: generation, instant))
    }

    mutating func hear(
        message text: String, _ number: Int64, from: QueueAddress = .app("oa"), correlation: String? = nil
    ) {
        hear(.message(Self.message(text, number, from: from, correlation: correlation, at: wall)), number)
    }

    static func message(
        _ text: String, _ number: Int64, from: QueueAddress = .app("oa"), correlation: String? = nil, at: Timestamp
    ) -> Message {
        var message = Message(
            key: MessageKey(queue: 1, seq: number), address: .account("alice"), sender: from, app: nil, subject: nil,
            body: Array(text.utf8), enqueued: at, expires: nil)
        message.correlation = correlation
        return message
    }

    mutating func post(_ token: Int64, _ result: Result<MessageKey, GatewayError>) {
        session.posted(token, result)
        perform([])
    }

    mutating func attached(_ account: AccountID = "alice", isNew: Bool? = false) {
        session.attached(account, generation: session.linked[account]?.generation ?? 0, isNew: isNew)
        perform([])
    }

    /// Time passes, and what is due happens.
    mutating func pass(_ duration: Duration) {
        now = now + duration
        wall = wall + duration
        perform(session.deadlinePassed(instant))
    }

    /// The server returns the echo that is waited for.
    mutating func echo() throws {
        guard let id = session.echo.waiting else { return }
        try take("<iq from='farbell.x' to='farbell.x' type='get' id='echo-\(id)'/>")
    }

    mutating func takeActions() -> [ComponentSession.Action] {
        defer { actions = [] }
        return actions
    }

    /// What was sent, but the echoes.
    mutating func takeSent() -> [XMLElement] {
        defer { sent = [] }
        return sent.filter { !($0.attribute("id")?.hasPrefix("echo-") ?? false) }
    }
}

extension XMLElement {
    /// The condition of a stanza error.
    var condition: String? {
        child("error")?.children.first { $0.name.namespace == XMPPNamespace.stanzaErrors }?.name.local
    }
}
