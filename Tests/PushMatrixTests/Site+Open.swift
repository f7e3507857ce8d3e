import Base
import Gateway
import GatewayTestKit
import GotifyPush
import NtfyPush
import UnifiedPush
import WebhookPush

// The services that people run themselves.
extension Site {
    static func unifiedpush(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        var configuration = FakeUnifiedPush.Configuration(identity: authority.localhost)
        configuration.time = time
        let fake = try FakeUnifiedPush(configuration)
        fake.setStanding(.delay(milliseconds: 3))
        let subscriptions = try (0..<addressCount).map { _ in try fake.register() }
        let place = places(subscriptions.map(\.endpoint))
        return Site(
            plugin: UnifiedPushPlugin(),
            keys: ["caFile": .string(authority.caFile), "allowHosts": ["localhost"], "discovery": true],
            addresses: subscriptions.map { .subscription(endpoint: $0.endpoint, p256dh: $0.p256dh, auth: $0.auth) },
            arrivals: { fake.pushes.all.map { Arrival(device: place($0.endpoint), document: $0.json) } },
            arrivalCount: { fake.pushes.count }, strike: strike { fake.script(nil, $0) },
            bury: { device, _ in fake.unregister(subscriptions[device]) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }

    /// A topic does not die; what comes next to it is that nobody may publish to it any more.
    /// - Parameter forbidden: whether that is so of the second device's.
    static func ntfy(_ authority: TestCertificateAuthority, _ time: ManualTime, forbidden: Bool) throws -> Site {
        let topics = (0..<addressCount).map { "topic-\($0)" }
        var configuration = FakeNtfy.Configuration(identity: authority.localhost)
        (configuration.tokens, configuration.time) = (["tk_good"], time)
        if forbidden { configuration.readOnly = [topics[Cell.deadDevice]] }
        let fake = try FakeNtfy(configuration)
        fake.setStanding(.delay(milliseconds: 3))
        let place = places(topics)
        let words = BusyWords(
            tooMany: .status(429, body: #"{"code":42901,"http":429,"error":"limit reached: too many requests"}"#))
        return Site(
            plugin: NtfyPlugin(),
            keys: [
                "url": .string(fake.origin), "token": ["env": "TOKEN"], "caFile": .string(authority.caFile),
            ], secrets: ["TOKEN": "tk_good"], addresses: topics.map { .token($0) },
            // ntfy's sequence is the collapse value; it has no place for another id.
            arrivals: {
                fake.messages.all.map { Arrival(device: place($0.topic), id: nil, collapse: $0.sequence ?? "") }
            }, arrivalCount: { fake.messages.count }, strike: strike(words) { fake.script(topic: nil, $0) },
            bury: { _, _ in }, stop: { fake.stop() }, folder: try TemporaryFolder())
    }

    static func gotify(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        var configuration = FakeGotify.Configuration(identity: authority.localhost)
        configuration.time = time
        let fake = try FakeGotify(configuration)
        fake.setStanding(.delay(milliseconds: 3))
        let tokens = (0..<addressCount).map { _ in fake.makeApplication() }
        let place = places(tokens)
        return Site(
            plugin: GotifyPlugin(), keys: ["url": .string(fake.origin), "caFile": .string(authority.caFile)],
            addresses: tokens.map { .token($0) },
            arrivals: {
                fake.messages.all.map { Arrival(device: place($0.token), document: $0.extras["farbell::push"]) }
            }, arrivalCount: { fake.messages.count }, strike: strike { fake.script(token: nil, $0) },
            bury: { device, _ in fake.deleteApplication(tokens[device]) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }

    static func webhook(_ authority: TestCertificateAuthority, _ time: ManualTime) throws -> Site {
        let secret = "whsec_" + [UInt8](repeating: 7, count: 32).base64
        var configuration = FakeWebhookReceiver.Configuration(secret: secret, identity: authority.localhost)
        (configuration.protocols, configuration.time) = (["h2", "http/1.1"], time)
        let fake = try FakeWebhookReceiver(configuration)
        fake.setStanding(.delay(milliseconds: 3))
        let paths = (0..<addressCount).map { "/hook/\($0)" }
        let place = places(paths)
        return Site(
            plugin: WebhookPlugin(),
            keys: ["secret": ["env": "SECRET"], "caFile": .string(authority.caFile), "allowHosts": ["localhost"]],
            secrets: ["SECRET": secret], addresses: paths.map { .url(fake.origin + $0) },
            arrivals: {
                fake.calls.all.map {
                    Arrival(device: place($0.path), id: $0.id, collapse: $0.json?["collapse"]?.string ?? "")
                }
            }, arrivalCount: { fake.calls.count }, strike: strike { fake.script(path: nil, $0) },
            bury: { device, _ in fake.setStanding(.status(410), path: paths[device]) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }
}
