internal import Base
internal import Gateway

/// The queries, on one connection that only reads. Each call sees one state of the data.
final class ReadConnection {
    private let database: Database
    private let begin, end: Statement
    private let accounts, devices, registrations, queues, launches: Statement
    private let messagesAfter, eventsAfter, openAfter, openMessage, settledMessage: Statement
    private let deliveries, item, openItems: Statement

    /// How long a read waits for a lock (only another program's, or recovery, takes one).
    static let lockWaitMilliseconds: Int32 = 5000

    init(path: String) throws(StoreError) {
        let database = try Database(path: path, access: .readOnly)
        database.waitForLocks(milliseconds: Self.lockWaitMilliseconds)
        try database.execute("PRAGMA query_only = ON", .open)
        try database.execute("PRAGMA cache_size = -8192", .open)
        try database.execute("PRAGMA temp_store = MEMORY", .open)
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .read) }
        self.database = database
        begin = try prepare("BEGIN")
        end = try prepare("COMMIT")
        accounts = try prepare("SELECT " + Account.columns + " FROM account ORDER BY id")
        devices = try prepare("SELECT " + Device.columns + " FROM device ORDER BY id")
        registrations = try prepare("SELECT " + Registration.columns + " FROM registration ORDER BY id")
        queues = try prepare("SELECT " + QueueRecord.columns + " FROM queue ORDER BY number")
        launches = try prepare("SELECT " + Launch.columns + " FROM launch ORDER BY id")
        let message: SQL = "SELECT " + MessageDecoder.columns + " FROM message "
        messagesAfter = try prepare(message + "WHERE queue = ? AND seq > ? ORDER BY seq LIMIT ?")
        openAfter = try prepare(message + "WHERE (queue, seq) > (?, ?) ORDER BY queue, seq LIMIT ?")
        openMessage = try prepare(message + "WHERE queue = ? AND seq = ?")
        settledMessage = try prepare(
            "SELECT " + MessageDecoder.settledColumns + " FROM settled WHERE queue = ? AND seq = ?")
        eventsAfter = try prepare(
            "SELECT " + StoredEvent.columns + " FROM event WHERE queue = ? AND number > ? ORDER BY number LIMIT ?")
        deliveries = try prepare(
            "SELECT " + DeliveryRecord.columns + " FROM delivery WHERE queue = ? AND seq = ? ORDER BY device")
        item = try prepare(
            """
            SELECT queue, seq, EXISTS (SELECT 1 FROM message
                WHERE message.queue = item.queue AND message.seq = item.seq)
            FROM item WHERE registration = ? AND item = ?
            """)
        openItems = try prepare(
            """
            SELECT item.item, queue, seq FROM item CROSS JOIN message USING (queue, seq)
            WHERE item.registration = ?
            """)
    }

    /// Runs `body` on one state of the data: without it, what is committed between two statements
    /// would be seen by the second only.
    private func snapshot<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
        try begin.run()
        do throws(StoreError) {
            let result = try body()
            try end.run()
            return result
        } catch {
            // Nothing was written: if ending fails too, the first error says more.
            if !database.isOutsideTransaction { _ = try? end.run() }
            throw error
        }
    }

    func registry() throws(StoreError) -> StoredRegistry {
        try snapshot { () throws(StoreError) in
            var registry = StoredRegistry()
            try accounts.each { row throws(StoreError) in registry.accounts.append(try Account(row: &row)) }
            try devices.each { row throws(StoreError) in registry.devices.append(try Device(row: &row)) }
            try registrations.each { row throws(StoreError) in
                registry.registrations.append(try Registration(row: &row))
            }
            try queues.each { row throws(StoreError) in registry.queues.append(try QueueRecord(row: &row)) }
            try launches.each { row throws(StoreError) in registry.launches.append(try Launch(row: &row)) }
            return registry
        }
    }

    func entries(queue: Int64, after: Int64, limit: Int) throws(StoreError) -> [StoredEntry] {
        var messages: [Message] = []
        var events: [StoredEvent] = []
        try snapshot { () throws(StoreError) in
            var decoder = MessageDecoder()
            bind(messagesAfter, queue, after, Int64(max(0, limit)))
            try messagesAfter.each { row throws(StoreError) in messages.append(try decoder.open(&row)) }
            bind(eventsAfter, queue, after, Int64(max(0, limit)))
            try eventsAfter.each { row throws(StoreError) in events.append(try StoredEvent(row: &row)) }
        }
        return Self.merge(messages, events, limit: limit)
    }

    /// Both by number, ascending.
    static func merge(_ messages: [Message], _ events: [StoredEvent], limit: Int) -> [StoredEntry] {
        var entries: [StoredEntry] = []
        var (left, right) = (messages[...], events[...])
        while entries.count < limit {
            if let message = left.first, right.first.map({ message.key.seq <= $0.number }) ?? true {
                entries.append(.message(message))
                left = left.dropFirst()
            } else if let event = right.popFirst() {
                entries.append(.event(event))
            } else {
                break
            }
        }
        return entries
    }

    func openMessages(after: MessageKey?, limit: Int) throws(StoreError) -> [Message] {
        var messages: [Message] = []
        var decoder = MessageDecoder()
        bind(openAfter, after?.queue ?? .min, after?.seq ?? .min, Int64(max(0, limit)))
        try openAfter.each { row throws(StoreError) in messages.append(try decoder.open(&row)) }
        return messages
    }

    func message(_ key: MessageKey) throws(StoreError) -> Message? {
        try snapshot { () throws(StoreError) in
            var decoder = MessageDecoder()
            bind(openMessage, key.queue, key.seq)
            if let open = try openMessage.first({ row throws(StoreError) in try decoder.open(&row) }) { return open }
            bind(settledMessage, key.queue, key.seq)
            return try settledMessage.first { row throws(StoreError) in try decoder.settled(&row) }
        }
    }

    func deliveries(of messages: [MessageKey]) throws(StoreError) -> [DeliveryRecord] {
        try snapshot { () throws(StoreError) in
            var records: [DeliveryRecord] = []
            for key in messages {
                bind(deliveries, key.queue, key.seq)
                try deliveries.each { row throws(StoreError) in records.append(try DeliveryRecord(row: &row)) }
            }
            return records
        }
    }

    func items(registration: RegistrationID, keys: [String]) throws(StoreError) -> [String: StoredItem] {
        try snapshot { () throws(StoreError) in
            var items: [String: StoredItem] = [:]
            for key in keys {
                item.bind(registration.text)
                item.bind(key)
                items[key] = try item.first { row in
                    StoredItem(
                        message: MessageKey(queue: row.integer(), seq: row.integer()), isOpen: row.flag())
                }
            }
            return items
        }
    }

    func openItems(registration: RegistrationID) throws(StoreError) -> [String: MessageKey] {
        var items: [String: MessageKey] = [:]
        openItems.bind(registration.text)
        try openItems.each { row in
            items[row.text()] = MessageKey(queue: row.integer(), seq: row.integer())
        }
        return items
    }

    private func bind(_ statement: Statement, _ values: Int64...) {
        for value in values { statement.bind(value) }
    }
}
