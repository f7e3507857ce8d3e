package import Base

/// A kind of bridge, as a plugin offers it.
package protocol BridgePlugin: Sendable {
    /// The value of `kind` in the configuration.
    var kind: String { get }
    /// Reads the plugin's own keys of `bridges.<name>`. Must not connect. Faults are reported to the reader; nil only
    /// after one.
    func configure(bridge name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any Bridge)?
}

/// Joins another messaging system: people there are accounts here, and reach applications and other accounts with the
/// clients they have (IM-7).
package protocol Bridge: Sendable {
    /// Connects and serves until cancelled. Never returns otherwise: it throws a `BridgeFailure`, and the host decides
    /// when to call again.
    func run(_ host: any BridgeHost) async throws
}

/// Why a bridge's connection could not be made, or ended.
package struct BridgeFailure: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// The other side does not want us as we are configured: not tried again before the next start or reload.
        case refused
        /// The connection ended, or could not be made.
        case network
        /// The other side sent what it must not.
        case protocolViolation = "protocol_violation"
    }

    package let code: Code
    /// A sentence for operators; no secret and no text of people's.
    package let message: String

    package init(_ code: Code, _ message: String) { (self.code, self.message) = (code, message) }

    package var description: String { "\(message) (\(code.rawValue))" }
}

/// What somebody on the other side sends to an account or an application.
package struct BridgeMessage: Sendable, Hashable {
    package let from: AccountID
    /// An account or an app.
    package let to: QueueAddress
    package let body: String
    package var subject: String?
    /// The same one within ten minutes is the same message; 1 to 128 bytes.
    package var id: String?
    package var correlation: String?

    package init(from: AccountID, to: QueueAddress, body: String) {
        (self.from, self.to, self.body) = (from, to, body)
    }
}

/// What an attached account's stream brings, in the order of its numbers.
package enum BridgeEvent: Sendable, Hashable {
    /// A message for the account. What the bridge does not pass on it reports as arrived all the same.
    case message(Message)
    /// What became of a message that was sent from the account.
    case receipt(MessageKey, ReceiptState)
    /// How a contact of the account is now.
    case presence(of: AccountID, AccountPresence)
    /// How the account stands with another one now; nil: not at all.
    case contact(AccountID, ContactState?)
    /// A peer writes to the account, or has stopped.
    case typing(QueueAddress, TypingState)
    /// A message that a peer sent has a new text; nil: it was taken back.
    case edited(MessageKey, by: QueueAddress, subject: String?, body: [UInt8]?)
    /// Something that is no business of a bridge's.
    case other
    /// The stream has ended: nothing follows until the account is attached again.
    case ended
}

/// Takes what the streams of attached accounts bring.
package protocol BridgeInbox: AnyObject, Sendable {
    /// Takes an event without waiting and without calling the host. False when there is no room: the stream ends then,
    /// as `ended` tells in its turn, and what is not taken comes again when the account is attached again.
    /// - Parameter number: the event's place on the account's stream; nil for `ended`.
    func take(_ event: BridgeEvent, number: Int64?, for account: AccountID) -> Bool
    /// Returns when there is room for more.
    func drained() async
}

/// What a bridge may do here. All of it is done as a device of the account, which is made when the account is first
/// attached: it has a cursor, it can be seen in the account's list of devices, and deleting it ends the connection.
package protocol BridgeHost: AnyObject, Sendable {
    /// The apps that may be written to, by id.
    var apps: [(id: AppID, name: String)] { get }
    /// The enabled account of a name.
    func account(_ name: String) -> AccountID?
    /// The accounts that have been attached once and may be attached again.
    func linked() -> [AccountID]
    /// Whether the account is enabled and has its device of this bridge.
    func isLinked(_ account: AccountID) -> Bool
    /// The connection stands: it counts as good for the pause before the next try.
    func connected()
    /// Opens the account's stream: what it has not acknowledged and every new event comes to the inbox.
    /// - Parameter after: the number behind which to begin; the stored cursor if that is further.
    /// - Returns: whether the account has been attached for the first time.
    /// - Throws: `GatewayError`, such as when the account is gone or disabled.
    func attach(_ account: AccountID, _ inbox: any BridgeInbox, after: Int64) async throws -> Bool
    /// Ends the account's stream.
    func detach(_ account: AccountID)
    /// Everything up to a number has arrived at the other side: senders that asked are told.
    func arrived(_ account: AccountID, upTo number: Int64) async throws
    /// Takes a message; returns its key when it is durable.
    /// - Throws: `GatewayError`; the store's failure.
    func post(_ message: BridgeMessage) async throws -> MessageKey
    /// How the account is at the other side, by one connection of it there; nil when that has ended. All end with the
    /// bridge's own connection.
    func setPresence(of account: AccountID, connection: String, _ presence: AccountPresence?)
    /// How another account is; nil where the account may not see that.
    func presence(of peer: AccountID, for account: AccountID) -> AccountPresence?
    /// The account's contacts that it may see, and how they are.
    func contacts(of account: AccountID) -> [(peer: AccountID, presence: AccountPresence)]
    /// How the account stands with another one; nil: not at all.
    func contact(_ peer: AccountID, of account: AccountID) -> ContactState?
    /// Puts another account on the account's list, agrees to its wish, or takes it away; returns how they stand then.
    /// - Throws: `GatewayError`; the store's failure.
    func setContact(_ peer: AccountID, of account: AccountID, _ isWanted: Bool) async throws -> ContactState?
    /// The account has given a message that it sent a new text.
    /// - Throws: `GatewayError`, such as `too_late`; the store's failure.
    func edit(_ key: MessageKey, by account: AccountID, body: String) async throws
    /// The account has taken back a message that it sent.
    /// - Throws: as `edit`.
    func withdraw(_ key: MessageKey, by account: AccountID) async throws
    /// The account writes to a peer, or has stopped: passed on now or never.
    func typing(_ state: TypingState, from account: AccountID, to peer: QueueAddress)
    /// The account has read a message on the other side. One that is settled already is no fault.
    func read(_ key: MessageKey, by account: AccountID) async throws
}

/// A configured bridge.
package struct ConfiguredBridge: Sendable {
    package let name: String
    package let kind: String
    package let bridge: any Bridge

    package init(name: String, kind: String, bridge: any Bridge) {
        (self.name, self.kind, self.bridge) = (name, kind, bridge)
    }
}
