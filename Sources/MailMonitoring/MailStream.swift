package import Base
internal import Gateway

/// Where and how to log in.
package struct MailLogin: Sendable {
    package enum Service: Sendable, Hashable { case imap, pop3 }

    package enum Encryption: Sendable, Hashable {
        /// TLS from the first byte.
        case implicit
        /// `STARTTLS` or `STLS` before the password; a server without it is an error.
        case startTLS
        /// None, which the configuration allows only on purpose.
        case none
    }

    package enum Credentials: Sendable {
        case password(username: String, password: Secret)
        /// An OAuth 2 access token.
        case token(username: String, token: Secret)
        /// One who may open others' mailboxes, by the authorization identity of SASL PLAIN (RFC 4616).
        case master(mailbox: String, username: String, password: Secret)
    }

    package let service: Service
    package let host: String
    package let port: Int
    package let encryption: Encryption
    /// PEM file with the trusted roots; nil for the system's.
    package let caFile: String?
    package let credentials: Credentials
    /// From the call to the server's word on the login.
    package let timeout: Duration
}

/// A logged-in connection to a mail server, as bytes.
package protocol MailStream: Sendable {
    /// Hands bytes over, in order.
    /// - Throws: when the connection is gone.
    func send(_ bytes: [UInt8]) async throws
    /// Returns the next bytes, at most some 64 KiB; empty when the server closed, nil when nothing came before the
    /// deadline (by the connector's monotonic clock). One call at a time. When the task is cancelled it throws
    /// `CancellationError` and has taken no bytes.
    func receive(until deadline: Moment) async throws -> [UInt8]?
    /// Closes the connection; bytes handed over are still sent where that takes no waiting.
    func close()
}

extension MailStream {
    /// Hands bytes over, in order.
    /// - Throws: `MonitorFailure` when the connection is gone; `CancellationError`.
    package func write(_ bytes: [UInt8]) async throws {
        do {
            try await send(bytes)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw MonitorFailure(.network, ServerWords.clean("sending failed: \(error)"))
        }
    }
}

/// Opens connections and logs in.
package protocol MailConnector: Sendable {
    /// - Throws: `MonitorFailure` with what the server said; `CancellationError`.
    func connect(_ login: MailLogin) async throws -> any MailStream
}
