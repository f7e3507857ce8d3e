internal import Base
internal import FoundationEssentials
internal import GatewayTestKit

/// The servers on both sides of the gateway, which all parts of the benchmark share.
final class RingSetup: Sendable {
    let authority: TestCertificateAuthority
    let apns: FakeAPNs
    private let apnsKey: [UInt8]
    let time = SystemTime()
    /// What to add to a moment to get nanoseconds since 1970.
    private let wallOffset: Int64

    init() throws {
        authority = try TestCertificateAuthority()
        let key = try ECKey()
        apnsKey = try key.privatePEM()
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: GatewayProcess.teamID, keyID: GatewayProcess.keyID, key: key)],
            topics: [GatewayProcess.topic: GatewayProcess.teamID])
        configuration.acceptsAnyDevice = true
        // Each part starts a gateway anew, which signs a token of its own.
        configuration.limitsTokenUpdates = false
        apns = try FakeAPNs(configuration, identity: authority.localhost)
        wallOffset = Int64(Date().timeIntervalSince1970 * 1e9) - time.now.nanoseconds
    }

    /// The moment a time of the log's stands for: the end of its millisecond, because the log rounds down.
    func moment(of timestamp: Timestamp) -> Moment {
        Moment(nanoseconds: (timestamp.milliseconds + 1) * 1_000_000 - wallOffset)
    }

    /// The moment of a time of the machine's clock.
    /// - Parameter text: seconds since 1970 with six digits after the point, as bash writes `EPOCHREALTIME`.
    func moment(ofSeconds text: String) -> Moment? {
        let parts = text.split(separator: ".")
        guard parts.count == 2, parts[1].count == 6, let microseconds = Int64(String(parts[0] + parts[1])) else {
            return nil
        }
        return Moment(nanoseconds: microseconds * 1000 - wallOffset)
    }

    func mailServer() throws -> SyntheticIMAPServer {
        try SyntheticIMAPServer(identity: authority.localhost)
    }

    /// Starts a gateway with so many mailboxes.
    /// - Parameter port: the mail server's; nil for an app that is not watched.
    func gateway(
        mailboxes: Int, port: Int?, password: String = "secret", reconcile: Int = 300,
        hasDefaultRate: Bool = false
    ) async throws -> GatewayProcess {
        var seed = Seed(accounts: mailboxes)
        seed.mailPassword = password
        seed.isWatched = port != nil
        return try await GatewayProcess(
            .init(
                seed: seed, mailURL: port.map { "imaps://127.0.0.1:\($0)" }, apnsURL: apns.origin, apnsKey: apnsKey,
                caFile: authority.caFile, reconcileSeconds: reconcile, hasDefaultRate: hasDefaultRate))
    }

    /// Starts a gateway with so many mailboxes whose devices may be rung as often as there is mail.
    /// - Parameters:
    ///   - farm: the app's; nil for an app without one.
    ///   - launch: what the app is to the farm.
    func gateway(mailboxes: Int, port: Int, farm: JSON?, launch: JSON?) async throws -> GatewayProcess {
        try await GatewayProcess(
            .init(
                seed: Seed(accounts: mailboxes), mailURL: "imaps://127.0.0.1:\(port)", apnsURL: apns.origin,
                apnsKey: apnsKey, caFile: authority.caFile, farm: farm, launch: launch, devicePerMinute: 0))
    }

    /// Starts a gateway whose accounts talk to one another. Nobody acknowledges on the streams, as nobody does at the
    /// servers it is compared with: what follows from that would come after `ackSeconds`.
    /// - Parameter devicePerMinute: how often a device may be rung in a minute; 0: no limit; nil: the default.
    func talkingGateway(accounts: Int, devicePerMinute: Int? = nil) async throws -> GatewayProcess {
        var seed = Seed(accounts: accounts)
        seed.isWatched = false
        return try await GatewayProcess(
            .init(
                seed: seed, apnsURL: apns.origin, apnsKey: apnsKey, caFile: authority.caFile,
                devicePerMinute: devicePerMinute, ackSeconds: 3600))
    }

    /// Starts a gateway with a monitor of any kind, at the default rate.
    func gateway(_ seed: Seed, monitor: JSON) async throws -> GatewayProcess {
        try await GatewayProcess(
            .init(
                seed: seed, monitor: monitor, apnsURL: apns.origin, apnsKey: apnsKey, caFile: authority.caFile,
                hasDefaultRate: true))
    }

    /// A message's header; its subject names it.
    static func header(_ name: String) -> String {
        """
        From: Bench <bench@example.org>\r
        To: user@example.org\r
        Subject: \(name)\r
        Message-ID: <\(name)@example.org>\r
        Date: Sat, 21 Nov 2026 00:00:00 +0000\r
        \r\n
        """
    }

    /// A message's name from a push that announces it.
    static func name(in push: FakeAPNs.Push) -> String? {
        let alert = push.payload["aps"]?["alert"]
        return [alert?["body"]?.string, alert?["title"]?.string].compactMap { $0 }
            .compactMap { $0.firstMatch(of: #/bench-[0-9a-z]+-[0-9]+/#).map { String($0.output) } }.first
    }
}

/// What became of deliveries: which rang, how often.
struct Tally: Sendable {
    var missed = 0
    var doubled = 0
    var pushed = Distribution([])
    var recorded = Distribution([])
    /// Pushed, but without a line in the log.
    var unrecorded = 0

    /// - Parameters:
    ///   - deliveries: when each message was announced, by its name.
    ///   - sent: when its record was durable, by the notification's id.
    init(deliveries: [String: Moment], pushes: [FakeAPNs.Push], sent: [String: Moment]) {
        var first: [String: FakeAPNs.Push] = [:]
        for push in pushes {
            guard let name = RingSetup.name(in: push), deliveries[name] != nil else { continue }
            if first[name] == nil { first[name] = push } else { doubled += 1 }
        }
        var toPush: [Duration] = []
        var toRecord: [Duration] = []
        for (name, announced) in deliveries {
            guard let push = first[name] else {
                missed += 1
                continue
            }
            toPush.append(push.received - announced)
            let notification = push.payload["farbell"]?["notification"]?.string ?? ""
            if let moment = sent[notification] { toRecord.append(moment - announced) } else { unrecorded += 1 }
        }
        (pushed, recorded) = (Distribution(toPush), Distribution(toRecord))
    }

    static func sent(_ gateway: GatewayProcess, _ setup: RingSetup) -> [String: Moment] {
        var sent: [String: Moment] = [:]
        for event in gateway.events("notification.sent") {
            guard let id = event["notification"]?.string, let time = event["time"]?.string.flatMap({ Timestamp($0) })
            else { continue }
            if sent[id] == nil { sent[id] = setup.moment(of: time) }
        }
        return sent
    }
}
