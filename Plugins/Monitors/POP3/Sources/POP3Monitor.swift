internal import Base
internal import Gateway
internal import MailMonitoring
internal import MonitorTools

/// Looks at the mailbox of each registration from time to time, over a connection made for that.
final class POP3Monitor: Monitor {
    struct Settings: Sendable {
        var server: MailServer
        var authentication = MailAuthentication.password
        /// Between two looks.
        var poll = Duration.seconds(300)
        /// Mailboxes looked at together: each look is a connection and a login.
        var looksAtOnce = 32
        var session = POP3Session.Options()

        init(_ server: MailServer) { self.server = server }
    }

    let settings: Settings
    private let access: MailAccess
    private let places: Places
    private let time: any TimeSource
    private let readHeader: @Sendable ([UInt8]) -> MessageHeader

    /// - Parameter transport: asks token servers, over the connections of `pool`.
    init(
        _ settings: Settings, connector: any MailConnector, transport: any HTTPTransport, pool: String = "oauth",
        time: any TimeSource, readHeader: @escaping @Sendable ([UInt8]) -> MessageHeader
    ) {
        (self.settings, self.time, self.readHeader) = (settings, time, readHeader)
        places = Places(settings.looksAtOnce)
        access = MailAccess(
            settings.server, settings.authentication, connector: connector, transport: transport, pool: pool,
            time: time)
    }

    var credentialFields: [CredentialField] { access.credentialFields }
    var upstream: String { settings.server.address }

    func fault(in credentials: [String: Secret], of account: AccountID) -> CredentialFault? {
        access.fault(in: credentials, of: account)
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var isFirst = true
        var stored = target.cursor
        while true {
            let seen = try await places.within { try await look(target, stored, host) }
            stored = seen.cursor
            if isFirst { host.watching() }
            isFirst = false
            host.heard()
            let pause = max(settings.poll, seen.loginDelay)
            // Nobody waits less than the server wants.
            try await time.sleep(for: pause * Double.random(in: 1...1.2))
        }
    }

    /// One look; in a task of its own: a task keeps the stack it once needed, and this one then waits for minutes.
    private func look(
        _ target: MonitorTarget, _ stored: [UInt8]?, _ host: any MonitorHost
    ) async throws -> (cursor: [UInt8]?, loginDelay: Duration) {
        async let result = lookNow(target, stored, host)
        return try await result
    }

    private func lookNow(
        _ target: MonitorTarget, _ stored: [UInt8]?, _ host: any MonitorHost
    ) async throws -> (cursor: [UInt8]?, loginDelay: Duration) {
        var cursor: POP3Cursor?
        if let stored {
            guard let decoded = POP3Cursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the pop3 monitor")
            }
            cursor = decoded
        }
        let stream = try await access.connect(target, host: host)
        defer { stream.close() }
        var session = POP3Session(
            cursor: cursor, options: settings.session, now: time.now, readHeader: readHeader)
        try await drive(&session, stream, host)
        return (session.cursor?.encoded, session.loginDelay)
    }

    /// Drives the session to its end.
    private func drive(_ session: inout POP3Session, _ stream: any MailStream, _ host: any MonitorHost) async throws {
        if try await perform(session.begin(time.now), &session, stream, host) { return }
        while true {
            let actions: [POP3Session.Action]
            do {
                let bytes = try await stream.receive(until: session.deadline)
                if let bytes, !bytes.isEmpty {
                    actions = session.received(bytes, time.now)
                } else {
                    actions =
                        bytes == nil
                        ? session.deadlinePassed() : session.disconnected("the server closed the connection")
                }
            } catch let error as CancellationError {
                throw error
            } catch {
                actions = session.disconnected(ServerWords.clean("receiving failed: \(error)"))
            }
            if try await perform(actions, &session, stream, host) { return }
        }
    }

    /// - Returns: whether the session has ended.
    private func perform(
        _ actions: [POP3Session.Action], _ session: inout POP3Session, _ stream: any MailStream,
        _ host: any MonitorHost
    ) async throws -> Bool {
        for action in actions {
            switch action {
            case .send(let bytes): try await stream.write(bytes)
            case .emit(let batch):
                try await host.emit(batch)
                session.committed(time.now)
            case .finish: return true
            case .fail(let failure): throw failure
            }
        }
        return false
    }
}
