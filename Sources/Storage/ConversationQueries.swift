internal import Base
package import Gateway

/// The statements that read conversations, on a connection that only reads.
struct ConversationQueries {
    private let list, named, one, unread: Statement
    private let before, after, byNumber, byMessage, last: Statement

    init(_ database: Database) throws(StoreError) {
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .read) }
        let view: SQL = """
            SELECT mine.peer, mine.last, mine.read, mine.delivered, coalesce(theirs.shown, 0),
                coalesce(theirs.delivered, 0)
            FROM conversation AS mine LEFT JOIN conversation AS theirs
                ON theirs.owner = mine.peer AND theirs.peer = mine.owner
            """
        list = try prepare(view + " WHERE mine.owner = ? AND mine.last < ? ORDER BY mine.last DESC LIMIT ?")
        named = try prepare(view + " WHERE mine.owner = ? AND mine.peer > ? ORDER BY mine.peer LIMIT ?")
        one = try prepare(view + " WHERE mine.owner = ? AND mine.peer = ?")
        unread = try prepare(
            """
            SELECT count(*) FROM (SELECT 1 FROM history WHERE low = ? AND high = ? AND number > ? AND from_high = ?
                AND withdrawn IS NULL LIMIT ?)
            """)
        let entry: SQL = "SELECT " + HistoryEntry.columns + " FROM history "
        before = try prepare(entry + "WHERE low = ? AND high = ? AND number < ? ORDER BY number DESC LIMIT ?")
        after = try prepare(entry + "WHERE low = ? AND high = ? AND number > ? ORDER BY number LIMIT ?")
        byNumber = try prepare(entry + "WHERE number = ?")
        byMessage = try prepare(entry + "WHERE queue = ? AND seq = ? ORDER BY number DESC LIMIT 1")
        last = try prepare(
            """
            SELECT max(coalesce((SELECT max(number) FROM history), 0),
                coalesce((SELECT max(last) FROM conversation), 0))
            """)
    }

    /// The highest number of an entry so far.
    func lastEntry() throws(StoreError) -> Int64 { try last.first { row in row.integer() } ?? 0 }

    func conversations(_ query: ConversationQuery) throws(StoreError) -> [ConversationView] {
        let (statement, owner): (Statement, QueueAddress)
        switch query {
        case .list(let end, let number, let limit):
            (statement, owner) = (list, end)
            list.bind(end.description)
            list.bind(number)
            list.bind(Int64(max(0, limit)))
        case .named(let end, let text, let limit):
            (statement, owner) = (named, end)
            named.bind(end.description)
            named.bind(text)
            named.bind(Int64(max(0, limit)))
        case .one(let end, let peer):
            (statement, owner) = (one, end)
            one.bind(end.description)
            one.bind(peer.description)
        }
        var found: [(peer: QueueAddress, last: Int64, own: ConversationMarks, others: ConversationMarks)] = []
        try statement.each { row throws(StoreError) in
            guard let peer = QueueAddress(row.text()) else { throw row.damage("peer") }
            let (last, own) = (row.integer(), ConversationMarks(read: row.integer(), delivered: row.integer()))
            found.append((peer, last, own, ConversationMarks(read: row.integer(), delivered: row.integer())))
        }
        var views: [ConversationView] = []
        for item in found {
            guard let pair = ConversationPair(owner, item.peer) else { continue }
            views.append(
                ConversationView(
                    owner: owner, peer: item.peer, last: item.last, own: item.own, others: item.others,
                    unread: try unread(pair, after: item.own.read, of: item.peer),
                    entry: try entry(item.last)))
        }
        return views
    }

    private func unread(
        _ pair: ConversationPair, after number: Int64, of peer: QueueAddress
    ) throws(StoreError) -> Int {
        bind(unread, pair)
        unread.bind(number)
        unread.bind(peer == pair.high ? 1 : 0)
        unread.bind(Int64(ConversationView.unreadLimit))
        return Int(try unread.first { row in row.integer() } ?? 0)
    }

    func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) throws(StoreError) -> [HistoryEntry] {
        let statement: Statement
        var entries: [HistoryEntry] = []
        switch range {
        case .before(let number):
            statement = before
            bind(before, pair)
            before.bind(number)
        case .after(let number):
            statement = after
            bind(after, pair)
            after.bind(number)
        }
        statement.bind(Int64(max(0, limit)))
        try statement.each { row throws(StoreError) in entries.append(try HistoryEntry(row: &row)) }
        if case .before = range { entries.reverse() }
        return entries
    }

    func entry(_ number: Int64) throws(StoreError) -> HistoryEntry? {
        byNumber.bind(number)
        return try byNumber.first { row throws(StoreError) in try HistoryEntry(row: &row) }
    }

    func entry(of message: MessageKey) throws(StoreError) -> HistoryEntry? {
        byMessage.bind(message)
        return try byMessage.first { row throws(StoreError) in try HistoryEntry(row: &row) }
    }

    private func bind(_ statement: Statement, _ pair: ConversationPair) {
        statement.bind(pair.low.description)
        statement.bind(pair.high.description)
    }
}

extension ReadConnection {
    func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) throws(StoreError) -> [HistoryEntry] { try conversations.history(pair, range, limit: limit) }
    func entry(_ number: Int64) throws(StoreError) -> HistoryEntry? { try conversations.entry(number) }
    func entry(of message: MessageKey) throws(StoreError) -> HistoryEntry? { try conversations.entry(of: message) }
    func conversations(_ query: ConversationQuery) throws(StoreError) -> [ConversationView] {
        try snapshot { () throws(StoreError) in try conversations.conversations(query) }
    }
}

extension SQLiteStore {
    package func conversations(_ query: ConversationQuery) async throws -> [ConversationView] {
        try await readers.read { connection throws(StoreError) in try connection.conversations(query) }
    }

    package func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) async throws -> [HistoryEntry] {
        try await readers.read { connection throws(StoreError) in
            try connection.history(pair, range, limit: limit)
        }
    }

    package func entry(_ number: Int64) async throws -> HistoryEntry? {
        try await readers.read { connection throws(StoreError) in try connection.entry(number) }
    }

    package func entry(of message: MessageKey) async throws -> HistoryEntry? {
        try await readers.read { connection throws(StoreError) in try connection.entry(of: message) }
    }
}
