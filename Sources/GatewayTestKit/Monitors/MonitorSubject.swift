package import Base
package import Gateway

/// A monitor under test with the server or folder it watches, for `MonitorConformance`. One subject serves one
/// check: each starts with an empty mailbox.
package protocol MonitorSubject: Sendable {
    var monitor: any Monitor { get }
    var credentials: [String: Secret] { get }
    /// Credentials the server refuses; nil where there are none to refuse.
    var wrongCredentials: [String: Secret]? { get }

    /// Puts a message into the mailbox: header and body with CRLF line ends.
    func deliver(_ message: [UInt8]) async throws
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
}

/// What a monitor did against the contract.
package struct ConformanceViolation: Error, Sendable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
