package import Base
package import Gateway

/// One piece of news for the checks: as a mail, or in whatever form a subject's service knows.
package struct TestNews: Sendable {
    /// Unique within a check: letters and digits.
    package let id: String
    /// What people read: the subject of a mail, the text of a chat message.
    package let subject: String
    package let sender = "Anna Example"
    package let senderAddress = "anna@example.org"
    /// When it is from, as RFC 3339 has it.
    package let time = "2026-11-21T08:00:00Z"
    private let header: [UInt8]

    package init(_ subject: String, id: String) { self.init(subject, header: Array(subject.utf8), id: id) }

    /// - Parameter header: the subject as it stands in the mail's header, where that differs.
    package init(_ subject: String, header: [UInt8], id: String) {
        (self.subject, self.header, self.id) = (subject, header, id)
    }

    /// The mail: header and body with CRLF line ends.
    package var mail: [UInt8] {
        Array("From: \(sender) <\(senderAddress)>\r\nTo: alice@example.org\r\nSubject: ".utf8) + header
            + Array(
                ("\r\nMessage-ID: <\(id)@example.org>\r\nDate: Sat, 21 Nov 2026 08:00:00 +0000\r\n\r\n"
                    + "The text.\r\n").utf8)
    }
}

/// What not every source can do. Checks that need what a subject lacks are not made; say in the plugin's README
/// why it is lacking.
package enum MonitorAbility: Sendable, CaseIterable {
    /// Tells what was read elsewhere.
    case tellsRead
    /// Tells what was deleted or withdrawn elsewhere.
    case tellsGone
    /// Names the sender; and with an address, by which the account's own messages are known.
    case names, addresses
    /// Has an id of the content itself, such as a Message-ID.
    case contentKeys
    /// Tells when a piece of news is from.
    case times
    /// Has a server that can go away, fall silent, ask for a pause, or talk nonsense.
    case server, silence, throttling, nonsense
}

/// A monitor under test with the server or folder it watches, for `MonitorConformance`. One subject serves one
/// check: each starts with an empty mailbox.
package protocol MonitorSubject: Sendable {
    var monitor: any Monitor { get }
    var credentials: [String: Secret] { get }
    /// Credentials the server refuses; nil where there are none to refuse.
    var wrongCredentials: [String: Secret]? { get }

    var abilities: Set<MonitorAbility> { get }
    /// Where the monitor under test logs to; nil where the subject does not look.
    var logged: RecordingLogSink? { get }

    /// Puts a piece of news into the mailbox, room or feed.
    func deliver(_ news: TestNews) async throws
    /// The message of an item is read elsewhere.
    func markRead(_ key: String) async throws
    /// The message of an item is deleted elsewhere.
    func remove(_ key: String) async throws
    /// Wakes the monitor although nothing is new.
    func wakeWithoutNews() async throws
    /// From now on deliveries do, or do not, wake the monitor.
    func setLosesWakeUps(_ loses: Bool) async throws
    /// The monitor's next timer comes. Checks call this again and again while they wait.
    func passTime() async throws
    /// The server goes away, with all connections, or comes back with its mail.
    func setServerRunning(_ running: Bool) async throws
    /// Logins tried so far.
    func loginAttempts() async throws -> Int
    /// From now on the server accepts connections and requests and answers nothing, or answers again.
    func setSilent(_ silent: Bool) async throws
    /// The server asks for a pause of so many seconds, from now on until they have passed.
    func throttle(seconds: Int) async throws
    /// From now on the server's answers are malformed, or are right again.
    func setNonsense(_ nonsense: Bool) async throws
}

extension MonitorSubject {
    package var abilities: Set<MonitorAbility> { Set(MonitorAbility.allCases) }
    package var logged: RecordingLogSink? { nil }
    package func setSilent(_ silent: Bool) async throws { throw ConformanceViolation("no server that falls silent") }
    package func throttle(seconds: Int) async throws { throw ConformanceViolation("no server that asks for a pause") }
    package func setNonsense(_ nonsense: Bool) async throws { throw ConformanceViolation("no server to spoil") }
}

/// What a monitor did against the contract.
package struct ConformanceViolation: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
