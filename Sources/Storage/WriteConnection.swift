internal import Base
internal import Gateway

/// Applies changes, on the one connection that writes.
final class WriteConnection {
    private let lock: FileLock
    private let database: Database
    let statements: WriteStatements
    /// What is known of the queues that are written to, so that most puts and settlements need not look.
    var known: KnownMessages
    private let logged = LogCounter()

    /// Bodies larger than this stand in a table of their own, so that the pages of the others stay dense.
    static let inlineBodyLimit = 65_536
    /// Messages, events or launches that one `purge` removes within one transaction; it goes on in the next.
    static let purgeSlice = 500

    /// - Parameter lock: is held until the connection is gone.
    init(database: Database, lock: FileLock) throws(StoreError) {
        (self.database, self.lock) = (database, lock)
        let statements = try WriteStatements(database)
        self.statements = statements
        known = KnownMessages(hasBodies: try statements.messages.hasBodies.first { row in row.flag() } ?? true)
        database.countLoggedPages(in: logged)
    }

    // MARK: Transactions

    func begin() throws(StoreError) { try statements.begin.run() }
    func commit() throws(StoreError) { try statements.commit.run() }

    /// Undoes what was done since `begin`, if anything is left to undo.
    func rollback() throws(StoreError) {
        if !database.isOutsideTransaction { try statements.rollback.run() }
    }

    /// Runs `body` so that it alone is undone when it throws.
    func nested(_ body: () throws(StoreError) -> Void) throws(StoreError) {
        try statements.savepoint.run()
        do throws(StoreError) {
            try body()
        } catch {
            // Where this fails SQLite has rolled back everything, which `isIntact` tells.
            _ = try? statements.rollbackToSavepoint.run()
            _ = try? statements.release.run()
            throw error
        }
        try statements.release.run()
    }

    // MARK: The log

    /// The log's length in pages.
    var loggedPages: Int { logged.pages }

    /// Copies pages from the log.
    /// - Returns: how far it got; nil when somebody else was in the way.
    func checkpoint(_ mode: Database.CheckpointMode) throws(StoreError) -> Database.Checkpoint? {
        try database.checkpoint(mode)
    }

    // MARK: Changes

    /// Applies all changes of a submission inside the open transaction.
    /// - Returns: those that have to be applied again later, because a part of their work is left.
    /// - Throws: `StoreError.refused` for a change that contradicts what is stored.
    func apply(_ changes: [StoreChange]) throws(StoreError) -> [StoreChange] {
        var (unfinished, index): ([StoreChange], Int) = ([], 0)
        while index < changes.count {
            // An arrival and a settlement often come together; together they cost one look at the message.
            if index + 1 < changes.count, case .setDelivered(let arrived, let at) = changes[index],
                case .settleMessage(let key, let update) = changes[index + 1], key == arrived
            {
                try settle(key, update, delivered: at)
                index += 2
                continue
            }
            if try apply(changes[index]) { unfinished.append(changes[index]) }
            index += 1
        }
        return unfinished
    }

    /// Applies one change inside the open transaction.
    /// - Returns: whether it has to be applied again later, because a part of its work is left.
    /// - Throws: `StoreError.refused` for a change that contradicts what is stored.
    func apply(_ change: StoreChange) throws(StoreError) -> Bool {
        let statements = statements
        switch change {
        case .insertMessage(let message): try insert(message)
        case .settleMessage(let key, let update): try settle(key, update, delivered: nil)
        case .updateMessage(let key, let update): try self.update(key, update)
        case .setDelivered(let key, let at): try setDelivered(key, at)
        case .putDelivery(let record): try statements.putDelivery.run(binding: record)
        case .insertEvent(let event): try statements.insertEvent.run(binding: event)
        case .setDeviceCursor(let device, let cursor):
            try statements.setDeviceCursor.run {
                $0.bind(cursor); $0.bind(device.text)
            }
        case .setDeviceSeen(let device, let seen):
            try statements.setDeviceSeen.run {
                $0.bind(seen.milliseconds); $0.bind(device.text)
            }
        case .setMonitorCursor(let registration, let cursor):
            try statements.setMonitorCursor.run {
                $0.bind(cursor); $0.bind(registration.text)
            }
        case .putAccount(let account): try statements.putAccount.run(binding: account)
        case .deleteAccount(let account): try delete(account)
        case .putDevice(let device): try statements.putDevice.run(binding: device)
        case .deleteDevice(let device):
            try deleteQueue(of: .device(device))
            try statements.deleteDevice.run { $0.bind(device.text) }
        case .putRegistration(let registration): try statements.putRegistration.run(binding: registration)
        case .deleteRegistration(let registration):
            try statements.deleteRegistration.run { $0.bind(registration.text) }
        case .putQueue(let queue): try statements.putQueue.run(binding: queue)
        case .putLaunch(let launch): try statements.putLaunch.run(binding: launch)
        case .people(let change): try statements.people.apply(change)
        case .conversation(let change): return try apply(change)
        case .purge(let before): return try purge(before)
        }
        return false
    }

    private func apply(_ change: ConversationChange) throws(StoreError) -> Bool {
        if case .rewrite(_, _, let body) = change, body.count > Self.inlineBodyLimit { known.hasBodies = true }
        return try statements.conversations.apply(
            change, inlineBodyLimit: Self.inlineBodyLimit, slice: Self.purgeSlice)
    }

    private func deleteQueue(of address: QueueAddress) throws(StoreError) {
        statements.queueNumber.bind(address.description)
        guard let queue = try statements.queueNumber.first({ row in row.integer() }) else { return }
        for statement in statements.deleteOfQueue { try statement.run { $0.bind(queue) } }
    }

    private func delete(_ account: AccountID) throws(StoreError) {
        var addresses = [QueueAddress.account(account)]
        statements.devicesOfAccount.bind(account.text)
        try statements.devicesOfAccount.each { row in addresses.append(.device(row.identifier())) }
        for address in addresses { try deleteQueue(of: address) }
        try statements.conversations.delete(account)
        for statement in statements.deleteOfAccount { try statement.run { $0.bind(account.text) } }
    }

    private func purge(_ before: Timestamp) throws(StoreError) -> Bool {
        var settled: [(key: MessageKey, registration: String?, item: String)] = []
        statements.settledBefore.bind(before.milliseconds)
        statements.settledBefore.bind(Int64(Self.purgeSlice))
        try statements.settledBefore.each { row in
            settled.append((MessageKey(queue: row.integer(), seq: row.integer()), row.optionalText(), row.text()))
        }
        for (key, registration, item) in settled {
            try statements.deleteSettled.run { $0.bind(key) }
            try statements.deleteDeliveries.run { $0.bind(key) }
            if let registration {
                try statements.deleteItem.run {
                    $0.bind(registration); $0.bind(item)
                }
            }
        }
        var isLeft = settled.count == Self.purgeSlice
        for statement in [statements.purgeEvents, statements.purgeLaunches] {
            let removed = try statement.run {
                $0.bind(before.milliseconds); $0.bind(Int64(Self.purgeSlice))
            }
            if removed == Self.purgeSlice { isLeft = true }
        }
        return isLeft
    }
}
