internal import Base
internal import Gateway

extension Schema {
    /// What was said (`history`), and how far each end of a conversation has come (`conversation`, a row an end). The
    /// text stands here and, until the message is settled, with the message: a second small copy costs less than the
    /// detour that every read of a message would have to take. Numbers rise, so the newest stand at the end of the
    /// table and of each conversation in its index. `history_message` is not unique: a queue's number may be given
    /// out again after its device was deleted.
    static let conversations: SQL = """
        CREATE TABLE history (
            number INTEGER PRIMARY KEY NOT NULL, low TEXT NOT NULL, high TEXT NOT NULL, from_high INTEGER NOT NULL,
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL,
            edited INTEGER, withdrawn INTEGER, also TEXT, correlation TEXT, header TEXT, subject TEXT,
            attachments TEXT, body BLOB
        );
        CREATE INDEX history_pair ON history (low, high);
        CREATE INDEX history_message ON history (queue, seq);
        CREATE INDEX history_until ON history (until);
        CREATE TABLE conversation (
            owner TEXT NOT NULL, peer TEXT NOT NULL, last INTEGER NOT NULL, read INTEGER NOT NULL,
            delivered INTEGER NOT NULL,
            PRIMARY KEY (owner, peer)
        ) WITHOUT ROWID;
        CREATE INDEX conversation_last ON conversation (owner, last);
        ALTER TABLE message ADD COLUMN entry INTEGER;
        ALTER TABLE message ADD COLUMN attachments TEXT;

        """

    /// What of `read` the other end may know: from whom somebody has blocked, reading is kept.
    static let shownMarks: SQL = """
        ALTER TABLE conversation ADD COLUMN shown INTEGER NOT NULL DEFAULT 0;
        UPDATE conversation SET shown = read;

        """
}

/// The statements that write conversations.
struct ConversationStatements {
    private let insert, meet, link, edit, withdraw, mark: Statement
    private let rewrite, largeBody, deleteLarge, purge, deleteEmpty: Statement
    /// In order: they find by the rows of the account's own what belongs to it.
    private let deletions: [Statement]

    init(_ database: Database) throws(StoreError) {
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .write) }
        insert = try prepare(
            "INSERT INTO history (" + HistoryEntry.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        meet = try prepare(
            """
            INSERT INTO conversation (owner, peer, last, read, delivered, shown) VALUES (?, ?, ?, 0, 0, 0)
            ON CONFLICT (owner, peer) DO UPDATE SET last = max(last, excluded.last)
            """)
        link = try prepare("UPDATE message SET entry = ? WHERE queue = ? AND seq = ?")
        edit = try prepare(
            "UPDATE history SET subject = ?, body = ?, edited = ? WHERE number = ? AND withdrawn IS NULL")
        withdraw = try prepare(
            """
            UPDATE history SET withdrawn = ?, correlation = NULL, header = NULL, subject = NULL, attachments = NULL,
                body = NULL
            WHERE number = ? AND withdrawn IS NULL
            """)
        mark = try prepare(
            """
            UPDATE conversation SET read = max(read, ?), delivered = max(delivered, ?), shown = max(shown, ?)
            WHERE owner = ? AND peer = ? AND (read < ?1 OR delivered < ?2 OR shown < ?3)
            """)
        rewrite = try prepare("UPDATE message SET subject = ?, body = ? WHERE queue = ? AND seq = ?")
        largeBody = try prepare("INSERT INTO body (data, queue, seq) VALUES (?, ?, ?)")
        deleteLarge = try prepare("DELETE FROM body WHERE queue = ? AND seq = ?")
        purge = try prepare(
            "DELETE FROM history WHERE number IN (SELECT number FROM history WHERE until < ? ORDER BY until LIMIT ?)")
        // The newest one stays, so that numbers go on rising after a restart.
        deleteEmpty = try prepare(
            """
            DELETE FROM conversation WHERE (owner, peer) IN (
                SELECT owner, peer FROM conversation WHERE last < coalesce(
                    (SELECT min(number) FROM history), (SELECT max(last) FROM conversation)) LIMIT ?)
            """)
        deletions = [
            try prepare(
                """
                DELETE FROM history WHERE number IN (
                    SELECT number FROM conversation JOIN history ON low = owner AND high = peer WHERE owner = ?1
                    UNION ALL
                    SELECT number FROM conversation JOIN history ON low = peer AND high = owner WHERE owner = ?1)
                """),
            try prepare(
                """
                DELETE FROM conversation WHERE peer = ?1
                    AND owner IN (SELECT peer FROM conversation WHERE owner = ?1)
                """),
            try prepare("DELETE FROM conversation WHERE owner = ?"),
        ]
    }

    /// Ends all conversations of an account.
    func delete(_ account: AccountID) throws(StoreError) {
        let owner = QueueAddress.account(account).description
        for statement in deletions { try statement.run { $0.bind(owner) } }
    }

    /// - Parameters:
    ///   - inlineBodyLimit: larger bodies of messages stand in a table of their own.
    ///   - slice: entries that one purge drops at a time.
    /// - Returns: whether it has to be applied again later, because a part of its work is left.
    func apply(
        _ change: ConversationChange, inlineBodyLimit: Int, slice: Int
    ) throws(StoreError) -> Bool {
        switch change {
        case .insert(let entry):
            try insert.run(binding: entry)
            for end in [entry.pair.low, entry.pair.high] {
                try meet.run { statement in
                    statement.bind(end.description)
                    statement.bind(entry.pair.peer(of: end).description)
                    statement.bind(entry.number)
                }
            }
        case .link(let key, let entry):
            try link.run { statement in
                statement.bind(entry)
                statement.bind(key)
            }
        case .edit(let number, let subject, let body, let at):
            try edit.run { statement in
                statement.bind(subject)
                statement.bind(body)
                statement.bind(at.milliseconds)
                statement.bind(number)
            }
        case .withdraw(let number, let at):
            try withdraw.run { statement in
                statement.bind(at.milliseconds)
                statement.bind(number)
            }
        case .rewrite(let key, let subject, let body): try rewrite(key, subject, body, inlineBodyLimit)
        case .mark(let owner, let peer, let marks, let isTold):
            try mark.run { statement in
                statement.bind(marks.read)
                statement.bind(marks.delivered)
                statement.bind(isTold ? marks.read : 0)
                statement.bind(owner.description)
                statement.bind(peer.description)
            }
        case .purge(let before):
            let removed = try purge.run { statement in
                statement.bind(before.milliseconds)
                statement.bind(Int64(slice))
            }
            if removed == slice { return true }
            return try deleteEmpty.run { $0.bind(Int64(slice)) } == slice
        }
        return false
    }

    private func rewrite(
        _ key: MessageKey, _ subject: String?, _ body: [UInt8], _ inlineBodyLimit: Int
    ) throws(StoreError) {
        let isLarge = body.count > inlineBodyLimit
        let changed = try rewrite.run { statement in
            statement.bind(subject)
            statement.bind(isLarge ? nil : body)
            statement.bind(key)
        }
        guard changed > 0 else { return }
        try deleteLarge.run { $0.bind(key) }
        guard isLarge else { return }
        try largeBody.run { statement in
            statement.bind(body)
            statement.bind(key)
        }
    }
}

