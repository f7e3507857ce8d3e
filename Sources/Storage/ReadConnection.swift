internal import Base
internal import Gateway

/// The queries, on one connection that only reads. Each call sees one state of the data.
final class ReadConnection {
    private let database: Database
    private let begin, end: Statement
    private let accounts, devices, registrations, queues, launches: Statement
    private let openEntries, openMessage, settledMessage, settledSends: Statement
    /// Messages of a queue after a number: those a stream is sent, those in one state, the dead, all others.
    private let streamed, inState, dead, living: Statement
    private let eventsAfter, deliveries, item, openItems: Statement
    private let people: PeopleQueries
    let conversations: ConversationQueries

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
        people = try PeopleQueries(database)
        let message: SQL = "SELECT " + MessageDecoder.columns + " FROM message "
        let page: SQL = " AND queue = ? AND seq > ? ORDER BY seq LIMIT ?"
        streamed = try prepare(message + "WHERE state <> 4 AND not_before IS NULL" + page)
        inState = try prepare(message + "WHERE state = ?" + page)
        // Written out, the number lets SQLite take the index of the dead.
        dead = try prepare(message + "WHERE state = 4" + page)
        living = try prepare(message + "WHERE state <> 4" + page)
        openEntries = try prepare(
            "SELECT " + OpenEntryDecoder.columns + " FROM message WHERE rowid > ? ORDER BY rowid LIMIT ?")
        openMessage = try prepare(message + "WHERE queue = ? AND seq = ?")
        settledMessage = try prepare(
            "SELECT " + MessageDecoder.settledColumns + " FROM settled WHERE queue = ? AND seq = ?")
        settledSends = try prepare(
            "SELECT " + SettledSend.columns + " FROM settled WHERE at >= ? AND sender_id IS NOT NULL"
                + " ORDER BY at, queue, seq")
        eventsAfter = try prepare(
            "SELECT " + StoredEvent.columns + " FROM event WHERE queue = ? AND number > ? ORDER BY number LIMIT ?")
        deliveries = try prepare(
            "SELECT " + DeliveryRecord.columns + " FROM delivery WHERE queue = ? AND seq = ? ORDER BY device")
        item = try prepare(
            """
            SELECT queue, seq, EXISTS (SELECT 1 FROM message
                WHERE message.queue = item.queue AND message.seq = item.seq AND message.state <> 4)
            FROM item WHERE registration = ? AND item = ?
            """)
        conversations = try ConversationQueries(database)
        openItems = try prepare(
            """
            SELECT item.item, queue, seq FROM item CROSS JOIN message USING (queue, seq)
            WHERE item.registration = ? AND message.state <> 4
            """)
    }

    /// Runs `body` on one state of the data: without it, what is committed between two statements
    /// would be seen by the second only.
    func snapshot<Result>(_ body: () throws(StoreError) -> Result) throws(StoreError) -> Result {
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
            try people.read(into: &registry)
            registry.lastEntry = try conversations.lastEntry()
            return registry
        }
    }

    func entries(queues: [Int64], after: Int64, limit: Int) throws(StoreError) -> [StoredEntry] {
        let limit = max(0, limit)
        var entries: [StoredEntry] = []
        try snapshot { () throws(StoreError) in
            var decoder = MessageDecoder()
            for queue in Set(queues) {
                bind(streamed, queue, after, Int64(limit))
                try streamed.each { row throws(StoreError) in entries.append(.message(try decoder.open(&row))) }
                bind(eventsAfter, queue, after, Int64(limit))
                try eventsAfter.each { row throws(StoreError) in entries.append(.event(try StoredEvent(row: &row))) }
            }
        }
        entries.sort { $0.number < $1.number }
        return Array(entries.prefix(limit))
    }

    func openEntries(
        after position: Int64?, limit: Int
    ) throws(StoreError) -> (entries: [OpenEntry], next: Int64?) {
        let limit = min(max(0, limit), .max - 1)
        var entries: [OpenEntry] = []
        entries.reserveCapacity(min(limit, 10_000))
        var (last, isMore) = (position ?? .min, false)
        var decoder = OpenEntryDecoder()
        // One more than is wanted tells whether anything follows.
        bind(openEntries, last, Int64(limit) + 1)
        try openEntries.each { row throws(StoreError) in
            if entries.count == limit {
                isMore = true
                return
            }
            let (entry, rowID) = try decoder.entry(&row)
            entries.append(entry)
            last = rowID
        }
        return (entries, isMore ? last : nil)
    }

    func messages(_ keys: [MessageKey]) throws(StoreError) -> [Message] {
        try snapshot { () throws(StoreError) in
            var messages: [Message] = []
            var decoder = MessageDecoder()
            for key in keys {
                bind(openMessage, key.queue, key.seq)
                let message = try openMessage.first { row throws(StoreError) in try decoder.open(&row) }
                if let message { messages.append(message) }
            }
            return messages
        }
    }

    func messages(
        queue: Int64, state: Message.State?, after: Int64, limit: Int
    ) throws(StoreError) -> [Message] {
        let statement: Statement
        switch state {
        case nil: statement = living
        case .dead: statement = dead
        case .some(let state):
            statement = inState
            statement.bind(state.code)
        }
        bind(statement, queue, after, Int64(max(0, limit)))
        var messages: [Message] = []
        var decoder = MessageDecoder()
        try statement.each { row throws(StoreError) in messages.append(try decoder.open(&row)) }
        return messages
    }

    func settledSends(since: Timestamp) throws(StoreError) -> [SettledSend] {
        var sends: [SettledSend] = []
        var senders = AddressCache()
        settledSends.bind(since.milliseconds)
        try settledSends.each { row throws(StoreError) in sends.append(try SettledSend(row: &row, &senders)) }
        return sends
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
