import Base
import GatewayTestKit
import Testing

/// The world of one story: a real mail server, push services, and the built program between them.
struct Scenario: Sendable {
    static let topic = "org.example.farbell"
    static let accountPassword = "gate keeper 12"

    struct Options: Sendable {
        /// Accounts of the gateway, and users of the mail server of the same names.
        var users = ["alice"]
        /// `imap://` with STARTTLS instead of `imaps://`.
        var usesStartTLS = false
        var hasMailServer = true
        var notify: JSON = ["groupSeconds": 0, "ackSeconds": 2, "devicePerMinute": 0]
        /// Further sections of the configuration, or other ones.
        var sections: JSON = [:]
        /// The roots the gateway trusts at the mail server; nil for the right ones.
        var caFile: String?
        var wrapper: [String] = []
        var startsGateway = true
        /// Files beside the configuration, by name.
        var files: [String: String] = [:]

        init() {}
    }

    let authority: TestCertificateAuthority
    let mail: DovecotServer?
    let apns: FakeAPNs
    let webPush: FakeWebPushService
    let gateway: GatewayProcess
    let configuration: JSON

    var log: GatewayLog { gateway.log }

    /// The mail server.
    func dovecot() throws -> DovecotServer { try #require(mail) }

    /// Runs a story. At its end the gateway must stop in order, and its log must hold no secret.
    static func run(_ options: Options = Options(), _ body: (Scenario) async throws -> Void) async throws {
        let scenario = try await Scenario(options)
        do {
            if options.startsGateway { try await scenario.gateway.start() }
            try await body(scenario)
            if scenario.gateway.process?.exit == nil {
                let exit = try await scenario.gateway.stop()
                #expect(exit == nil || exit == .code(0), "\(scenario.log.texts.suffix(10))")
            }
        } catch {
            let end = scenario.log.texts.suffix(40).joined(separator: "\n")
            Issue.record(error, "the gateway's log ends:\n\(end)")
        }
        #expect(scenario.gateway.leaks == [], "secrets in the log")
        #expect(scenario.log.strays == [], "lines that are no JSON")
        try await scenario.mail?.stop()
        scenario.apns.stop()
        scenario.webPush.stop()
    }

    private init(_ options: Options) async throws {
        authority = try TestCertificateAuthority()
        mail =
            options.hasMailServer
            ? try await DovecotServer(users: options.users, identity: authority.localhost) : nil
        let key = try ECKey()
        var apnsConfiguration = FakeAPNs.Configuration(
            keys: [FakeAPNs.ProviderKey(teamID: "TEAM123456", keyID: "KEY1234567", key: key)],
            topics: [Self.topic: "TEAM123456"])
        // A gateway that starts anew makes a new provider token.
        apnsConfiguration.limitsTokenUpdates = false
        apns = try FakeAPNs(apnsConfiguration, identity: authority.localhost)
        webPush = try FakeWebPushService(.init(identity: authority.localhost))
        gateway = try GatewayProcess(wrapper: options.wrapper)
        try gateway.folder.write(try key.privatePEM(), to: "apns.p8")
        for (name, text) in options.files { try gateway.folder.write(text, to: name) }
        configuration = Self.sections(options, authority, mail, apns)
        try gateway.configure(configuration)
        for secret in [Self.accountPassword, DovecotServer.password] { gateway.keepSecret(secret) }
        for user in options.users where options.wrapper.isEmpty {
            let added = try await gateway.run("account", "add", user, input: "\(Self.accountPassword)\n")
            #expect(added.exit == .code(0), "\(added.errors)")
        }
    }

    private static func sections(
        _ options: Options, _ authority: TestCertificateAuthority, _ mail: DovecotServer?, _ apns: FakeAPNs
    ) -> JSON {
        var monitor: JSONObject = ["kind": "imap", "caFile": .string(options.caFile ?? authority.caFile)]
        if options.usesStartTLS {
            monitor.append("url", .string("imap://localhost:\(mail?.port ?? 143)"))
            monitor.append("startTLS", "required")
        } else {
            monitor.append("url", .string("imaps://localhost:\(mail?.tlsPort ?? 993)"))
        }
        var sections: JSONObject = [
            "publicURL": "https://farbell.example.org",
            "farms": [
                "web": ["kind": "link", "url": "https://apps.example.org/{app}?user={account}&ticket={launch}"],
                "rds": ["kind": "rdp", "address": "rds.example.org", "gateway": "rdgw.example.org"],
            ],
            "apps": [
                "mail": ["name": "Mail", "farm": "web", "monitor": .object(monitor)],
                "outlook": [
                    "name": "Outlook", "farm": "rds",
                    "launch": ["program": "||OUTLOOK", "arguments": "/ticket {launch}"],
                    "monitor": .object(monitor),
                ],
                "local": [
                    "name": "Local", "farm": "web", "monitor": ["kind": "maildir", "path": "maildirs/{username}"],
                ],
            ],
            "push": [
                "apple": [
                    "kind": "apns", "teamId": "TEAM123456", "keyId": "KEY1234567", "keyFile": "apns.p8",
                    "topic": .string(topic), "url": .string(apns.origin), "caFile": .string(authority.caFile),
                ],
                "browser": [
                    "kind": "webpush", "subject": "mailto:farm@example.org", "keyFile": "data/webpush.pem",
                    "caFile": .string(authority.caFile), "allowHosts": ["localhost"],
                ],
            ],
            "notify": options.notify,
        ]
        for member in options.sections.object?.members ?? [] { sections[member.key] = member.value }
        return .object(sections)
    }
}

// MARK: Steps

extension Scenario {
    /// Logs in an iPhone with an address at the fake APNs.
    func phone(_ account: String = "alice", installation: String? = nil, extra: JSON = [:]) async throws -> Phone {
        let token = [UInt8]((0..<32).map { _ in UInt8.random(in: 0...255) }).hexadecimal
        apns.register(device: token, topic: Self.topic)
        gateway.keepSecret(token)
        var client = TerminalClient(gateway, account: account)
        try await client.bind(
            password: Self.accountPassword, installation: installation ?? "phone-\(token.prefix(8))",
            channel: ["adapter": "apple", "token": .string(token)], extra: extra)
        return Phone(client: client, token: token, apns: apns)
    }

