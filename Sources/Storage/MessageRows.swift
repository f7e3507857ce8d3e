internal import Base
internal import Gateway

/// Remembers the last address read: rows of one queue follow each other, and taking an address apart
/// costs more than comparing it.
struct AddressCache {
    private var text = ""
    private var last: QueueAddress?

    mutating func address(_ text: String) -> QueueAddress? {
        if let last, text == self.text { return last }
        guard let address = QueueAddress(text) else { return nil }
        (self.text, last) = (text, address)
        return address
    }
}

/// Reads messages of one result.
struct MessageDecoder {
    private static let common: SQL = """
        queue, seq, address, sender, app, header, priority, enqueued, expires, not_before, grp, collapse, \
        correlation, sender_id, registration, item, state, receipts, deliveries, consumer, delivered, token, reason
        """
    /// Of an open message.
    static let columns: SQL =
        common + """
            , settled, subject, \
            coalesce(body, (SELECT data FROM body WHERE body.queue = message.queue AND body.seq = message.seq)), \
            entry, attachments
            """
    /// Of a settled message.
    static let settledColumns: SQL = common + ", at"

    private var addresses = AddressCache()
    private var senders = AddressCache()

    mutating func open(_ row: inout Statement.Row) throws(StoreError) -> Message {
        var message = try common(&row)
        message.settled = row.optionalTimestamp()
        message.subject = row.optionalText()
        message.body = row.bytes()
        message.entry = row.optionalInteger()
        guard let attachments = Codec.attachments(row.optionalText()) else { throw row.damage("attachments") }
        message.attachments = attachments
        return message
    }

    mutating func settled(_ row: inout Statement.Row) throws(StoreError) -> Message {
        var message = try common(&row)
        message.settled = row.timestamp()
        return message
    }

    private mutating func common(_ row: inout Statement.Row) throws(StoreError) -> Message {
        let key = MessageKey(queue: row.integer(), seq: row.integer())
        let address = try row.address("address", &addresses)
        let sender = try row.address("sender", &senders)
        let app: AppID? = row.optionalText().map { AppID($0) }
        guard let header = Codec.header(row.optionalText()) else { throw row.damage("header") }
        let priority = try row.priority()
        let (enqueued, expires, notBefore) = (row.timestamp(), row.optionalTimestamp(), row.optionalTimestamp())
        let (group, collapse) = (row.optionalText(), row.optionalText())
        let (correlation, senderID) = (row.optionalText(), row.optionalText())
        var origin: Message.Origin?
        if let registration = row.optionalText() {
            origin = Message.Origin(registration: RegistrationID(registration), item: row.text())
        } else {
            row.skip()
        }
        var message = Message(
            key: key, address: address, sender: sender, app: app, header: header, subject: nil, body: [],
            priority: priority, enqueued: enqueued, expires: expires, origin: origin, state: try row.state())
        (message.notBefore, message.group, message.collapse) = (notBefore, group, collapse)
        (message.correlation, message.senderID) = (correlation, senderID)
        message.receipts = try row.receipts()
        (message.deliveries, message.consumer) = (Int(clamping: row.integer()), row.optionalText())
        (message.delivered, message.receiptToken) = (row.optionalTimestamp(), row.optionalInteger())
        message.settledReason = row.optionalText()
        return message
    }
}

/// Reads open entries of one result: a start reads a million of them. Its columns stand
/// first in a row, so that neither header nor text is walked over.
struct OpenEntryDecoder {
    static let columns: SQL = """
        rowid, queue, seq, state, priority, receipts, deliveries, enqueued, expires, not_before, delivered, settled, \
        grp, collapse, sender_id, correlation, sender, entry, \
        CASE WHEN entry IS NOT NULL THEN
            (SELECT iif(from_high, high, low) FROM history WHERE number = entry) END
        """

    private var senders = AddressCache()
    private var peers = AddressCache()

    /// - Returns: the entry and its row's number.
    mutating func entry(_ row: inout Statement.Row) throws(StoreError) -> (entry: OpenEntry, rowID: Int64) {
        let rowID = row.integer()
        let key = MessageKey(queue: row.integer(), seq: row.integer())
        let (state, priority, receipts) = (try row.state(), try row.priority(), try row.receipts())
        let (deliveries, enqueued) = (Int(clamping: row.integer()), row.timestamp())
        let (expires, notBefore) = (row.optionalTimestamp(), row.optionalTimestamp())
        let delivered = row.optionalInteger()
        var entry = OpenEntry(
            key: key, state: state, priority: priority, enqueued: enqueued, deliveries: deliveries,
            receipts: receipts, isDelivered: delivered != nil)
        (entry.expires, entry.notBefore, entry.settled) = (expires, notBefore, row.optionalTimestamp())
        (entry.group, entry.collapse) = (row.optionalText(), row.optionalText())
        (entry.senderID, entry.correlation) = (row.optionalText(), row.optionalText())
        if receipts != .none || entry.senderID != nil || entry.collapse != nil {
            entry.sender = try row.address("sender", &senders)
        } else {
            row.skip()
        }
        if let number = row.optionalInteger(), let peer = row.optionalText() {
            guard let peer = peers.address(peer) else { throw row.damage("conversation") }
            entry.talk = OpenEntry.Talk(entry: number, peer: peer)
        }
        return (entry, rowID)
    }
}

extension SettledSend {
    static let columns: SQL = "queue, seq, sender, sender_id, enqueued"

    init(row: inout Statement.Row, _ senders: inout AddressCache) throws(StoreError) {
        let key = MessageKey(queue: row.integer(), seq: row.integer())
        let sender = try row.address("sender", &senders)
        self.init(key: key, sender: sender, senderID: row.text(), enqueued: row.timestamp())
    }
}
