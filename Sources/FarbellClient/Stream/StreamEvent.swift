public import Foundation

/// Something the gateway tells a device on its stream.
public struct StreamEvent: Sendable, Hashable {
    /// What it tells.
    public enum Content: Sendable, Hashable {
        /// The connection stands; the first event of each.
        case hello(Hello)
        /// A message for the device or its account.
        case message(MessageView)
        /// Show this notification.
        case notify(StreamNotification)
        /// Take these notifications away: what they are about was dealt with elsewhere.
        case clear(Clear)
        /// News of a message this device or its account has sent (TT-6).
        case receipt(DeliveryReceipt)
        /// A contact's status has changed.
        case presence(ContactPresence)
        /// Somebody asks to be a contact, has agreed, or is one no more.
        case contact(ContactChange)
        /// Something has happened in a conversation.
        case conversation(ConversationEvent)
        /// A launch of this device was confirmed.
        case launch(LaunchNews)
        /// An event that this library does not know, or cannot read, with its data.
        case unknown(name: String, data: String)
    }

    /// The event's number, to acknowledge it by; nil for `hello`.
    public let id: Int64?
    /// What it tells.
    public let content: Content

    /// The greeting of a connection.
    public struct Hello: Sendable, Hashable, Decodable {
        /// The device's id.
        public let device: String
        /// Counts the device's connections; an older one is closed when a newer begins.
        public let epoch: Int64
        /// The number up to which the device has acknowledged.
        public let cursor: Int64
    }

    /// A notification to show.
    public struct StreamNotification: Sendable, Hashable, Decodable {
        /// Its id, to find it again when it is cleared.
        public let notification: String
        /// The message it is about.
        public let message: String
        /// The app it is about.
        public let app: String
        /// The title.
        public let title: String
        /// The text; nil for a bare hint.
        public let body: String?
        /// How many are waiting.
        public let badge: Int
        /// What launches the app when the user taps.
        public let tap: String
    }

    /// Notifications to take away.
    public struct Clear: Sendable, Hashable, Decodable {
        /// Their ids.
        public let notifications: [String]
        /// The message they were about.
        public let message: String?
    }

    /// What became of a message that was sent.
    public struct DeliveryReceipt: Sendable, Hashable, Decodable {
        /// The message's id.
        public let message: String
        /// The sender's own mark.
        public let correlation: String?
        /// What it came to.
        public let state: MessageState
        /// When.
        public let at: Date
        /// On which device.
        public let device: String?
    }

    /// A contact's status.
    public struct ContactPresence: Sendable, Hashable, Decodable {
        /// The contact.
        public let account: String
        /// `online`, `busy`, `away`, `lunch` or `offline`.
        public let status: String
        /// The contact's own words.
        public let text: String?
        /// Since when it is offline, where it lets that be known.
        public let lastSeen: Date?
    }

    /// The account and another one stand differently than before.
    public struct ContactChange: Sendable, Hashable, Decodable {
        /// The other one.
        public let account: String
        /// `asked`, `asking`, `contact` or `none`.
        public let state: String
        /// Whether the account has blocked the other one.
        public let blocked: Bool
    }

    /// News of a launch.
    public struct LaunchNews: Sendable, Hashable, Decodable {
        /// The launch's id.
        public let launch: String
        /// The app.
        public let app: String
    }
}

extension StreamEvent {
    /// Reads an event. One that cannot be read is passed on as it is: thrown away it would be lost, and an error
    /// would come again with each connection.
    init(id: Int64?, name: String, data: String) {
        self.id = id
        let bytes = Data(data.utf8)
        do {
            content =
                switch name {
                case "hello": .hello(try Codec.decode(Hello.self, from: bytes))
                case "message": .message(try Codec.decode(MessageView.self, from: bytes))
                case "notify": .notify(try Codec.decode(StreamNotification.self, from: bytes))
                case "clear": .clear(try Codec.decode(Clear.self, from: bytes))
                case "receipt": .receipt(try Codec.decode(DeliveryReceipt.self, from: bytes))
                case "presence": .presence(try Codec.decode(ContactPresence.self, from: bytes))
                case "contact": .contact(try Codec.decode(ContactChange.self, from: bytes))
                case "conversation": .conversation(try Codec.decode(ConversationEvent.self, from: bytes))
                case "launch": .launch(try Codec.decode(LaunchNews.self, from: bytes))
                default: .unknown(name: name, data: data)
                }
        } catch {
            content = .unknown(name: name, data: data)
        }
    }
}
