internal import Base
internal import Gateway
internal import MonitorTools

/// Watches the mail of each registration over JMAP (RFC 8620, RFC 8621).
final class JMAPMonitor: Monitor {
    struct Settings: Sendable {
        /// Where the session is.
        var sessionURL: String
        var caFile: String?
        var usesToken = false
        /// Roles or names.
        var mailboxes = ["inbox"]
        /// Between two questions where the server does not push.
        var poll = Duration.seconds(60)
        /// The longest time between two questions, whatever was pushed.
        var reconcile = Duration.seconds(300)
        var push = true
    }

    let settings: Settings
    let upstream: String
    private let http: MonitorHTTP
    private let streams: (any HTTPStreamTransport)?
    private let time: any TimeSource

    init(
        _ settings: Settings, upstream: String, http: MonitorHTTP, streams: (any HTTPStreamTransport)?,
        time: any TimeSource
    ) {
        (self.settings, self.upstream, self.http, self.time) = (settings, upstream, http, time)
        self.streams = settings.push ? streams : nil
    }

    var credentialFields: [CredentialField] {
        let username = CredentialField("username", isSecret: false)
        return settings.usesToken
            ? [CredentialField("token", isSecret: true)] : [username, CredentialField("password", isSecret: true)]
    }

    var heardEvery: Duration? { max(settings.poll, settings.push ? settings.reconcile : .seconds(60)) }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        var cursor: JMAPCursor?
        if let stored = target.cursor {
            guard let decoded = JMAPCursor(stored) else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the jmap monitor")
            }
            cursor = decoded
        }
        let client = JMAPClient(http: http, time: time, authorization: try authorization(target))
        let session = try await client.session(at: settings.sessionURL)
        var mail = JMAPReconciler(
            cursor: cursor, client: client, session: session, wanted: settings.mailboxes, time: time)
        try await reconcile(&mail, host)
        host.watching()
        let listener = streams.flatMap { JMAPListener(session, client, $0, time: time) }
        guard let listener else {
            while true {
                try await time.sleep(until: time.now + settings.poll * Double.random(in: 0.9...1.1))
                try await reconcile(&mail, host)
            }
        }
        let (wakes, sink) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await listener.run {
                    sink.yield()
                } heard: {
                    host.heard()
                }
            }
            group.addTask { [time, settings] in
                while true {
                    let pause = listener.isLive ? settings.reconcile : settings.poll
                    try await time.sleep(until: time.now + pause * Double.random(in: 0.9...1.1))
                    sink.yield()
                }
            }
            // A push is a hint: whatever woke us, we ask.
            for await _ in wakes { try await self.reconcile(&mail, host) }
            throw CancellationError()
        }
    }

    private func reconcile(_ mail: inout JMAPReconciler, _ host: any MonitorHost) async throws {
        var hasMore = true
        while hasMore {
            let step = try await mail.step()
            if let batch = step.batch { try await host.emit(batch) }
            hasMore = step.hasMore
        }
        host.heard()
    }

    private func authorization(_ target: MonitorTarget) throws -> String {
        func field(_ name: String) throws -> String {
            guard let value = target.credentials[name]?.exposed, !value.isEmpty else {
                throw MonitorFailure(.authFailed, "the registration has no \(name)")
            }
            return value
        }
        if settings.usesToken {
            let token = try field("token")
            guard token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else {
                throw MonitorFailure(.authFailed, "the token has characters that no token has")
            }
            return "Bearer \(token)"
        }
        return "Basic \(Array("\(try field("username")):\(try field("password"))".utf8).base64)"
    }
}
