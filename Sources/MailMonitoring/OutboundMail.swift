package import Base
internal import Gateway
package import Outbound

/// Logs in through the daemon's own client (libcurl): SASL, TLS and their failures are its work.
package struct OutboundMailConnector: MailConnector {
    /// The pause after a server asked for one without saying how long.
    package static let throttlePause = Duration.seconds(300)

    /// Its clock keeps the deadlines.
    private let client: HTTPClient
    private let time: any TimeSource

    package init(client: HTTPClient, time: any TimeSource) { (self.client, self.time) = (client, time) }

    package func connect(_ login: MailLogin) async throws -> any MailStream {
        do {
            return OutboundMailStream(connection: try await connection(Self.request(login)))
        } catch let error as MailConnectionError {
            throw MonitorFailure(Self.code(of: error, now: time.now), ServerWords.clean("\(error)"))
        }
    }

    /// Old POP3 servers know no SASL; then libcurl may choose among all it knows, which is `USER` and `PASS` or APOP.
    private func connection(_ request: MailConnectionRequest) async throws -> MailConnection {
        do {
            return try await client.connectMail(request)
        } catch let error as MailConnectionError
            where error.code == .loginUnsupported && request.service == .pop3 && request.authorization == nil
        {
            guard case .password = request.login else { throw error }
            var request = request
            request.mechanisms = ["*"]
            return try await client.connectMail(request)
        }
    }

    private static func request(_ login: MailLogin) -> MailConnectionRequest {
        let security: MailConnectionRequest.Security =
            switch login.encryption {
            case .implicit: .implicitTLS
            case .startTLS: .startTLS
            case .none: .none
            }
        let credentials: MailConnectionRequest.Login =
            switch login.credentials {
            case .password(let username, let password), .master(_, let username, let password):
                .password(user: username, password)
            case .token(let username, let token): .bearer(user: username, token)
            }
        var request = MailConnectionRequest(
            login.service == .imap ? .imap : .pop3, host: login.host, port: login.port, security: security,
            login: credentials)
        if case .master(let mailbox, _, _) = login.credentials { request.authorization = mailbox }
        request.caFile = login.caFile
        request.timeout = login.timeout
        return request
    }

    private static func code(of error: MailConnectionError, now: Moment) -> MonitorFailure.Code {
        if let named = code(inGreeting: error.serverText, now: now) { return named }
        return switch error.code {
        // A credential with forbidden bytes is cured by another one, as a refused one is.
        case .loginRefused, .invalidRequest: .authFailed
        case .loginTemporary: .authTemporary
        case .protocolError: .protocolViolation
        case .nameResolution, .connect, .tls, .timeout, .connectionLost, .greetingRefused, .loginUnsupported,
            .addressRefused, .overloaded, .stopped, .closed:
            .network
        }
    }

    /// The pause asked for in a server's last words at a login that failed, if they ask for one (RFC 5530 section 3,
    /// RFC 2449 section 8.1.1).
    private static func code(inGreeting text: String, now: Moment) -> MonitorFailure.Code? {
        ["[LIMIT]", "[THROTTLED]", "[LOGIN-DELAY]"].contains { text.uppercased().contains($0) }
            ? .throttled(until: now + throttlePause) : nil
    }
}

/// One connection of the daemon's client.
private struct OutboundMailStream: MailStream {
    let connection: MailConnection

    func send(_ bytes: [UInt8]) async throws { try await connection.send(bytes) }
    func receive(until deadline: Moment) async throws -> [UInt8]? { try await connection.receive(until: deadline) }
    func close() { connection.close() }
}

/// Stands in where the daemon gave no mail client, as in `farbell check`.
package struct MissingMailConnector: MailConnector {
    package init() {}

    package func connect(_ login: MailLogin) async throws -> any MailStream {
        throw MonitorFailure(.network, "no mail client is available")
    }
}
