package import Base

/// A message before it has its number.
package struct MessageDraft: Sendable {
    package var sender: QueueAddress
    /// Whose device the sender is, where it is one: its receipts' queue is numbered with the account's.
    package var senderOwner: AccountID?
    package var app: AppID?
    package var header: [String: String] = [:]
    package var subject: String?
    package var body: [UInt8] = []
    package var priority: Message.Priority = .normal
    package var expires: Timestamp?
    package var notBefore: Timestamp?
    package var group: String?
    package var collapse: String?
    package var correlation: String?
    /// The sender's own id: within `Mailroom.repeatWindow` the same one to the same queue is the same message.
    package var senderID: String?
    package var receipts = Message.Receipts.none
    package var origin: Message.Origin?
    package var attachments: [Attachment] = []
    /// Known but rings for nothing: stored as done.
    package var isKnown = false

    package init(sender: QueueAddress, app: AppID?) { (self.sender, self.app) = (sender, app) }

    /// The end of a conversation that it comes from: a device's is its account.
    var end: QueueAddress { senderOwner.map { .account($0) } ?? sender }

    /// The message with its number.
    func message(_ key: MessageKey, to address: QueueAddress, at now: Timestamp) -> Message {
        var message = Message(
            key: key, address: address, sender: sender, app: app, header: header, subject: subject, body: body,
            priority: priority, enqueued: now, expires: expires, origin: origin, state: isKnown ? .done : .ready)
        if isKnown { (message.settled, message.settledReason) = (now, "known") }
        if let notBefore, notBefore > now { (message.notBefore, message.state) = (notBefore, .scheduled) }
        (message.group, message.collapse, message.correlation) = (group, collapse, correlation)
        (message.senderID, message.receipts, message.attachments) = (senderID, receipts, attachments)
        return message
    }
}

/// Where a message goes.
package struct Recipient: Sendable, Hashable {
    package let address: QueueAddress
    /// Whose device it is: the device's queue is numbered with its account's, so that its streams have one order.
    package let owner: AccountID?

    package init(_ address: QueueAddress, owner: AccountID? = nil) { (self.address, self.owner) = (address, owner) }
    /// The end of a conversation that it is for.
    var end: QueueAddress { owner.map { .account($0) } ?? address }
    package static func account(_ id: AccountID) -> Recipient { Recipient(.account(id)) }
    package static func device(_ device: Device) -> Recipient { Recipient(.device(device.id), owner: device.account) }
}

/// A message to be stored, and where. An object: a draft is many fields, and nobody changes them from here on.
package final class Posting: Sendable {
    package let draft: MessageDraft
    package let to: Recipient
    package init(_ draft: MessageDraft, to: Recipient) { (self.draft, self.to) = (draft, to) }
}

/// What became of a posting.
package struct Posted: Sendable {
    package let key: MessageKey
    package let address: QueueAddress
    let shared: SharedMessage?
    /// The older message whose place it took.
    var replaced: MessageKey?
    /// A consumer that waited for it has it already.
    package var isTaken = false

    /// Nil for a repeat of one that was stored before.
    package var message: Message? { shared?.message }
}
