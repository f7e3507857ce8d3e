internal import Base
internal import Gateway
internal import Outbound

/// Logs in through the daemon's own client (libcurl): SASL, TLS and their failures are its work.
struct OutboundMailConnector: MailConnector {
    /// Its clock keeps the deadlines.
    let client: HTTPClient
    let time: any TimeSource

    func connect(_ login: MailLogin) async throws -> any MailStream {
        let security: MailConnectionRequest.Security =
            switch login.encryption {
            case .implicit: .implicitTLS
            case .startTLS: .startTLS
            case .none: .none
            }
        let credentials: MailConnectionRequest.Login =
            switch login.credentials {
            case .password(let username, let password): .password(user: username, password)
            case .token(let username, let token): .bearer(user: username, token)
            }
        var request = MailConnectionRequest(
            .imap, host: login.host, port: login.port, security: security, login: credentials)
        request.caFile = login.caFile
        request.timeout = login.timeout
        do {
            return OutboundMailStream(connection: try await client.connectMail(request))
        } catch let error as MailConnectionError {
            throw MonitorFailure(Self.code(of: error, now: time.now), IMAPSyntax.clean("\(error)"))
        }
    }

    private static func code(of error: MailConnectionError, now: Moment) -> MonitorFailure.Code {
        if let named = IMAPFailure.code(inGreeting: error.serverText, now: now) { return named }
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
}

/// One connection of the daemon's client.
private struct OutboundMailStream: MailStream {
    let connection: MailConnection

    func send(_ bytes: [UInt8]) async throws { try await connection.send(bytes) }
    func receive(until deadline: Moment) async throws -> [UInt8]? { try await connection.receive(until: deadline) }
    func close() { connection.close() }
}
