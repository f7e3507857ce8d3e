public import Foundation

/// Talks to a Farbell gateway, as a terminal's device or as an application.
///
/// A terminal calls `createDevice` once with the account's password, keeps `server`, `token` and `deviceID` in the
/// system's key store, and makes the client of them from then on. An application is given its key.
///
/// A value: copies share the transport. All calls throw `FarbellError`, or `CancellationError` when their task is
/// cancelled.
public struct FarbellClient: Sendable {
    /// The gateway's address, such as `https://farbell.example.org`.
    public var server: URL { wire.server }
    /// The device's token or the application's key. Whoever has it speaks for its owner.
    public let token: String
    /// The device's id, where the client knows it.
    public let deviceID: String?
    /// The device's account, where the client knows it.
    public let account: String?
    /// How often and how patiently calls are repeated.
    public var retry: RetryPolicy {
        get { wire.retry }
        set { wire.retry = newValue }
    }

    var wire: Wire

    /// A client of a device that exists, or of an application.
    /// - Parameters:
    ///   - token: a device's token or an application's key.
    ///   - transport: how requests travel.
    public init(
        server: URL, token: String, deviceID: String? = nil, account: String? = nil,
        transport: any FarbellTransport = URLSessionTransport.shared
    ) {
        self.init(
            server: server, token: token, deviceID: deviceID, account: account, transport: transport,
            clock: SystemClock(), random: { Double.random(in: 0..<1) })
    }

    /// - Parameter random: from 0..<1; spreads retries.
    package init(
        server: URL, token: String, deviceID: String? = nil, account: String? = nil, transport: any FarbellTransport,
        clock: any ClientClock, random: @escaping @Sendable () -> Double
    ) {
        (self.token, self.deviceID, self.account) = (token, deviceID, account)
        wire = Wire(
            server: server, authorization: "Bearer \(token)", transport: transport, clock: clock, random: random,
            retry: RetryPolicy())
    }
}

extension FarbellClient: CustomStringConvertible, CustomReflectable {
    /// The server and the device, never the token.
    public var description: String { "FarbellClient(\(server.absoluteString), \(deviceID ?? "no device id"))" }
    /// Without the token.
    public var customMirror: Mirror { Mirror(self, children: ["server": server, "deviceID": deviceID as Any]) }
}

/// Where the gateway reaches a device that is not connected.
public enum PushChannel: Sendable, Hashable {
    /// A token of the platform's push service. `adapter` is the name of the service in the gateway's configuration.
    case token(adapter: String, token: String)
    /// A subscription of the browser's (RFC 8030), with its keys in base64url.
    case subscription(adapter: String, endpoint: String, p256dh: String, auth: String)
    /// An address that takes notifications over HTTPS.
    case url(adapter: String, url: String)
}

extension PushChannel: Encodable {
    private enum Key: String, CodingKey {
        case adapter, token, subscription, url, endpoint, keys, p256dh, auth
    }

    /// Writes the channel as the gateway reads it.
    public func encode(to encoder: any Encoder) throws {
        var object = encoder.container(keyedBy: Key.self)
        switch self {
        case .token(let adapter, let token):
            try object.encode(adapter, forKey: .adapter)
            try object.encode(token, forKey: .token)
        case .url(let adapter, let url):
            try object.encode(adapter, forKey: .adapter)
            try object.encode(url, forKey: .url)
        case .subscription(let adapter, let endpoint, let p256dh, let auth):
            try object.encode(adapter, forKey: .adapter)
            var subscription = object.nestedContainer(keyedBy: Key.self, forKey: .subscription)
            try subscription.encode(endpoint, forKey: .endpoint)
            var keys = subscription.nestedContainer(keyedBy: Key.self, forKey: .keys)
            try keys.encode(p256dh, forKey: .p256dh)
            try keys.encode(auth, forKey: .auth)
        }
    }
}

extension FarbellClient {
    /// What a push carries.
    public enum PushPayload: String, Sendable, Hashable, Encodable {
        /// Title and text.
        case summary
        /// Nothing but the wake-up; the device fetches the rest itself.
        case wakeup
    }

    private struct DeviceRequest: Encodable {
        let installation: String
        let name: String
        let platform: String
        let channel: PushChannel?
        let tags: [String]?
        let locale: String?
        let payload: PushPayload?
    }

    private struct DeviceAnswer: Decodable {
        let id: String
        let token: String
        let account: String
    }

    /// Makes this installation a device of an account.
    ///
    /// The same installation again is the same device with a new token: the old one counts no longer. Repeating
    /// the call after a broken connection is therefore safe.
    /// - Parameters:
    ///   - installation: names this installation of the program for good, such as a UUID it made at its first start.
    ///   - channel: nil for a device that only hears what it asks for.
    ///   - tags: words that messages can be sent to.
    ///   - locale: the language notifications are written in, such as `de-CH`.
    /// - Returns: the client that speaks for the device.
    public static func createDevice(
        server: URL, account: String, password: String, installation: String, name: String, platform: String,
        channel: PushChannel? = nil, tags: [String] = [], locale: String? = nil, payload: PushPayload? = nil,
        transport: any FarbellTransport = URLSessionTransport.shared
    ) async throws -> FarbellClient {
        let credentials = Data("\(account):\(password)".utf8).base64EncodedString()
        let wire = Wire(
            server: server, authorization: "Basic \(credentials)", transport: transport, clock: SystemClock(),
            random: { Double.random(in: 0..<1) }, retry: RetryPolicy())
        let request = DeviceRequest(
            installation: installation, name: name, platform: platform, channel: channel,
            tags: tags.isEmpty ? nil : tags, locale: locale, payload: payload)
        let answer: DeviceAnswer = try await wire.call(Call("POST", "devices").with(request))
        return FarbellClient(
            server: server, token: answer.token, deviceID: answer.id, account: answer.account, transport: transport)
    }
}
