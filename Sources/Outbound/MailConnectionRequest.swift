package import Base

/// A mail server to log in to.
package struct MailConnectionRequest: Sendable {
    /// The protocol to log in with, and to speak afterwards.
    package enum Service: String, Sendable, Hashable {
        case imap
        case pop3
        case smtp
        /// None: the bytes of a TLS or TCP connection, for protocols that libcurl does not know, such as XMPP over
        /// direct TLS. Nothing is said before the caller does; no login, no STARTTLS, no ALPN.
        case raw
    }

    /// How the connection is protected.
    package enum Security: Sendable, Hashable {
        /// TLS from the first byte (RFC 8314): ports 993, 995, 465.
        case implicitTLS
        /// TLS by the STARTTLS or STLS command; a server without it is an error.
        case startTLS
        /// None: for tests and servers on the same machine.
        case none
    }

    /// Who logs in.
    package enum Login: Sendable, Hashable {
        /// Nobody: for SMTP servers that take mail from our address without a login.
        case none
        /// SASL PLAIN or LOGIN.
        case password(user: String, Secret)
        /// An OAuth 2 access token, by SASL OAUTHBEARER (RFC 7628) or XOAUTH2, whichever the server offers.
        case bearer(user: String, Secret)
    }

    package var service: Service
    package var host: String
    /// 1...65535.
    package var port: Int
    package var security: Security
    package var login: Login
    /// With a password only: whose mailbox to open, where the one who logs in may open others' (the authorization
    /// identity of SASL PLAIN, RFC 4616); nil for the user's own.
    package var authorization: String?
    /// SASL mechanisms to choose from; `+LOGIN` means the IMAP command, for servers without SASL. Empty for
    /// PLAIN and LOGIN with a password and for both bearer mechanisms with a token: libcurl's own choice would
    /// try Kerberos first whenever the user's name has an `@`.
    package var mechanisms: [String] = []
    /// PEM file with the trusted roots; nil for the system's.
    package var caFile: String?
    /// SMTP only: what we call ourselves in EHLO, a host name; nil for the machine's own.
    package var clientName: String?
    /// From the start of the connection to the end of the login; waiting for a turn does not count.
    package var timeout: Duration = .seconds(30)
    /// Which addresses may be connected to.
    package var destination: HTTPRequest.Destination = .any

    package init(_ service: Service, host: String, port: Int, security: Security, login: Login) {
        (self.service, self.host, self.port, self.security, self.login) = (service, host, port, security, login)
    }
}

/// Why a mail connection could not be made, or ended.
package struct MailConnectionError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        case nameResolution = "name_resolution"
        case connect
        case tls
        case timeout
        case connectionLost = "connection_lost"
        /// The server said no before any login (`* BYE`, `-ERR`).
        case greetingRefused = "greeting_refused"
        /// The credentials are wrong: do not try them again.
        case loginRefused = "login_refused"
        /// The server could not judge the credentials now: try later.
        case loginTemporary = "login_temporary"
        /// No mechanism in common, or the server wants more protection.
        case loginUnsupported = "login_unsupported"
        case protocolError = "protocol_error"
        case addressRefused = "address_refused"
        case invalidRequest = "invalid_request"
        case overloaded
        /// The client is shutting down.
        case stopped
        /// We closed the connection ourselves.
        case closed
    }

    package let code: Code
    /// What the library said, without the server's name.
    package let message: String
    /// The server's last words: at most 300 characters, without control characters and credentials.
    package let serverText: String

    package init(_ code: Code, _ message: String, serverText: String = "") {
        (self.code, self.message, self.serverText) = (code, message, serverText)
    }

    package var description: String {
        serverText.isEmpty ? "\(code.rawValue): \(message)" : "\(code.rawValue): \(message) (\(serverText))"
    }
}
