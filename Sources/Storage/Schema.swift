internal import Gateway

/// What the database file looks like, and how it came to look so.
///
/// Two lines of thought. A message that is not settled stands in `message`; settling moves it, without
/// subject and body, to `settled`. So the open messages need no index of their own, and what is put pays
/// for one row and one small index entry. Rows are kept in the order they came, not by queue: with many
/// queues that halves the cost of a put (measured), because neighbours in time share a page.
package enum Schema {
    /// One step from a version to the next.
    package struct Migration: Sendable {
        let sql: SQL
        /// - Parameter sql: the statements; the last sets `PRAGMA user_version` to the new version.
        init(_ sql: SQL) { self.sql = sql }
    }

    /// `PRAGMA application_id` of Farbell's files: "FarB".
    static let applicationID: Int64 = 0x4661_7242

    /// The steps in order; the schema's version is their number. Steps that were released never change.
    package static let migrations: [Migration] = [Migration(registry + messages)]

    private static let registry: SQL = """
        CREATE TABLE account (
            id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, password_hash TEXT, disabled INTEGER NOT NULL,
            locale TEXT, created INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE device (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, installation TEXT NOT NULL, name TEXT NOT NULL,
            platform TEXT NOT NULL, adapter TEXT, address TEXT, since INTEGER, tags TEXT NOT NULL, locale TEXT,
            payload TEXT NOT NULL, token_hash BLOB, created INTEGER NOT NULL, last_seen INTEGER NOT NULL,
            cursor INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX device_account ON device (account);
        CREATE TABLE registration (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, app TEXT NOT NULL, credentials BLOB NOT NULL,
            credentials_revision INTEGER NOT NULL, refused_revision INTEGER, enabled INTEGER NOT NULL,
            armed INTEGER NOT NULL, preferences TEXT NOT NULL, cursor BLOB, created INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX registration_account ON registration (account);
        CREATE TABLE queue (
            number INTEGER PRIMARY KEY NOT NULL, address TEXT NOT NULL UNIQUE, reserved INTEGER NOT NULL
        );
        CREATE TABLE launch (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, device TEXT NOT NULL, app TEXT NOT NULL,
            queue INTEGER, seq INTEGER, from_tap INTEGER NOT NULL, ticket_hash BLOB NOT NULL,
            created INTEGER NOT NULL, expires INTEGER NOT NULL, state TEXT NOT NULL
        ) WITHOUT ROWID;

        """

    private static let messages: SQL = """
        CREATE TABLE message (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, address TEXT NOT NULL, sender TEXT NOT NULL, app TEXT,
            header TEXT, subject TEXT, body BLOB, priority TEXT NOT NULL, enqueued INTEGER NOT NULL,
            expires INTEGER, not_before INTEGER, grp TEXT, collapse TEXT, correlation TEXT, sender_id TEXT,
            registration TEXT, item TEXT, state TEXT NOT NULL,
            PRIMARY KEY (queue, seq)
        );
        CREATE TABLE body (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,
            PRIMARY KEY (queue, seq)
        );
        CREATE TABLE settled (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, address TEXT NOT NULL, sender TEXT NOT NULL, app TEXT,
            header TEXT, priority TEXT NOT NULL, enqueued INTEGER NOT NULL,
            expires INTEGER, not_before INTEGER, grp TEXT, collapse TEXT, correlation TEXT, sender_id TEXT,
            registration TEXT, item TEXT, state TEXT NOT NULL, at INTEGER NOT NULL, reason TEXT,
            PRIMARY KEY (at, queue, seq)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX settled_key ON settled (queue, seq);
        CREATE TABLE item (
            registration TEXT NOT NULL, item TEXT NOT NULL, queue INTEGER NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (registration, item)
        ) WITHOUT ROWID;
        CREATE TABLE delivery (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, device TEXT NOT NULL, outcome TEXT NOT NULL,
            at INTEGER NOT NULL, detail TEXT, notification TEXT NOT NULL,
            PRIMARY KEY (queue, seq, device)
        ) WITHOUT ROWID;
        CREATE TABLE event (
            queue INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, device TEXT, data BLOB NOT NULL,
            at INTEGER NOT NULL,
            PRIMARY KEY (at, queue, number)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX event_key ON event (queue, number);
        PRAGMA application_id = 1180791362;
        PRAGMA user_version = 1;
        """

    /// Brings a file to the newest version, each step in a transaction of its own.
    /// - Throws: `StoreError.newerSchema` for a file a newer Farbell wrote, and what SQLite reports.
    static func migrate(_ database: Database, _ migrations: [Migration]) throws(StoreError) {
        let version = Int(try database.integer("PRAGMA user_version", .open) ?? 0)
        guard version <= migrations.count else {
            throw StoreError(
                .newerSchema,
                "the database was written by a newer Farbell: run that version, or restore an older backup",
                context: ["path": database.path, "found": "\(version)", "supported": "\(migrations.count)"])
        }
        for (index, migration) in migrations.enumerated().dropFirst(max(0, version)) {
            try database.transaction(.write) { () throws(StoreError) in
                try database.executeScript(migration.sql, .write)
                let reached = try database.integer("PRAGMA user_version", .write)
                precondition(reached == Int64(index + 1), "a migration must set the version it leads to")
            }
        }
    }
}
