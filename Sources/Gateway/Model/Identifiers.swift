internal import Base

/// An opaque name of one entity. The type parameter keeps a device's id from being passed as an app's.
package struct Identifier<Entity>: Sendable, Hashable, Comparable, CustomStringConvertible, ExpressibleByStringLiteral {
    package let text: String
    package init(_ text: String) { self.text = text }
    package init(stringLiteral text: String) { self.text = text }
    package static func < (a: Identifier, b: Identifier) -> Bool { a.text < b.text }
    package var description: String { text }
}

/// An account's id is its login name, as it was written when the account was made. Swift compares and hashes text
/// by canonical equivalence, so that either form of "ü" finds it; what goes to a store must be the id of the
/// account found, never the text a caller sent, because a store may compare bytes.
package typealias AccountID = Identifier<Account>
package typealias DeviceID = Identifier<Device>
/// An app's id is its key under `apps` in the configuration.
package typealias AppID = Identifier<App>
/// A farm's id is its key under `farms` in the configuration.
package typealias FarmID = Identifier<AppFarm>
package typealias RegistrationID = Identifier<Registration>
package typealias SessionID = Identifier<Session>
package typealias LaunchID = Identifier<Launch>
package typealias NotificationID = Identifier<Notification>

/// Only names a kind of identifier: farms themselves are plugins.
package enum AppFarm {}

/// A message's place: its queue's number and its number in the queue. Its text form is the message id
/// of the API, so that a message is found by its id without an index.
package struct MessageKey: Sendable, Hashable, Comparable, CustomStringConvertible {
    package let queue: Int64
    package let seq: Int64

    package init(queue: Int64, seq: Int64) { (self.queue, self.seq) = (queue, seq) }

    /// Reads the text form; nil for anything that is not the text of a key.
    package init?(_ text: String) {
        guard text.hasPrefix("m") else { return nil }
        let parts = text.dropFirst().split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let queue = Int64(parts[0], radix: 36), let seq = Int64(parts[1], radix: 36),
            queue > 0, seq > 0
        else { return nil }
        self.init(queue: queue, seq: seq)
        guard description == text else { return nil }
    }

    package var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(28)
        write(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the text form, which is ASCII.
    package func write(to text: inout [UInt8]) {
        text.append(UInt8(ascii: "m"))
        text.appendBase36(queue)
        text.append(UInt8(ascii: "-"))
        text.appendBase36(seq)
    }

    package static func < (a: MessageKey, b: MessageKey) -> Bool { (a.queue, a.seq) < (b.queue, b.seq) }
}

/// Where a queue belongs: `account/alice`, `device/…` or `app/oa`.
package enum QueueAddress: Sendable, Hashable, CustomStringConvertible {
    case account(AccountID)
    case device(DeviceID)
    case app(AppID)

    package init?(_ text: String) {
        guard let slash = text.firstIndex(of: "/") else { return nil }
        let name = String(text[text.index(after: slash)...])
        guard !name.isEmpty else { return nil }
        switch text[..<slash] {
        case "account": self = .account(AccountID(name))
        case "device": self = .device(DeviceID(name))
        case "app": self = .app(AppID(name))
        default: return nil
        }
    }

    /// Whether devices hear of its messages on their streams.
    package var isStreamed: Bool {
        if case .app = self { false } else { true }
    }

    /// What the text begins with, up to the name.
    package var start: String {
        switch self {
        case .account: "account/"
        case .device: "device/"
        case .app: "app/"
        }
    }

    package var name: String {
        switch self {
        case .account(let id): id.text
        case .device(let id): id.text
        case .app(let id): id.text
        }
    }

    // Joined, not interpolated: this is written with every message.
    package var description: String { start + name }
}