    /// Logs in a browser with a subscription at the fake Web Push service.
    func browser(_ account: String = "alice", extra: JSON = [:]) async throws -> Browser {
        let subscription = try webPush.subscribe()
        gateway.keepSecret(subscription.auth)
        var client = TerminalClient(gateway, account: account)
        try await client.bind(
            password: Self.accountPassword, installation: "browser-\(subscription.auth)", platform: "web",
            channel: [
                "adapter": "browser",
                "subscription": [
                    "endpoint": .string(subscription.endpoint),
                    "keys": ["p256dh": .string(subscription.p256dh), "auth": .string(subscription.auth)],
                ],
            ], extra: extra)
        return Browser(client: client, subscription: subscription, service: webPush)
    }

    /// Registers for the app with the mail server's account, logs in to it, and returns when it is watched.
    /// - Returns: the registration and the session.
    func logIn(
        _ client: TerminalClient, app: String = "mail", notify: JSON? = nil
    ) async throws -> (registration: String, session: String) {
        let registration = try await client.register(
            app, username: client.account, password: DovecotServer.password, notify: notify)
        let session = try await client.open(app)
        try await client.waitUntilWatching(registration)
        return (registration, session)
    }

    /// A message with these header fields, which are written as they are.
    static func message(_ subject: String, from: String = "Li Na <li@example.org>") -> [UInt8] {
        let id = UInt64.random(in: 0 ... .max)
        let lines = [
            "From: \(from)", "To: alice@example.org", "Subject: \(subject)", "Message-ID: <\(id)@example.org>",
            "Date: Sat, 21 Nov 2026 08:00:00 +0000", "", "The text of the message.", "",
        ]
        return Array(lines.joined(separator: "\r\n").utf8)
    }

    /// Mail arrives.
    /// - Parameter isSecret: false for a subject that the log may hold by chance.
    func deliver(
        _ subject: String, from: String = "Li Na <li@example.org>", to user: String = "alice", isSecret: Bool = true
    ) async throws {
        if isSecret { gateway.keepSecret(subject) }
        try await dovecot().deliver(Self.message(subject, from: from), to: user)
    }

    /// Speaks for the administrator: calls `/v1/admin/` and a path under it.
    func administrator() throws -> (String, String, JSON?) async throws -> PlainResponse {
        let file = gateway.folder.file("data/admin.token")
        let token = String(decoding: try #require(FileSystem.contents(of: file, limit: 4096)), as: UTF8.self)
            .trimmingSpace
        gateway.keepSecret(token)
        return { [gateway] method, path, body in
            try await TerminalClient.send(
                gateway, method, "/v1/admin/\(path)", authorization: "Bearer \(token)", body)
        }
    }

    /// Waits until the log tells a decision.
    @discardableResult
    func decided(_ decision: String, after: Int = 0, device: String? = nil) async throws -> GatewayLog.Line {
        try await log.wait(for: "notification.decided", after: after) {
            $0["decision"] == decision && (device == nil || $0["device"] == device)
        }
    }
}

/// A device with an address at the fake APNs.
struct Phone: Sendable {
    let client: TerminalClient
    let token: String
    let apns: FakeAPNs

    /// What it was pushed so far, without those that only take notifications back.
    var pushes: [FakeAPNs.Push] { apns.pushes.all.filter { $0.device == token && $0.isAlert } }

    /// Returns all pushes when there are so many.
    @discardableResult
    func wait(_ count: Int, deadline: Duration = .seconds(30)) async throws -> [FakeAPNs.Push] {
        try await Eventually.wait("\(count) pushes, not \(pushes.count)", for: deadline) { pushes.count >= count }
        return pushes
    }
}

/// A device with a subscription at the fake Web Push service.
struct Browser: Sendable {
    let client: TerminalClient
    let subscription: FakeWebPushService.Subscription
    let service: FakeWebPushService

    /// The documents it was pushed so far, decrypted, without those that only take notifications back.
    var pushes: [JSON] {
        service.pushes.all.filter { $0.endpoint == subscription.endpoint }.compactMap(\.json).filter {
            $0["notification"] != nil
        }
    }

    /// Returns all pushes when there are so many.
    @discardableResult
    func wait(_ count: Int, deadline: Duration = .seconds(30)) async throws -> [JSON] {
        try await Eventually.wait("\(count) pushes, not \(pushes.count)", for: deadline) { pushes.count >= count }
        return pushes
    }
}

extension FakeAPNs.Push {
    var isAlert: Bool { ours["notification"] != nil }
    /// The part of the payload that is the gateway's own.
    var ours: JSON { payload["farbell"] ?? .null }
    var title: String? { payload["aps"]?["alert"]?["title"]?.string }
    var body: String? { payload["aps"]?["alert"]?["body"]?.string }
    var tap: String { ours["tap"]?.string ?? "" }
    var notification: String { ours["notification"]?.string ?? "" }
}
