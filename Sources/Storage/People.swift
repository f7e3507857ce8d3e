internal import Base
internal import Gateway

// Contacts, blocks and what accounts say of themselves: tables, statements, rows.

extension Schema {
    static let people: SQL = """
        CREATE TABLE contact (
            account TEXT NOT NULL, peer TEXT NOT NULL, since INTEGER NOT NULL, declined INTEGER NOT NULL,
            PRIMARY KEY (account, peer)
        ) WITHOUT ROWID;
        CREATE INDEX contact_peer ON contact (peer);
        CREATE TABLE block (
            account TEXT NOT NULL, peer TEXT NOT NULL, since INTEGER NOT NULL,
            PRIMARY KEY (account, peer)
        ) WITHOUT ROWID;
        CREATE TABLE status (
            account TEXT PRIMARY KEY NOT NULL, word TEXT NOT NULL, text TEXT, from_sessions INTEGER NOT NULL,
            shows_last_seen INTEGER NOT NULL, tells_apps INTEGER NOT NULL, since INTEGER NOT NULL
        ) WITHOUT ROWID;

        """
}

/// The statements that write what is known of people.
struct PeopleStatements {
    private let putContact, deleteContact, putBlock, deleteBlock, putStatus: Statement
    /// All that belongs to an account, and others' wishes for it.
    let deleteOfAccount: [Statement]

    init(_ database: Database) throws(StoreError) {
        func prepare(_ sql: SQL) throws(StoreError) -> Statement { try database.prepare(sql, .write) }
        putContact = try prepare("INSERT OR REPLACE INTO contact (" + ContactEdge.columns + ") VALUES (?, ?, ?, ?)")
        deleteContact = try prepare("DELETE FROM contact WHERE account = ? AND peer = ?")
        putBlock = try prepare("INSERT OR REPLACE INTO block (" + Block.columns + ") VALUES (?, ?, ?)")
        deleteBlock = try prepare("DELETE FROM block WHERE account = ? AND peer = ?")
        putStatus = try prepare(
            "INSERT OR REPLACE INTO status (" + OwnStatus.columns + ") VALUES (?, ?, ?, ?, ?, ?, ?)")
        deleteOfAccount = [
            try prepare("DELETE FROM contact WHERE account = ?"), try prepare("DELETE FROM contact WHERE peer = ?"),
            try prepare("DELETE FROM block WHERE account = ?"), try prepare("DELETE FROM status WHERE account = ?"),
        ]
    }

    func apply(_ change: PeopleChange) throws(StoreError) {
        switch change {
        case .putContact(let edge):
            try putContact.run {
                $0.bind(edge.account.text); $0.bind(edge.peer.text); $0.bind(edge.since.milliseconds)
                $0.bind(Int64(edge.isDeclined ? 1 : 0))
            }
        case .deleteContact(let account, let peer):
            try deleteContact.run {
                $0.bind(account.text); $0.bind(peer.text)
            }
        case .putBlock(let block):
            try putBlock.run {
                $0.bind(block.account.text); $0.bind(block.peer.text); $0.bind(block.since.milliseconds)
            }
        case .deleteBlock(let account, let peer):
            try deleteBlock.run {
                $0.bind(account.text); $0.bind(peer.text)
            }
        case .putStatus(let account, let status):
            try putStatus.run {
                $0.bind(account.text); $0.bind(status.word.rawValue); $0.bind(status.text)
                for flag in [status.fromSessions, status.showsLastSeen, status.tellsApps] {
                    $0.bind(Int64(flag ? 1 : 0))
                }
                $0.bind(status.since.milliseconds)
            }
        }
    }
}

/// The queries of a start.
struct PeopleQueries {
    private let contacts, blocks, statuses: Statement

    init(_ database: Database) throws(StoreError) {
        contacts = try database.prepare(
            "SELECT " + ContactEdge.columns + " FROM contact ORDER BY account, peer", .read)
        blocks = try database.prepare("SELECT " + Block.columns + " FROM block ORDER BY account, peer", .read)
        statuses = try database.prepare("SELECT " + OwnStatus.columns + " FROM status", .read)
    }

    func read(into registry: inout StoredRegistry) throws(StoreError) {
        try contacts.each { row in registry.contacts.append(ContactEdge(row: &row)) }
        try blocks.each { row in registry.blocks.append(Block(row: &row)) }
        try statuses.each { row throws(StoreError) in
            let account: AccountID = row.identifier()
            registry.statuses[account] = try OwnStatus(row: &row)
        }
    }
}

extension ContactEdge {
    static let columns: SQL = "account, peer, since, declined"

    init(row: inout Statement.Row) {
        self.init(
            account: row.identifier(), peer: row.identifier(), since: row.timestamp(), isDeclined: row.flag())
    }
}

extension Block {
    static let columns: SQL = "account, peer, since"

    init(row: inout Statement.Row) {
        self.init(account: row.identifier(), peer: row.identifier(), since: row.timestamp())
    }
}

extension OwnStatus {
    static let columns: SQL = "account, word, text, from_sessions, shows_last_seen, tells_apps, since"

    /// Reads what follows the account.
    init(row: inout Statement.Row) throws(StoreError) {
        let word: Word = try row.name("status")
        let text = row.optionalText()
        let (fromSessions, showsLastSeen, tellsApps) = (row.flag(), row.flag(), row.flag())
        self.init(word, since: row.timestamp())
        (self.text, self.fromSessions, self.showsLastSeen, self.tellsApps) =
            (text, fromSessions, showsLastSeen, tellsApps)
    }
}
