internal import Base
internal import Cryptography
internal import Gateway
internal import XML
internal import XMPPTools

/// A component's dialogue with its server (XEP-0114) and what it means here: stanzas, events of the accounts' streams
/// and time go in; bytes and things to do come out. No clock, no lock, no network.
struct ComponentSession: Sendable {
    struct Options: Sendable, Hashable {
        /// From the connection to the end of the handshake, and for an echo.
        var patience: Duration = .seconds(30)
        /// How soon a dead connection is noticed: an echo after so long without anything else.
        var ping: Duration = .seconds(60)
        /// How long a client has for its receipt (XEP-0184) before the server's word counts.
        var receiptWait: Duration = .seconds(10)
        /// Bytes of the longest text, either way.
        var messageBytes = 64 << 10
        /// Messages a user may send in a minute.
        var perMinute = 120
    }

    struct Instant: Sendable {
        let now: Moment
        let wall: Timestamp
    }

    /// What is asked of the host.
    struct Names: Sendable {
        let apps: [(id: AppID, name: String)]
        /// The enabled account of a name.
        let account: @Sendable (String) -> AccountID?
        /// Whether the account still has its device.
        let isLinked: @Sendable (AccountID) -> Bool
        /// How a peer is for an account; nil where that may not see it.
        let presence: @Sendable (_ peer: AccountID, AccountID) -> AccountPresence?
        /// The contacts that an account may see.
        let contacts: @Sendable (AccountID) -> [(peer: AccountID, presence: AccountPresence)]
        /// How an account stands with a peer.
        let contact: @Sendable (_ peer: AccountID, AccountID) -> ContactState?
    }

    enum Action: Sendable, Hashable {
        case connected
        case attach(AccountID, generation: Int64, after: Int64)
        case detach(AccountID)
        case arrived(AccountID, upTo: Int64)
        case post(token: Int64, BridgeMessage)
        case read(MessageKey, by: AccountID)
        /// The answer is `posted`, as for `post`.
        case edit(token: Int64, MessageKey, by: AccountID, body: String)
        case withdraw(token: Int64, MessageKey, by: AccountID)
        case typing(TypingState, from: AccountID, to: QueueAddress)
        case presence(AccountID, connection: String, AccountPresence?)
        /// The answer is `contacted`.
        case setContact(AccountID, of: AccountID, isWanted: Bool)
        /// The server says that the user cannot be given the message, now or ever.
        case undeliverable(AccountID, MessageKey, condition: String, isForGood: Bool)
        case fail(BridgeFailure)
    }

    enum Phase: Sendable, Hashable {
        case opening
        case handshake
        case ready
    }

    enum Timer: Sendable, Hashable {
        /// A client's time for its receipts is over.
        case receipts(AccountID)
        /// What needs no hurry is acknowledged.
        case settle(AccountID)
        case handshake
        case ping
        case echo(Int64)
        /// More of the accounts linked are looked after.
        case linking
        /// A user's server has had its time to say whether the user is there.
        case unknown(AccountID)
    }

    /// A message under way into the gateway.
    struct Pending: Sendable {
        let from: JID
        let to: JID
        let type: String
        let id: String?
        let wantsReceipt: Bool
        let wantsMarker: Bool
        /// It changes a message that was sent before.
        var isChange = false
    }

    /// Users at once.
    static let usersLimit = 100_000
    /// Messages under way into the gateway.
    static let pendingLimit = 1000
    /// Messages of users whose receipts are waited for.
    static let sentLimit = 10_000
    /// Accounts that are linked again in one go at the start.
    static let linkingStep = 200
    static let linkingPause: Duration = .milliseconds(50)
    /// How long a server has to say whether a user is there, before it is given the user's messages all the same.
    static let probeWait: Duration = .seconds(3)
    /// What needs no hurry is acknowledged after this.
    static let settlePause: Duration = .seconds(5)

    let component: String
    let secret: Secret
    let users: BridgeUsers
    let names: BridgeNames
    let host: Names
    let options: Options
    var phase = Phase.opening
    var linked: [AccountID: LinkedUser] = [:]
    var pending: [Int64: Pending] = [:]
    var sent: [MessageKey: Pending] = [:]
    var sentOrder: [MessageKey] = []
    /// Receipts that came before the answer to the message.
    var early: [MessageKey: [ReceiptState]] = [:]
    var timers = DeadlineQueue<Timer>()
    /// Counts everything that needs a name.
    var serial: Int64 = 0
    /// The echo that is waited for, and the last one asked for.
    var echo: (waiting: Int64?, next: Int64) = (nil, 1)
    /// Something was sent since the last echo was asked for.
    var needsEcho = false
    var lastHeard: Moment
    var toLink: ArraySlice<AccountID> = []
    /// Accounts with messages that the echo under way covers, and those sent to since it was asked for.
    var waitingForEcho: Set<AccountID> = []
    var sentSinceEcho: Set<AccountID> = []
    private var output: [UInt8] = []

    init(
        component: String, secret: Secret, users: BridgeUsers, host: Names, options: Options, linked: [AccountID],
        at now: Moment
    ) {
        (self.component, self.secret, self.users, self.options) = (component, secret, users, options)
        self.host = host
        names = BridgeNames(component: component, apps: Set(host.apps.map(\.id)))
        toLink = linked.prefix(Self.usersLimit)
        lastHeard = now
    }

    /// When `deadlinePassed` is due.
    var deadline: Moment? { timers.next }

    /// Takes what is to be sent.
    mutating func takeOutput() -> [UInt8] {
        defer { output = [] }
        return output
    }

    mutating func send(_ element: XMLElement) {
        output += Array(element.xml(inheriting: Stanza.namespace).utf8)
    }

