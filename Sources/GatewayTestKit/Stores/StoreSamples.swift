package import Base
package import Gateway

/// Values for tests of stores.
package enum StoreSamples {
    /// A time in the middle of what is stored.
    package static let noon = Timestamp(seconds: 1_795_262_400)

    package static func account(_ id: String) -> Account {
        Account(id: AccountID(id), passwordHash: "$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA", created: noon)
    }

    package static func device(_ id: String, of account: String) -> Device {
        Device(
            id: DeviceID(id), account: AccountID(account), installation: "installation-\(id)", name: "Phone \(id)",
            platform: "ios", channel: Channel(adapter: "apns", address: .token("00ff\(id)"), since: noon),
            tags: ["red", "blue"], tokenHash: Array(0..<32), created: noon)
    }

    package static func registration(_ id: String, of account: String) -> Registration {
        Registration(
            id: RegistrationID(id), account: AccountID(account), app: "mail", sealedCredentials: [1, 0, 255],
            isEnabled: true, preferences: NotifyPreferences(), created: noon)
    }

    package static func queue(_ number: Int64, account: String) -> QueueRecord {
        QueueRecord(number: number, address: .account(AccountID(account)), reserved: 1000)
    }

    package static func message(
        _ queue: Int64, _ seq: Int64, body: [UInt8] = Array("Hello".utf8), origin: Message.Origin? = nil,
        state: Message.State = .ready
    ) -> Message {
        Message(
            key: MessageKey(queue: queue, seq: seq), address: .account("alice"), sender: .app("mail"), app: "mail",
            subject: "Subject \(seq)", body: body, enqueued: noon + .seconds(seq), expires: nil, origin: origin,
            state: state)
    }

    /// A message with every field set.
    package static func fullMessage(_ queue: Int64, _ seq: Int64) -> Message {
        var message = Message(
            key: MessageKey(queue: queue, seq: seq), address: .device("d1"), sender: .account("bob"), app: "chat",
            header: ["content-type": "text/plain", "x-größe": "1\n2", "": "empty key"], subject: "Grüße 🔔",
            body: [0, 1, 254, 255], priority: .high, enqueued: noon, expires: noon + .seconds(3600),
            origin: Message.Origin(registration: "r1", item: "uid/\(queue)/\(seq)"), state: .scheduled)
        message.notBefore = noon + .seconds(60)
        (message.group, message.collapse) = ("group", "collapse")
        (message.correlation, message.senderID) = ("correlation", "sender's id")
        (message.receipts, message.deliveries, message.consumer) = (.final, 2, "d1")
        (message.delivered, message.receiptToken) = (noon + .seconds(1), -1)
        (message.settled, message.settledReason) = (noon + .seconds(2), "abandoned")
        return message
    }

    package static func delivery(_ queue: Int64, _ seq: Int64, to device: String) -> DeliveryRecord {
        DeliveryRecord(
            message: MessageKey(queue: queue, seq: seq), device: DeviceID(device), outcome: .pushed, at: noon,
            detail: "201", notification: "n1", adapter: "apns")
    }

    package static func event(_ queue: Int64, _ number: Int64, at: Timestamp = noon) -> StoredEvent {
        StoredEvent(
            queue: queue, number: number, kind: .clear, device: nil, data: Array("{\"n\":\(number)}".utf8), at: at)
    }

    package static func entry(
        _ number: Int64, from: QueueAddress, to: QueueAddress, message: MessageKey? = nil
    ) -> HistoryEntry {
        guard let pair = ConversationPair(from, to) else { preconditionFailure("no conversation of these two") }
        return HistoryEntry(
            number: number, pair: pair, sender: from, message: message ?? MessageKey(queue: 50, seq: number),
            at: noon, until: noon + .seconds(number), body: Array("Hello \(number)".utf8))
    }

    /// An entry with every field set.
    package static func fullEntry(_ number: Int64) -> HistoryEntry {
        var entry = entry(number, from: .app("oa"), to: .account("bob"), message: MessageKey(queue: 1, seq: 1))
        entry.also = [MessageKey(queue: 2, seq: 9), MessageKey(queue: 3, seq: 1)]
        (entry.correlation, entry.header, entry.subject) = ("correlation", ["a": "1", "ä": ""], "Grüße 🔔")
        entry.attachments = [
            Attachment(url: "https://files.example/a?b", contentType: "image/png", name: "ä.png", sizeBytes: 1 << 40),
            Attachment(url: "https://files.example/c", contentType: "text/plain", name: nil, sizeBytes: 0),
        ]
        entry.body = [0, 1, 254, 255]
        entry.edited = noon + .seconds(5)
        return entry
    }

    package static func launch(_ id: String, of account: String, expires: Timestamp = noon) -> Launch {
        Launch(
            id: LaunchID(id), account: AccountID(account), device: "d1", app: "mail",
            message: MessageKey(queue: 1, seq: 2), fromTap: true, ticketHash: Array(0..<32), created: noon,
            expires: expires)
    }
}
