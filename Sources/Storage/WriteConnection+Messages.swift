internal import Base
internal import Gateway

/// What the writer remembers of messages, to spare itself looking. Remembering too much is never wrong.
struct KnownMessages {
    /// Queues whose highest number is remembered.
    static let queueLimit = 65_536

    /// The highest number that may be in use, of queues that were written to.
    private var highest: [Int64: Int64] = [:]
    /// Whether any body may stand in a table of its own.
    var hasBodies: Bool
    var address = AddressText()
    var sender = AddressText()

    init(hasBodies: Bool) { self.hasBodies = hasBodies }

    func highest(of queue: Int64) -> Int64? { highest[queue] }

    mutating func note(_ key: MessageKey, highest: Int64) {
        if self.highest.count >= Self.queueLimit { self.highest.removeAll() }
        self.highest[key.queue] = max(key.seq, highest)
    }
}

/// Remembers the last address and its text.
struct AddressText {
    private var address: QueueAddress?
    private var last = ""

    mutating func text(_ address: QueueAddress) -> String {
        if self.address != address { (self.address, last) = (address, address.description) }
        return last
    }
}

extension WriteConnection {
    func insert(_ message: Message) throws(StoreError) {
        if message.state.isTerminal { try insertSettled(message) } else { try insertOpen(message) }
        guard let origin = message.origin else { return }
        try statements.messages.insertItem.run { statement in
            statement.bind(origin.registration.text)
            statement.bind(origin.item)
            statement.bind(message.key)
        }
    }

    private func insertOpen(_ message: Message) throws(StoreError) {
        let key = message.key
        // SQLite sees to it that a key stands once in each of the two tables; this, that it stands in one.
        let highest = try highest(of: key.queue)
        if key.seq <= highest, try isSettled(key) { throw Self.used(key) }
        known.note(key, highest: highest)
        let isLarge = message.body.count > Self.inlineBodyLimit
        let (address, sender) = (known.address.text(message.address), known.sender.text(message.sender))
        try statements.messages.insertMessage.run { statement in
            statement.bindCommon(of: message, address: address, sender: sender)
            statement.bind(message.settled?.milliseconds)
            statement.bind(message.subject)
            statement.bind(isLarge ? nil : message.body)
            statement.bind(message.entry)
            statement.bind(Codec.text(message.attachments))
        }
        if isLarge {
            known.hasBodies = true
            try statements.messages.insertBody.run { statement in
                statement.bind(key)
                statement.bind(message.body)
            }
        }
    }

    private func insertSettled(_ message: Message) throws(StoreError) {
        let (address, sender) = (known.address.text(message.address), known.sender.text(message.sender))
        let inserted = try statements.messages.insertSettled.run { statement in
            statement.bindCommon(of: message, address: address, sender: sender)
            statement.bind((message.settled ?? message.enqueued).milliseconds)
        }
        if inserted == 0 { throw Self.used(message.key) }
        if let highest = known.highest(of: message.key.queue) { known.note(message.key, highest: highest) }
    }

    private static func used(_ key: MessageKey) -> StoreError {
        StoreError(.refused, "a message's number was used before", context: ["message": "\(key)"])
    }

    private func highest(of queue: Int64) throws(StoreError) -> Int64 {
        if let highest = known.highest(of: queue) { return highest }
        statements.messages.highest.bind(queue)
        statements.messages.highest.bind(Int64.min)
        return try statements.messages.highest.first { row in row.integer() } ?? .max
    }

    private func isSettled(_ key: MessageKey) throws(StoreError) -> Bool {
        statements.messages.isSettled.bind(key)
        return try statements.messages.isSettled.first { row in row.flag() } ?? false
    }

    /// - Parameter delivered: when the message arrived, if that is noted with it.
    func settle(_ key: MessageKey, _ update: MessageUpdate, delivered: Timestamp?) throws(StoreError) {
        guard update.state.isTerminal else {
            throw StoreError(
                .refused, "a message can only be settled to a terminal state",
                context: ["state": update.state.rawValue])
        }
        let moved = try statements.messages.copySettled.run { statement in
            statement.bind(update)
            statement.bind(delivered?.milliseconds)
            statement.bind(key)
        }
        guard moved > 0 else {
            // Unknown, or settled before: the first settlement stays. An arrival still counts.
            if let delivered { try setDelivered(key, delivered) }
            return
        }
        try statements.messages.deleteMessage.run { $0.bind(key) }
        if known.hasBodies { try statements.messages.deleteBody.run { $0.bind(key) } }
    }

    func update(_ key: MessageKey, _ update: MessageUpdate) throws(StoreError) {
        if update.state.isTerminal {
            throw StoreError(
                .refused, "a terminal state is for settling", context: ["state": update.state.rawValue])
        }
        try statements.messages.updateMessage.run { statement in
            statement.bind(update)
            statement.bind(update.notBefore?.milliseconds)
            statement.bind(update.receipts?.rawValue)
            statement.bind(update.forgetsExpiry ? 1 : 0)
            statement.bind(key)
        }
    }

    func setDelivered(_ key: MessageKey, _ at: Timestamp) throws(StoreError) {
        for statement in [statements.messages.deliverOpen, statements.messages.deliverSettled] {
            let changed = try statement.run { statement in
                statement.bind(at.milliseconds)
                statement.bind(key)
            }
            if changed > 0 { return }
        }
    }
}
