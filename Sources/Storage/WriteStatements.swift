internal import Base
internal import Gateway

/// The prepared statements of the writing connection.
struct WriteStatements {
    let begin, commit, rollback, savepoint, rollbackToSavepoint, release: Statement
    let putAccount, putDevice, deleteDevice, setDeviceCursor, setDeviceSeen: Statement
    let putRegistration, deleteRegistration, setMonitorCursor, putQueue, putLaunch: Statement
    let insertMessage, insertSettled, insertBody, insertItem: Statement
    let copySettled, deleteMessage, deleteBody: Statement
    let putDelivery, insertEvent: Statement
    let devicesOfAccount, queueNumber: Statement
    /// All that belongs to a queue's number; the items must go before the messages.
    let deleteOfQueue: [Statement]
    let deleteOfAccount: [Statement]
    let settledBefore, deleteSettled, deleteDeliveries, deleteItem, purgeEvents, purgeLaunches: Statement

    /// The columns that open and settled messages share, as `Statement.bindCommon` binds them.
    private static let common: SQL = """
        queue, seq, address, sender, app, header, priority, enqueued, expires, not_before, grp, collapse, \
        correlation, sender_id, registration, item
        """
    private static let seventeen: SQL = "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?"
    private static let settling: SQL =
        "INSERT INTO settled (" + common + ", state, at, reason) SELECT " + common
        + ", ?, ?, ? FROM message WHERE queue = ? AND seq = ?"
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
            "INSERT OR REPLACE INTO account (" + Account.columns + ") VALUES (?, ?, ?, ?, ?, ?)")
        putDevice = try prepare(
            "INSERT OR REPLACE INTO device (" + Device.columns
                + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        deleteDevice = try prepare("DELETE FROM device WHERE id = ?")
        setDeviceCursor = try prepare("UPDATE device SET cursor = ? WHERE id = ?")
        setDeviceSeen = try prepare("UPDATE device SET last_seen = ? WHERE id = ?")
        putRegistration = try prepare(
            "INSERT OR REPLACE INTO registration (" + Registration.columns
                + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        deleteRegistration = try prepare("DELETE FROM registration WHERE id = ?")
        setMonitorCursor = try prepare("UPDATE registration SET cursor = ? WHERE id = ?")
        // No OR REPLACE: it would silently remove another queue with the same address.
        putQueue = try prepare(
            "INSERT INTO queue (" + QueueRecord.columns + ") VALUES (?, ?, ?) ON CONFLICT (number) DO UPDATE"
                + " SET address = excluded.address, reserved = excluded.reserved")
        putLaunch = try prepare(
            "INSERT OR REPLACE INTO launch (" + Launch.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")

        insertMessage = try prepare(
            "INSERT INTO message (" + Self.common + ", state, subject, body) SELECT " + Self.seventeen + ", ?, ?"
                + " WHERE NOT EXISTS (SELECT 1 FROM settled WHERE queue = ?1 AND seq = ?2)")
        insertSettled = try prepare(
            "INSERT INTO settled (" + Self.common + ", state, at, reason) SELECT " + Self.seventeen + ", ?, ?"
                + " WHERE NOT EXISTS (SELECT 1 FROM message WHERE queue = ?1 AND seq = ?2)")
        insertBody = try prepare("INSERT INTO body (queue, seq, data) VALUES (?, ?, ?)")
        insertItem = try prepare("INSERT INTO item (registration, item, queue, seq) VALUES (?, ?, ?, ?)")
        copySettled = try prepare(Self.settling)
        deleteMessage = try prepare("DELETE FROM message WHERE queue = ? AND seq = ?")
        deleteBody = try prepare("DELETE FROM body WHERE queue = ? AND seq = ?")
        putDelivery = try prepare(
            "INSERT OR REPLACE INTO delivery (" + DeliveryRecord.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?)")
        insertEvent = try prepare("INSERT INTO event (" + StoredEvent.columns + ") VALUES (?, ?, ?, ?, ?, ?)")

        devicesOfAccount = try prepare("SELECT id FROM device WHERE account = ?")
        queueNumber = try prepare("SELECT number FROM queue WHERE address = ?")
        deleteOfQueue = try Self.deletionsOfQueue(database)
        deleteOfAccount = try Self.deletionsOfAccount(database)

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

extension Statement {
    /// Binds values and runs.
    /// - Returns: the rows inserted, changed or deleted.
    @discardableResult
    func run(_ bindValues: (Statement) -> Void) throws(StoreError) -> Int {
        bindValues(self)
        return try run()
    }

    /// The shared columns of a message and its state.
    func bindCommon(of message: Message) {
        bind(message.key.queue)
        bind(message.key.seq)
        bind(message.address.description)
        bind(message.sender.description)
        bind(message.app?.text)
        bind(Codec.text(header: message.header))
        bind(message.priority.rawValue)
        bind(message.enqueued.milliseconds)
        bind(message.expires?.milliseconds)
        bind(message.notBefore?.milliseconds)
        bind(message.group)
        bind(message.collapse)
        bind(message.correlation)
        bind(message.senderID)
        bind(message.origin?.registration.text)
        bind(message.origin?.item)
        bind(message.state.rawValue)
    }

    func run(binding account: Account) throws(StoreError) {
        bind(account.id.text)
        bind(account.kind.rawValue)
        bind(account.passwordHash)
        bind(account.isDisabled ? 1 : 0)
        bind(account.locale)
        bind(account.created.milliseconds)
        try run()
    }

    func run(binding device: Device) throws(StoreError) {
        bind(device.id.text)
        bind(device.account.text)
        bind(device.installation)
        bind(device.name)
        bind(device.platform)
        bind(device.channel?.adapter)
        bind(device.channel.map { Codec.text($0.address) })
        bind(device.channel?.since.milliseconds)
        bind(Codec.text(device.tags))
        bind(device.locale)
        bind(device.payload.rawValue)
        bind(device.tokenHash)
        bind(device.created.milliseconds)
        bind(device.lastSeen.milliseconds)
        bind(device.cursor)
        try run()
    }

    func run(binding registration: Registration) throws(StoreError) {
        bind(registration.id.text)
        bind(registration.account.text)
        bind(registration.app.text)
        bind(registration.sealedCredentials)
        bind(registration.credentialsRevision)
        bind(registration.refusedRevision)
        bind(registration.isEnabled ? 1 : 0)
        bind(registration.isArmed ? 1 : 0)
        bind(Codec.text(registration.preferences))
        bind(registration.cursor)
        bind(registration.created.milliseconds)
        try run()
    }

    func run(binding queue: QueueRecord) throws(StoreError) {
        bind(queue.number)
        bind(queue.address.description)
        bind(queue.reserved)
        try run()
    }

    func run(binding launch: Launch) throws(StoreError) {
        bind(launch.id.text)
        bind(launch.account.text)
        bind(launch.device.text)
        bind(launch.app.text)
        bind(launch.message?.queue)
        bind(launch.message?.seq)
        bind(launch.fromTap ? 1 : 0)
        bind(launch.ticketHash)
        bind(launch.created.milliseconds)
        bind(launch.expires.milliseconds)
        bind(launch.state.rawValue)
        try run()
    }

    func run(binding record: DeliveryRecord) throws(StoreError) {
        bind(record.message.queue)
        bind(record.message.seq)
        bind(record.device.text)
        bind(record.outcome.rawValue)
        bind(record.at.milliseconds)
        bind(record.detail)
        bind(record.notification.text)
        try run()
    }

    func run(binding event: StoredEvent) throws(StoreError) {
        bind(event.queue)
        bind(event.number)
        bind(event.kind.rawValue)
        bind(event.device?.text)
        bind(event.data)
        bind(event.at.milliseconds)
        try run()
    }
}