    // MARK: The stream

    mutating func start(_ instant: Instant) -> [Action] {
        output += Array(Stanza.open(component).utf8)
        timers.insert(.handshake, due: instant.now + options.patience)
        return []
    }

    mutating func received(_ item: XMLStreamItem, _ instant: Instant) -> [Action] {
        lastHeard = instant.now
        switch item {
        case .closed: return [.fail(BridgeFailure(.network, "the server ended the stream"))]
        case .opened(let root): return opened(root)
        case .child(let element):
            if element.isNamed("error", in: XMPPNamespace.stream) { return [.fail(Self.failure(element))] }
            switch phase {
            case .opening: return [.fail(BridgeFailure(.protocolViolation, "the server spoke before its stream"))]
            case .handshake:
                guard element.isNamed("handshake", in: Stanza.namespace) else {
                    return [
                        .fail(BridgeFailure(.protocolViolation, "the server answered something else than XEP-0114"))
                    ]
                }
                return established(instant)
            case .ready: return take(element, instant)
            }
        }
    }

    private mutating func opened(_ root: XMLElement) -> [Action] {
        guard root.isNamed("stream", in: XMPPNamespace.stream), let id = root.attribute("id"), !id.isEmpty else {
            return [.fail(BridgeFailure(.protocolViolation, "the server does not speak XEP-0114 at this port"))]
        }
        guard let digest = Self.digest(id, secret) else {
            return [.fail(BridgeFailure(.network, "no digest could be made"))]
        }
        phase = .handshake
        send(XMLElement("handshake", in: Stanza.namespace, text: digest))
        return []
    }

    private mutating func established(_ instant: Instant) -> [Action] {
        phase = .ready
        timers.insert(.ping, due: instant.now + options.ping)
        timers.insert(.linking, due: instant.now)
        return [.connected]
    }

    /// The stream errors of RFC 6120 section 4.9.3, by what helps.
    private static func failure(_ error: XMLElement) -> BridgeFailure {
        let condition =
            error.children.first { $0.name.namespace == XMPPNamespace.streamErrors }?.name.local ?? "unknown"
        switch condition {
        case "not-authorized":
            return BridgeFailure(.refused, "the server does not know the component's secret (not-authorized)")
        case "host-unknown":
            return BridgeFailure(.refused, "the server has no such component (host-unknown)")
        default: return BridgeFailure(.network, "the server ended the stream (\(condition.printable))")
        }
    }

    // MARK: Time

    mutating func deadlinePassed(_ instant: Instant) -> [Action] {
        var actions: [Action] = []
        while let timer = timers.pop(at: instant.now) {
            switch timer {
            case .handshake:
                if phase != .ready { return [.fail(BridgeFailure(.network, "the server did not answer in time"))] }
            case .ping:
                timers.insert(.ping, due: instant.now + options.ping)
                if instant.now - lastHeard >= options.ping { needsEcho = true }
            case .echo(let id):
                if echo.waiting == id {
                    return [.fail(BridgeFailure(.network, "the server returned nothing any more"))]
                }
            case .linking: linkMore(instant)
            case .unknown(let account): if linked[account]?.reach == .unknown { attach(account, &actions) }
            case .receipts(let account): handedLongEnough(account, instant, &actions)
            case .settle(let account): settle(account, isUrgent: true, instant, &actions)
            }
        }
        askForEcho(instant)
        return actions
    }

    /// Takes up the accounts that were linked before, some at a time.
    private mutating func linkMore(_ instant: Instant) {
        for account in toLink.prefix(Self.linkingStep) {
            guard linked[account] == nil, let address = users.address(of: account) else { continue }
            linked[account] = LinkedUser(address, perMinute: options.perMinute)
            // Whoever shares presence with us answers; of the others it stays unknown.
            send(Stanza.presence(from: JID(local: nil, domain: component), to: address, type: "probe"))
            timers.insert(.unknown(account), due: instant.now + Self.probeWait)
        }
        toLink = toLink.dropFirst(Self.linkingStep)
        if !toLink.isEmpty { timers.insert(.linking, due: instant.now + Self.linkingPause) }
    }

    // MARK: The echo

    /// Asks the server to send something back to us. It works a component's stanzas off in order: what was sent before
    /// has been taken by the server when the echo comes.
    mutating func askForEcho(_ instant: Instant) {
        guard needsEcho, echo.waiting == nil, phase == .ready else { return }
        let own = JID(local: nil, domain: component)
        send(
            Stanza.make(
                "iq", from: own, to: own, type: "get", id: "echo-\(echo.next)",
                [XMLElement("ping", in: XMPPNamespace.ping)]))
        timers.insert(.echo(echo.next), due: instant.now + options.patience)
        (echo.waiting, echo.next, needsEcho) = (echo.next, echo.next + 1, false)
        (waitingForEcho, sentSinceEcho) = (sentSinceEcho, [])
    }

    mutating func echoed(_ id: String, _ instant: Instant) {
        guard let waiting = echo.waiting, id == "echo-\(waiting)" else { return }
        echo.waiting = nil
        for account in waitingForEcho {
            guard var user = linked[account] else { continue }
            user.hand(echo: waiting, at: instant.now)
            linked[account] = user
            timers.insert(.receipts(account), due: instant.now + options.receiptWait)
        }
        waitingForEcho = []
    }

    /// The digest of XEP-0114 section 3: SHA-1 of the stream's id and the secret.
    static func digest(_ id: String, _ secret: Secret) -> String? {
        (try? SHA1.hash(Array(id.utf8) + secret.bytes))?.hexadecimal
    }
}
