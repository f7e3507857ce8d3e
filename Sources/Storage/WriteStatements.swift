internal import Base
internal import Gateway

/// The prepared statements of the writing connection.
struct WriteStatements {
    let begin, commit, rollback, savepoint, rollbackToSavepoint, release: Statement
    let putAccount, putDevice, deleteDevice, setDeviceCursor, setDeviceSeen: Statement
    let putRegistration, deleteRegistration, setMonitorCursor, putQueue, putLaunch: Statement
    let messages: MessageStatements
    let people: PeopleStatements
    let conversations: ConversationStatements
    let putDelivery, insertEvent: Statement
    let devicesOfAccount, queueNumber: Statement
    /// All that belongs to a queue's number; the items must go before the messages.
    let deleteOfQueue: [Statement]
    let deleteOfAccount: [Statement]
    let settledBefore, deleteSettled, deleteDeliveries, deleteItem, purgeEvents, purgeLaunches: Statement

    private static let eventsBefore: SQL = """
        DELETE FROM event WHERE (at, queue, number) IN (
            SELECT at, queue, number FROM event WHERE at < ? ORDER BY at LIMIT ?)
        """

    init(_ database: Database) throws(StoreError) {
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .write) }
        begin = try prepare("BEGIN IMMEDIATE")
        commit = try prepare("COMMIT")
        rollback = try prepare("ROLLBACK")
        savepoint = try prepare("SAVEPOINT submission")
        rollbackToSavepoint = try prepare("ROLLBACK TO submission")
        release = try prepare("RELEASE submission")

        putAccount = try prepare(
            "INSERT OR REPLACE INTO account (" + Account.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?)")
        putDevice = try prepare(
            "INSERT OR REPLACE INTO device (" + Device.columns
                + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        deleteDevice = try prepare("DELETE FROM device WHERE id = ?")
        setDeviceCursor = try prepare("UPDATE device SET cursor = ? WHERE id = ?")
        setDeviceSeen = try prepare("UPDATE device SET last_seen = ? WHERE id = ?")
        putRegistration = try prepare(
            "INSERT OR REPLACE INTO registration (" + Registration.columns
                + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        deleteRegistration = try prepare("DELETE FROM registration WHERE id = ?")
        setMonitorCursor = try prepare("UPDATE registration SET cursor = ? WHERE id = ?")
        // No OR REPLACE: it would silently remove another queue with the same address.
        putQueue = try prepare(
            "INSERT INTO queue (" + QueueRecord.columns + ") VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE"
                + " SET address = excluded.address, reserved = excluded.reserved")
        putLaunch = try prepare(
            "INSERT OR REPLACE INTO launch (" + Launch.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")

        messages = try MessageStatements(database)
        people = try PeopleStatements(database)
        conversations = try ConversationStatements(database)
        putDelivery = try prepare(
            "INSERT OR REPLACE INTO delivery (" + DeliveryRecord.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)")
        insertEvent = try prepare("INSERT INTO event (" + StoredEvent.columns + ") VALUES (?, ?, ?, ?, ?, ?)")

        devicesOfAccount = try prepare("SELECT id FROM device WHERE account = ?")
        queueNumber = try prepare("SELECT number FROM queue WHERE address = ?")
        deleteOfQueue = try Self.deletionsOfQueue(database)
        deleteOfAccount = people.deleteOfAccount + (try Self.deletionsOfAccount(database))

        settledBefore = try prepare(
            "SELECT queue, seq, registration, item FROM settled WHERE at < ? ORDER BY at LIMIT ?")
        deleteSettled = try prepare("DELETE FROM settled WHERE queue = ? AND seq = ?")
        deleteDeliveries = try prepare("DELETE FROM delivery WHERE queue = ? AND seq = ?")
        deleteItem = try prepare("DELETE FROM item WHERE registration = ? AND item = ?")
        purgeEvents = try prepare(Self.eventsBefore)
        purgeLaunches = try prepare(
            "DELETE FROM launch WHERE id IN (SELECT id FROM launch WHERE expires < ? LIMIT ?)")
    }

    private static func deletionsOfQueue(_ database: Database) throws(StoreError) -> [Statement] {
        [
            try database.prepare(
                """
                DELETE FROM item WHERE (registration, item) IN (
                    SELECT registration, item FROM message WHERE queue = ?1 AND registration IS NOT NULL
                    UNION ALL
                    SELECT registration, item FROM settled WHERE queue = ?1 AND registration IS NOT NULL)
                """, .write),
            try database.prepare("DELETE FROM message WHERE queue = ?", .write),
            try database.prepare("DELETE FROM body WHERE queue = ?", .write),
            try database.prepare("DELETE FROM settled WHERE queue = ?", .write),
            try database.prepare("DELETE FROM delivery WHERE queue = ?", .write),
            try database.prepare("DELETE FROM event WHERE queue = ?", .write),
            try database.prepare("DELETE FROM queue WHERE number = ?", .write),
        ]
    }

    private static func deletionsOfAccount(_ database: Database) throws(StoreError) -> [Statement] {
        [
            try database.prepare("DELETE FROM device WHERE account = ?", .write),
            try database.prepare("DELETE FROM registration WHERE account = ?", .write),
            try database.prepare("DELETE FROM launch WHERE account = ?", .write),
            try database.prepare("DELETE FROM account WHERE id = ?", .write),
        ]
    }
}

/// Those that write messages.
struct MessageStatements {
    let insertMessage, insertSettled, insertBody, insertItem: Statement
    let copySettled, deleteMessage, deleteBody, updateMessage: Statement
    let deliverOpen, deliverSettled, highest, isSettled, hasBodies: Statement

    /// The columns that open and settled messages share, as `Statement.bindCommon` binds them.
    private static let common: SQL = """
        queue, seq, receipts, enqueued, priority, expires, not_before, grp, collapse, sender_id, correlation, \
        sender, registration, item, app, address, header, state, deliveries, delivered, token, consumer, reason
        """
    private static let question: SQL =
        "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
    /// Of a message that is settled these stay.
    private static let kept: SQL = """
        queue, seq, receipts, enqueued, priority, expires, not_before, grp, collapse, sender_id, correlation, \
        sender, registration, item, app, address, header
        """
    /// FAIL instead of ABORT: as one row at most is written there is nothing to undo, and no savepoint to pay for.
    private static let settling: SQL =
        "INSERT OR FAIL INTO settled (" + kept + ", state, at, reason, deliveries, consumer, token, delivered) SELECT "
        + kept + ", ?, ?, ?, ?, ?, ?, coalesce(delivered, ?) FROM message WHERE queue = ? AND seq = ?"

    init(_ database: Database) throws(StoreError) {
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .write) }
        insertMessage = try prepare(
            "INSERT INTO message (" + Self.common + ", settled, subject, body, entry, attachments) VALUES ("
                + Self.question + ", ?, ?, ?, ?, ?)")
        insertSettled = try prepare(
            "INSERT INTO settled (" + Self.common + ", at) SELECT " + Self.question + ", ?"
                + " WHERE NOT EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND seq = ?2)")
        insertBody = try prepare("INSERT INTO body (queue, seq, data) VALUES (?, ?, ?)")
        insertItem = try prepare("INSERT INTO item (registration, item, queue, seq) VALUES (?, ?, ?, ?)")
        copySettled = try prepare(Self.settling)
        deleteMessage = try prepare("DELETE FROM message WHERE queue = ? AND seq = ?")
        deleteBody = try prepare("DELETE FROM body WHERE queue = ? AND seq = ?")
        updateMessage = try prepare(
            "UPDATE message SET state = ?, settled = ?, reason = ?, deliveries = ?, consumer = ?, token = ?,"
                + " not_before = ?, receipts = coalesce(?, receipts), expires = CASE WHEN ? THEN NULL ELSE expires END"
                + " WHERE queue = ? AND seq = ?")
        deliverOpen = try prepare(
            "UPDATE message SET delivered = ? WHERE queue = ? AND seq = ? AND delivered IS NULL")
        deliverSettled = try prepare(
            "UPDATE settled SET delivered = ? WHERE queue = ? AND seq = ? AND delivered IS NULL")
        highest = try prepare(
            """
            SELECT max(coalesce((SELECT max(seq) FROM message WHERE queue = ?1), ?2),
                coalesce((SELECT max(seq) FROM settled WHERE queue = ?1), ?2))
            """)
        isSettled = try prepare("SELECT EXISTS (SELECT 1 FROM settled WHERE queue = ? AND seq = ?)")
        hasBodies = try prepare("SELECT EXISTS (SELECT 1 FROM body)")
    }
}