extension HistoryEntry {
    static let columns: SQL = """
        number, low, high, from_high, queue, seq, at, until, edited, withdrawn, also, correlation, header, subject, \
        attachments, body
        """

    init(row: inout Statement.Row) throws(StoreError) {
        let number = row.integer()
        guard let low = QueueAddress(row.text()), let high = QueueAddress(row.text()),
            let pair = ConversationPair(low, high)
        else { throw row.damage("conversation") }
        let sender = row.flag() ? high : low
        let message = MessageKey(queue: row.integer(), seq: row.integer())
        self.init(
            number: number, pair: pair, sender: sender, message: message, at: row.timestamp(),
            until: row.timestamp(), body: [])
        (edited, withdrawn) = (row.optionalTimestamp(), row.optionalTimestamp())
        if let text = row.optionalText() {
            also = text.split(separator: " ").compactMap { MessageKey(String($0)) }
        }
        correlation = row.optionalText()
        guard let header = Codec.header(row.optionalText()) else { throw row.damage("header") }
        (self.header, subject) = (header, row.optionalText())
        guard let attachments = Codec.attachments(row.optionalText()) else { throw row.damage("attachments") }
        (self.attachments, body) = (attachments, row.bytes())
    }
}

extension Statement {
    fileprivate func run(binding entry: HistoryEntry) throws(StoreError) {
        bind(entry.number)
        bind(entry.pair.low.description)
        bind(entry.pair.high.description)
        bind(entry.sender == entry.pair.high ? 1 : 0)
        bind(entry.message)
        bind(entry.at.milliseconds)
        bind(entry.until.milliseconds)
        bind(entry.edited?.milliseconds)
        bind(entry.withdrawn?.milliseconds)
        bind(entry.also.isEmpty ? nil : entry.also.map(\.description).joined(separator: " "))
        bind(entry.correlation)
        bind(Codec.text(header: entry.header))
        bind(entry.subject)
        bind(Codec.text(entry.attachments))
        bind(entry.body)
        try run()
    }
}

extension Codec {
    /// Nil for none: most messages have none.
    static func text(_ attachments: [Attachment]) -> String? {
        if attachments.isEmpty { return nil }
        return JSON.array(
            attachments.map { attachment in
                var object: JSONObject = [
                    "url": .string(attachment.url), "type": .string(attachment.contentType),
                    "size": .integer(attachment.sizeBytes),
                ]
                if let name = attachment.name { object.append("name", .string(name)) }
                return .object(object)
            }
        ).serialized
    }

    static func attachments(_ text: String?) -> [Attachment]? {
        guard let text else { return [] }
        guard let items = (try? JSONParser.parse(text))?.array else { return nil }
        let attachments = items.compactMap { item -> Attachment? in
            guard let url = item["url"]?.string, let type = item["type"]?.string, let size = item["size"]?.integer
            else { return nil }
            return Attachment(url: url, contentType: type, name: item["name"]?.string, sizeBytes: size)
        }
        return attachments.count == items.count ? attachments : nil
    }
}
