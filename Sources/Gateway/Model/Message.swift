package import Base

/// What is stored in a queue: an envelope's header, a body, and what the queue knows of it (PL-10).
package struct Message: Sendable, Hashable {
    package enum Priority: String, Sendable, CaseIterable {
        case low
        case normal
        case high
    }

    /// Terminal states keep a tombstone until the message would have expired.
    package enum State: String, Sendable, CaseIterable {
        case scheduled
        case ready
        case locked
        case deferred
        case done
        case dead
        case expired

        /// Whether nothing more will happen to the message: its text is dropped, a tombstone stays. A dead one is
        /// kept whole until somebody redrives it or its time is over.
        package var isTerminal: Bool { self == .done || self == .expired }
    }

    /// Which of a message's fortunes its sender is told of.
    package enum Receipts: Int64, Sendable, CaseIterable {
        case none
        /// Delivered, read, expired, dead.
        case final
        /// Every hop.
        case all
    }

    /// Which item of which registration a message was made from.
    package struct Origin: Sendable, Hashable {
        package let registration: RegistrationID
        /// The item's stable key in its registration.
        package let item: String

        package init(registration: RegistrationID, item: String) {
            (self.registration, self.item) = (registration, item)
        }
    }

    /// The message's id is the text of its key.
    package let key: MessageKey
    package let address: QueueAddress
    /// Who sent it, as a queue address; for an item the app it came from.
    package let sender: QueueAddress
    package let app: AppID?
    package var header: [String: String]
    package var subject: String?
    package var body: [UInt8]
    package let priority: Priority
    package let enqueued: Timestamp
    package var expires: Timestamp?
    package var notBefore: Timestamp?
    package var group: String?
    package var collapse: String?
    package var correlation: String?
    /// The sender's own id of the message, for finding repeats.
    package var senderID: String?
    package let origin: Origin?
    package var attachments: [Attachment] = []
    /// The entry of its conversation's history, where there is one.
    package var entry: Int64?
    package var state: State
    /// What the sender wants to be told of.
    package var receipts = Receipts.none
    /// Hand-overs to consumers that are noted: those that ended without a completion.
    package var deliveries = 0
    /// The consumer that had it last, where one is noted: a device's or an app's id.
    package var consumer: String?
    /// When a device acknowledged it, or a consumer completed it, for the first time.
    package var delivered: Timestamp?
    /// The token of the last settlement, so that repeating it is answered the same.
    package var receiptToken: Int64?
    /// When and why it came into the state it is in, where that is noted: always for `dead`, `done`, `expired`.
    package var settled: Timestamp?
    package var settledReason: String?

    package init(
        key: MessageKey, address: QueueAddress, sender: QueueAddress, app: AppID?, header: [String: String] = [:],
        subject: String?, body: [UInt8], priority: Priority = .normal, enqueued: Timestamp, expires: Timestamp?,
        origin: Origin? = nil, state: State = .ready
    ) {
        (self.key, self.address, self.sender, self.app) = (key, address, sender, app)
        (self.header, self.subject, self.body) = (header, subject, body)
        (self.priority, self.enqueued, self.expires) = (priority, enqueued, expires)
        (self.origin, self.state) = (origin, state)
    }
}

/// A queue's row: its number never changes, its numbers are handed out in reserved runs.
package struct QueueRecord: Sendable, Hashable {
    package let number: Int64
    package let address: QueueAddress
    /// Numbers below this may have been used; after a restart counting goes on here.
    package var reserved: Int64

    package init(number: Int64, address: QueueAddress, reserved: Int64) {
        (self.number, self.address, self.reserved) = (number, address, reserved)
    }
}

/// What became of announcing one message to one device; stored when it is settled, so that after a
/// restart nothing rings twice and everything that rang can be cleared.
package struct DeliveryRecord: Sendable, Hashable {
    package enum Outcome: String, Sendable, CaseIterable {
        /// The running client had it on its stream.
        case streamed
        /// Announced on the device's stream and acknowledged.
        case notified
        /// The push service accepted it.
        case pushed
        /// The push service refused it for good.
        case failed
        /// The notification was taken back, or never needed.
        case cleared
    }

    package let message: MessageKey
    package let device: DeviceID
    package var outcome: Outcome
    package var at: Timestamp
    /// The push service's or our reason, where there is one.
    package var detail: String?
    /// The notification that covered the message; a digest covers several.
    package let notification: NotificationID
    /// The push service it went to last; nil where none was asked, or before this was noted.
    package let adapter: String?

    package init(
        message: MessageKey, device: DeviceID, outcome: Outcome, at: Timestamp, detail: String? = nil,
        notification: NotificationID, adapter: String? = nil
    ) {
        (self.message, self.device, self.outcome) = (message, device, outcome)
        (self.at, self.detail, self.notification, self.adapter) = (at, detail, notification, adapter)
    }
}

/// An event of an account's stream that is no message but must reach devices that were away.
package struct StoredEvent: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        case clear
        case receipt
        /// A message that was not due when it was stored comes up now; the data is its id as JSON.
        case due
        /// Something happened to one of the account's devices that its other devices are told of.
        case device
        /// An app's server refused a registration's credentials.
        case monitor
        /// The account and another one stand differently than before.
        case contact
        /// An entry of a conversation is new or has changed, which the data names; or a mark has risen.
        case conversation
    }

    package let queue: Int64
    /// The account-wide event number, out of the same series as the messages' numbers.
    package let number: Int64
    package let kind: Kind
    /// Only this device gets it; nil for all of the account's.
    package let device: DeviceID?
    /// The event's data, as JSON text.
    package let data: [UInt8]
    package let at: Timestamp

    package init(queue: Int64, number: Int64, kind: Kind, device: DeviceID?, data: [UInt8], at: Timestamp) {
        (self.queue, self.number, self.kind) = (queue, number, kind)
        (self.device, self.data, self.at) = (device, data, at)
    }
}

/// The summary sent to one device for a message, or for several in a burst.
package struct Notification: Sendable, Hashable {
    package let id: NotificationID
    package let account: AccountID
    package let device: DeviceID
    /// Nil for a message between people or devices.
    package let app: AppID?
    /// The newest message it speaks of; a tap leads there.
    package let message: MessageKey
    /// All messages it speaks of.
    package let messages: [MessageKey]
    package let title: String
    /// Nil for a bare hint.
    package let body: String?
    /// Unread messages of the account.
    package let badge: Int
    /// Notifications with the same value replace one another on the device; at most 64 bytes.
    package let collapse: String
    /// What keeps one app's notifications together on the device.
    package let thread: String
    /// The opaque token a tap brings back.
    package let tap: String
    /// It speaks of one message that somebody sent: an answer to it may be typed into the notification (IM-12).
    package var isAnswerable = false

    package init(
        id: NotificationID, account: AccountID, device: DeviceID, app: AppID?, message: MessageKey,
        messages: [MessageKey], title: String, body: String?, badge: Int, collapse: String, thread: String, tap: String
    ) {
        (self.id, self.account, self.device, self.app, self.message) = (id, account, device, app, message)
        (self.messages, self.title, self.body, self.badge) = (messages, title, body, badge)
        (self.collapse, self.thread, self.tap) = (collapse, thread, tap)
    }

    func with(badge: Int) -> Notification {
        var notification = Notification(
            id: id, account: account, device: device, app: app, message: message, messages: messages, title: title,
            body: body, badge: badge, collapse: collapse, thread: thread, tap: tap)
        notification.isAnswerable = isAnswerable
        return notification
    }
}
