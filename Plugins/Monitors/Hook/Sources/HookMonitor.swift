internal import Base
internal import Cryptography
internal import Gateway

/// Is told of news by somebody's server. A registration costs no connection: all of an app share one address.
final class HookMonitor: InboundMonitor {
    /// What the calls look like, and how they are proved.
    enum Format: Sendable {
        /// Farbell's own document, signed as the Standard Webhooks specification says.
        case signed(StandardWebhooks)
        /// Dovecot's driver `ox`, with a name and a password in the URL.
        case dovecot(login: Secret, folders: Set<String>)
    }

    /// Which account a user is.
    enum User: String, Sendable, CaseIterable {
        /// The one of the same name.
        case full
        /// The one named like what stands before the `@`.
        case local
    }

    struct Settings: Sendable {
        var format: Format
        var user = User.full
        /// How far a time stamp may be off.
        var tolerance = Duration.seconds(300)
    }

    let settings: Settings
    private let app: AppID
    private let time: any TimeSource
    private let ledger: Locked<ReplayLedger>

    /// There is nothing to go on from: servers say what is new. But the host takes what has no cursor as old.
    static let cursor = Array(#"{"v":1}"#.utf8)

    init(_ settings: Settings, app: AppID, time: any TimeSource) {
        (self.settings, self.app, self.time) = (settings, app, time)
        ledger = Locked(ReplayLedger(lifetime: settings.tolerance * 2))
    }

    /// None: only the server that has the app's secret says what is whose.
    var credentialFields: [CredentialField] { [] }
    var upstream: String { "hook:\(app.text)" }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        if let stored = target.cursor {
            guard stored == Self.cursor else {
                throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the hook monitor")
            }
        } else {
            try await host.emit(MonitorBatch(cursor: Self.cursor))
        }
        host.watching()
        while true { try await time.sleep(for: .seconds(86_400)) }
    }

    @discardableResult
    func receive(_ call: InboundCall, desk: any InboundDesk) async throws -> InboundAnswer {
        switch settings.format {
        case .signed(let signer): try await receiveSigned(call, signer, desk)
        case .dovecot(let login, let folders):
            try authorize(call, login)
            if let news = try DovecotDocument.read(call.body, folders: folders) { try await store(news, desk) }
        }
        return .done
    }

    private func store(_ news: HookNews, _ desk: any InboundDesk) async throws {
        var user = news.user
        if settings.user == .local, let at = user.lastIndex(of: "@") { user = String(user[..<at]) }
        try await desk.accept(MonitorBatch(changes: news.changes, cursor: Self.cursor), for: AccountID(user))
    }

    // MARK: Proof

    private static let unauthorized = InboundRefusal(.unauthorized, "the caller is not known here")

    private func authorize(_ call: InboundCall, _ login: Secret) throws(InboundRefusal) {
        let parts = (call.field("Authorization") ?? "").split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "basic",
            let given = [UInt8](base64: String(parts[1]).trimmingSpace), Secret(bytes: given) == login
        else { throw Self.unauthorized }
    }

    private func receiveSigned(_ call: InboundCall, _ signer: StandardWebhooks, _ desk: any InboundDesk) async throws {
        let (id, digest) = try verified(call, signer)
        switch ledger.withLock({ $0.judge(id, digest: digest, now: time.now) }) {
        case .repeated: return
        case .conflict: throw InboundRefusal(.conflict, "another call had this webhook-id")
        case .fresh: break
        }
        try await store(try SignedDocument.read(call.body), desk)
        // Only now: what was not stored may come again.
        ledger.withLock { $0.note(id, digest: digest, now: time.now) }
    }

    /// The call's id and the digest of its body, once the signature and the time are right.
    private func verified(
        _ call: InboundCall, _ signer: StandardWebhooks
    ) throws(InboundRefusal) -> (id: String, digest: [UInt8]) {
        guard let id = call.field("webhook-id"), (1...256).contains(id.utf8.count),
            let seconds = call.field("webhook-timestamp").flatMap({ Int64($0) }),
            let signature = call.field("webhook-signature")
        else { throw Self.unauthorized }
        let stamp = Timestamp(seconds: seconds)
        let isGood: Bool
        let digest: [UInt8]
        do throws(CryptographyError) {
            isGood = try signer.verify(signature, id: id, timestamp: stamp, body: call.body)
            digest = try SHA256.hash(call.body)
        } catch {
            throw Self.unauthorized
        }
        let distance = time.timestamp - stamp
        guard isGood else { throw Self.unauthorized }
        // Said apart, because only who has the secret gets here, and clocks do go wrong.
        guard distance <= settings.tolerance, distance >= .zero - settings.tolerance else {
            throw InboundRefusal(.unauthorized, "webhook-timestamp is too far from the time here")
        }
        return (id, digest)
    }
}
