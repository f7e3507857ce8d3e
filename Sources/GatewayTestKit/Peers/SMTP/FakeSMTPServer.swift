package import Base

/// A mail server that takes messages, strictly: one command after the other, CRLF and nothing else, seven bits,
/// lines of at most 998 bytes, TLS and login first where it was told so. Misbehaves on demand.
package final class FakeSMTPServer: Sendable {
    package enum Security: Sendable {
        /// TLS from the first byte.
        case implicit
        /// The plain port; `STARTTLS` before anything else but `EHLO`.
        case startTLS
        /// The plain port without TLS.
        case none
    }

    package struct Configuration: Sendable {
        package var security = Security.startTLS
        /// Passwords by user; empty for a server that wants no login.
        package var users: [String: String] = [:]
        package var mechanisms = ["PLAIN", "LOGIN"]
        /// Bytes of the largest message (RFC 1870).
        package var sizeLimit = 1 << 20
        package var time: any TimeSource = SystemTime()

        package init(users: [String: String] = [:]) { self.users = users }
    }

    /// Where a fault strikes.
    package enum Step: String, Sendable, Hashable, CaseIterable {
        case greeting
        case hello
        case authentication
        case sender
        case recipient
        case data
        /// After the end mark of the message.
        case content
    }

    package enum Fault: Sendable, Hashable {
        /// Says this instead, and goes on.
        case reply(String)
        /// Says this and closes.
        case farewell(String)
        /// Says nothing any more.
        case hang
        /// Cuts the connection.
        case reset
        /// At `content`: takes the message, then cuts the connection before the answer.
        case acceptThenReset
    }

    /// A message that was taken.
    package struct Message: Sendable {
        package let sender: String
        package let recipient: String
        /// Without the dots that the protocol added.
        package let content: [UInt8]
        package let user: String?
        package let isEncrypted: Bool
        /// What the client called itself.
        package let client: String
        package let connection: Int
        package let received: Moment

        /// The value of the first header field of a name, unfolded, as it was written.
        package func header(_ name: String) -> String? {
            let text = String(decoding: content, as: UTF8.self).replacing("\r\n ", with: " ").replacing(
                "\r\n\t", with: " ")
            let head = text.split(separator: "\r\n", omittingEmptySubsequences: false).prefix { !$0.isEmpty }
            let wanted = name.lowercased() + ":"
            return head.first { $0.lowercased().hasPrefix(wanted) }.map {
                String($0.dropFirst(wanted.count)).trimmingSpace
            }
        }

        package var messageID: String? { header("message-id") }
    }

    /// What all connections share.
    final class Core: Sendable {
        let configuration: Configuration
        let context: TLSServerContext?
        let messages = Recorder<Message>()
        let violations = Recorder<String>()
        let faults = Locked<[Step: [Fault]]>([:])
        let closedMailboxes = Locked<Set<String>>([])

        init(_ configuration: Configuration, context: TLSServerContext?) {
            (self.configuration, self.context) = (configuration, context)
        }

        /// The fault that waits at a step, used up by this.
        func fault(_ step: Step) -> Fault? {
            faults.withLock { faults in
                guard let list = faults[step], !list.isEmpty else { return nil }
                return faults[step]?.removeFirst()
            }
        }
    }

    private let core: Core
    private let listener: PeerListener

    /// - Throws: `PeerError`.
    package init(_ configuration: Configuration = Configuration(), identity: TestIdentity? = nil) throws {
        let context = try identity.map { try TLSServerContext($0) }
        let core = Core(configuration, context: context)
        self.core = core
        let first = configuration.security == .implicit ? context : nil
        listener = try PeerListener(name: "fake-smtp", context: first) { connection in
            SMTPSession(connection, core: core, isEncrypted: first != nil)
        }
    }

    package var port: Int { listener.port }
    /// What `push.<name>.url` says.
    package var url: String {
        "\(core.configuration.security == .implicit ? "smtps" : "smtp")://localhost:\(port)"
    }
    /// What was taken, in order.
    package var messages: Recorder<Message> { core.messages }
    /// What clients did that the protocol forbids.
    package var violations: Recorder<String> { core.violations }

    /// The next times that a client is at this step, one fault each.
    package func script(_ step: Step, _ faults: Fault...) {
        core.faults.withLock { $0[step, default: []] += faults }
    }

    /// There is no such mailbox from now on.
    package func close(mailbox address: String) { core.closedMailboxes.withLock { _ = $0.insert(address) } }

    /// Closes the port and all connections.
    package func stop() { listener.stop() }
    /// How many connections are open.
    package func openConnections() async throws -> Int { try await listener.openConnections() }
}
