package import Base

/// A terminal's durable entity (MN-3): it exists while nothing is connected.
package struct Device: Sendable, Hashable {
    /// What a push to the device may carry (MN-13).
    package enum Payload: String, Sendable, CaseIterable {
        /// Title and text, as the registration's policy allows.
        case summary
        /// No text at all: the device fetches what it shows.
        case wakeup
    }

    /// The device's own keys (RFC 8291): its summaries are sealed for it, so that no push service reads them.
    package struct Encryption: Sendable, Hashable {
        /// The client's public key, P-256, uncompressed: 65 bytes.
        package let publicKey: [UInt8]
        /// The authentication secret: 16 bytes.
        package let secret: [UInt8]

        /// Bytes of the key and the secret (RFC 8291 section 3.1 and 3.2).
        package static let publicKeySize = 65
        package static let secretSize = 16

        package init(publicKey: [UInt8], secret: [UInt8]) { (self.publicKey, self.secret) = (publicKey, secret) }
    }

    package let id: DeviceID
    package let account: AccountID
    /// The client's own stable id of this installation: the same one again is the same device (MN-5).
    package let installation: String
    package var name: String
    package var platform: String
    package var channel: Channel?
    /// Where to go on, in this order, when the channel before failed for good or nobody has acknowledged what was
    /// sent there. No two channels of a device are at the same push service.
    package var furtherChannels: [Channel] = []
    /// Nil: services may read the summaries.
    package var encryption: Encryption?
    package var tags: [String]
    package var locale: String?
    package var payload: Payload
    /// SHA-256 of the auth token; nil once revoked.
    package var tokenHash: [UInt8]?
    package let created: Timestamp
    /// When the device last logged in to an app, opened a stream or reported itself in front.
    package var lastSeen: Timestamp
    /// The last event number the device has acknowledged without a gap.
    package var cursor: Int64 = 0

    /// Longest list of further channels.
    package static let furtherChannelsLimit = 4

    /// What the installation of a bridge's device begins with; no client may name one so.
    package static let bridgePrefix = "bridge/"

    /// Whether it stands for the account's clients at another messaging system.
    package var isBridge: Bool { installation.hasPrefix(Self.bridgePrefix) }

    /// All channels in the order in which they are tried.
    package var channels: [Channel] { (channel.map { [$0] } ?? []) + furtherChannels }

    /// The push services of its channels, in their order.
    package var services: [String] {
        guard !furtherChannels.isEmpty else { return channel.map { [$0.adapter] } ?? [] }
        return channels.map(\.adapter)
    }

    /// The channel at a push service.
    package func channel(at adapter: String) -> Channel? {
        channel?.adapter == adapter ? channel : furtherChannels.first { $0.adapter == adapter }
    }

    package init(
        id: DeviceID, account: AccountID, installation: String, name: String, platform: String, channel: Channel?,
        tags: [String] = [], locale: String? = nil, payload: Payload = .summary, tokenHash: [UInt8]?, created: Timestamp
    ) {
        (self.id, self.account, self.installation, self.name) = (id, account, installation, name)
        (self.platform, self.channel, self.tags, self.locale) = (platform, channel, tags, locale)
        (self.payload, self.tokenHash, self.created, self.lastSeen) = (payload, tokenHash, created, created)
    }
}

/// A device's address at a push service (MN-2, MN-8).
package struct Channel: Sendable, Hashable {
    package enum Address: Sendable, Hashable {
        /// A token the platform's service gave the client.
        case token(String)
        /// A Web Push subscription; the keys are base64url as the browser gives them.
        case subscription(endpoint: String, p256dh: String, auth: String)
        /// A plain URL.
        case url(String)
    }

    /// The key under `push` in the configuration.
    package let adapter: String
    package let address: Address
    /// When the device told us this address. A verdict that it is dead counts only if it is younger.
    package let since: Timestamp

    package init(adapter: String, address: Address, since: Timestamp) {
        (self.adapter, self.address, self.since) = (adapter, address, since)
    }
}
