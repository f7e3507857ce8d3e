package import Base
package import Gateway

/// A chat service that is asked again and again, with a session that a login gives, or a token for good.
package protocol PolledChat: Sendable {
    associatedtype Session: PolledChatSession
    associatedtype Book: PolledChatBook

    /// The monitor's kind, as the configuration names it.
    static var kind: String { get }
    /// What a registration gives; the secret comes last.
    static func credentialFields(usesToken: Bool) -> [CredentialField]

    /// - Parameter pool: the calls of all the app's registrations.
    init(calls: MonitorHTTP, time: any TimeSource)

    /// A session by password.
    /// - Throws: `MonitorFailure`, with `authFailed` for a refused password.
    func logIn(user: String, password: Secret) async throws -> Session
    /// The session of a token that the user has made.
    /// - Throws: `MonitorFailure`, with `authFailed` for a refused token.
    func session(of token: Secret, _ credentials: [String: Secret]) async throws -> Session
    /// Ends a session that a login made, within seconds.
    func logOut(_ session: Session) async throws
    /// Where watching begins: everything that is there is known and silent.
    func baseline(_ session: Session) async throws -> Book
    /// Asks once, and takes in what was answered.
    /// - Parameter turn: counts the looks of a watch.
    /// - Throws: `PolledChatSessionEnded` when the server does not know the session any more.
    func look(_ book: inout Book, turn: Int, _ session: Session) async throws -> [MonitorBatch.Change]
}

/// A session of one user.
package protocol PolledChatSession: Sendable {
    /// The service's own id of the user.
    var user: String { get }
}

/// What is known of an account, and where watching it goes on.
package protocol PolledChatBook: Sendable {
    associatedtype Cursor: PolledChatCursor
    var cursor: Cursor { get }
    init(cursor: Cursor)
}

/// The part of a book that is stored.
package protocol PolledChatCursor: Sendable, Equatable {
    /// Whose account this is: a cursor means nothing to another.
    var user: String { get }
    var encoded: [UInt8] { get }
    /// Nil when this is not the stored form.
    init?(_ bytes: [UInt8])
}

/// The server does not know the session any more.
package struct PolledChatSessionEnded: Error {
    package init() {}
}

/// The configuration of a chat that is asked again and again.
package struct PolledChatSettings: Sendable {
    package var address: ServiceAddress
    /// The registration gives a token instead of a name and a password.
    package var usesToken = false
    package var poll = Duration.seconds(30)
    /// The longest time that the stored cursor lags behind where nothing rings.
    package var cursorAge = Duration.seconds(300)

    package init(address: ServiceAddress) { self.address = address }

    private enum Authentication: String, CaseIterable { case password, token }

    /// Reads the keys of `ServiceAddress`, `authentication` and `pollSeconds`; nil after a fault that leaves no server
    /// to ask.
    package init?(_ reader: ConfigReader) {
        let address = ServiceAddress(reader)
        let authentication = reader.choice("authentication", default: Authentication.password)
        let poll = reader.seconds("pollSeconds", in: 5...3_600, default: 30)
        guard let address else { return nil }
        self.init(address: address)
        (usesToken, self.poll) = (authentication == .token, poll)
    }
}
