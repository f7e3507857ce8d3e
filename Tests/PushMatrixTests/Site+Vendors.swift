import APNsPush
import Base
import FCMPush
import Gateway
import GatewayTestKit
import WNSPush
import WebPush

// The services of those who make the systems and browsers.
extension Site {
    private static let rsaKey = Result { try RSAKey() }

    static func apns(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        let (key, folder) = (try ECKey(), try TemporaryFolder())
        try folder.write(key.privatePEM(), to: "key.p8")
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: "TEAM123456", keyID: "KEY1234567", key: key)],
            topics: ["com.example.client": "TEAM123456"])
        configuration.time = time
        // A new gateway signs a new token.
        configuration.limitsTokenUpdates = false
        let fake = try FakeAPNs(configuration, identity: authority.localhost)
        fake.setStanding(.delay(milliseconds: 3))
        let tokens = (0..<addressCount).map { String(repeating: "0af\($0)", count: 16) }
        for token in tokens { fake.register(device: token) }
        let place = places(tokens)
        let words = BusyWords(
            tooMany: .status(429, reason: "TooManyRequests", retryAfter: 30),
            unavailable: .status(503, reason: "ServiceUnavailable"))
        return Site(
            plugin: APNsPlugin(),
            keys: [
                "teamId": "TEAM123456", "keyId": "KEY1234567", "keyFile": "key.p8", "topic": "com.example.client",
                "url": .string(fake.origin), "caFile": .string(authority.caFile),
            ], addresses: tokens.map { .token($0) },
            arrivals: {
                fake.pushes.all.map {
                    Arrival(
                        device: place($0.device), id: $0.headers["apns-id"],
                        collapse: $0.headers["apns-collapse-id"] ?? "")
                }
            }, arrivalCount: { fake.pushes.count }, strike: strike(words) { fake.script($0) },
            bury: { fake.unregister(device: tokens[$0], at: $1) }, stop: { fake.stop() }, folder: folder)
    }

    static func fcm(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        var configuration = FakeFCM.Configuration(key: try rsaKey.get())
        configuration.time = time
        let fake = try FakeFCM(configuration, identity: authority.localhost)
        let folder = try TemporaryFolder()
        try folder.write(fake.serviceAccount(), to: "account.json")
        fake.setStanding(.delay(milliseconds: 3))
        let tokens = (0..<addressCount).map { "device-\($0):APA91b" + String(repeating: "x\($0)_-", count: 34) }
        for token in tokens { fake.register(token) }
        let place = places(tokens)
        let words = BusyWords(
            tooMany: .fcm(429, code: "QUOTA_EXCEEDED", retryAfter: "30"), unavailable: .fcm(503, code: "UNAVAILABLE"))
        return Site(
            plugin: FCMPlugin(),
            keys: [
                "serviceAccountFile": "account.json", "url": .string(fake.origin),
                "caFile": .string(authority.caFile),
            ], addresses: tokens.map { .token($0) },
            arrivals: {
                fake.pushes.all.map {
                    Arrival(device: place($0.token), id: $0.data("id"), collapse: $0.data("collapse") ?? "")
                }
            }, arrivalCount: { fake.pushes.count }, strike: strike(words) { fake.script($0) },
            bury: { device, _ in fake.unregister(tokens[device]) }, stop: { fake.stop() }, folder: folder)
    }

    static func wns(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        var configuration = FakeWNS.Configuration(secret: "s3cr&t=+/")
        configuration.time = time
        let fake = try FakeWNS(configuration, identity: authority.localhost)
        fake.setStanding(.delay(milliseconds: 3))
        let channels = (0..<addressCount).map { _ in fake.openChannel() }
        let place = places(channels)
        return Site(
            plugin: WNSPlugin(),
            keys: [
                "clientId": .string(configuration.packageSID), "clientSecret": ["env": "SECRET"],
                "tokenURL": .string(fake.storeTokenURL), "caFile": .string(authority.caFile),
                "allowHosts": ["localhost"],
            ], secrets: ["SECRET": configuration.secret], addresses: channels.map { .url($0) },
            arrivals: {
                fake.pushes.all.map { push in
                    let launch = try? JSONParser.parse(push.toast?.attributes["launch"] ?? "")
                    return Arrival(
                        device: place(push.channel), id: launch?["notification"]?.string,
                        collapse: launch?["collapse"]?.string ?? "")
                }
            }, arrivalCount: { fake.pushes.count }, strike: strike { fake.script($0) },
            bury: { device, _ in fake.set(channels[device], .expired) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }

    static func webpush(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        var configuration = FakeWebPushService.Configuration(identity: authority.localhost)
        configuration.time = time
        let fake = try FakeWebPushService(configuration)
        fake.setStanding(.delay(milliseconds: 3))
        let subscriptions = try (0..<addressCount).map { _ in try fake.subscribe() }
        let place = places(subscriptions.map(\.endpoint))
        return Site(
            plugin: WebPushPlugin(),
            keys: [
                "subject": "mailto:a@b.example", "keyFile": "key.pem", "caFile": .string(authority.caFile),
                "allowHosts": ["localhost"],
            ],
            addresses: subscriptions.map { .subscription(endpoint: $0.endpoint, p256dh: $0.p256dh, auth: $0.auth) },
            arrivals: { fake.pushes.all.map { Arrival(device: place($0.endpoint), document: $0.json) } },
            arrivalCount: { fake.pushes.count }, strike: strike { fake.script(nil, $0) },
            bury: { device, _ in fake.unsubscribe(subscriptions[device]) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }
}

extension Arrival {
    /// From our own document, where the service hands it on.
    init(device: Int, document: JSON?) {
        self.init(
            device: device, id: document?["notification"]?.string, collapse: document?["collapse"]?.string ?? "")
    }
}
