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
        /// Counts, above zero, that the step was taken already, whatever the file says of its version.
        let wasTaken: SQL?
        /// - Parameter sql: the statements; the last sets `PRAGMA user_version` to the new version.
        init(_ sql: SQL, unless wasTaken: SQL? = nil) { (self.sql, self.wasTaken) = (sql, wasTaken) }
    }

    /// `PRAGMA application_id` of Farbell's files: "FarB".
    static let applicationID: Int64 = 0x4661_7242

    /// The steps in order; the schema's version is their number. Steps that were released never change.
    package static let migrations: [Migration] = [
        Migration(registry + messages),
        Migration(
            settlements, unless: "SELECT count(*) FROM pragma_table_info('message') WHERE name = 'receipts'"),
        Migration(deviceKeys, unless: "SELECT count(*) FROM pragma_table_info('device') WHERE name = 'channels'"),
        Migration(refusals, unless: "SELECT count(*) FROM pragma_table_info('account') WHERE name = 'refusals'"),
        Migration(
            people + conversations + "PRAGMA user_version = 5;",
            unless: "SELECT count(*) FROM sqlite_schema WHERE name = 'conversation'"),
        Migration(
            shownMarks + "PRAGMA user_version = 6;",
            unless: "SELECT count(*) FROM pragma_table_info('conversation') WHERE name = 'shown'"),
    ]

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

    /// What the queues work with: who wants receipts, how often a message was handed over, by whom and with what
    /// it was settled. Numbers come first, so that a start reads neither header nor text, then what few messages
    /// have; names of states and priorities become numbers (`Codec`). Dead letters keep their text from now on;
    /// those that had lost it before count as expired. `event` and `settled` begin with the columns of their primary
    /// keys: of other tables without row ids SQLite 3.40's `integrity_check` says that they were damaged.
    private static let settlements: SQL =
        "ALTER TABLE message RENAME TO message_1; ALTER TABLE settled RENAME TO settled_1; CREATE TABLE message ("
        + numbers + ", settled INTEGER, " + texts + """
            , subject TEXT, body BLOB,
                PRIMARY KEY (queue, seq)
            );
            CREATE INDEX message_dead ON message (queue, seq) WHERE state = 4;
            CREATE TABLE settled (
                at INTEGER NOT NULL,
            """ + numbers + ", " + texts + """
            ,
                PRIMARY KEY (at, queue, seq)
            ) WITHOUT ROWID;
            INSERT INTO message (
            """ + firstColumns + ", subject, body) SELECT " + firstValues + """
            , subject, body FROM message_1 ORDER BY rowid;
            DROP TABLE message_1;
            INSERT INTO settled (
            """ + firstColumns + ", at, reason) SELECT " + firstValues + """
            , at, iif(state = 'dead', coalesce(reason, 'dead'), reason) FROM settled_1 ORDER BY at, queue, seq;
            DROP TABLE settled_1;
            CREATE UNIQUE INDEX settled_key ON settled (queue, seq);
            ALTER TABLE event RENAME TO event_1;
            DROP INDEX event_key;
            CREATE TABLE event (
                at INTEGER NOT NULL, queue INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, device TEXT,
                data BLOB NOT NULL,
                PRIMARY KEY (at, queue, number)
            ) WITHOUT ROWID;
            INSERT INTO event (at, queue, number, kind, device, data)
                SELECT at, queue, number, kind, device, data FROM event_1 ORDER BY at, queue, number;
            DROP TABLE event_1;
            CREATE UNIQUE INDEX event_key ON event (queue, number);
            PRAGMA user_version = 2;
            """

    /// What a device brings besides its channel: its own keys, channels to fall back on; and at which service a
    /// message was announced last.
    private static let deviceKeys: SQL = """
        ALTER TABLE device ADD COLUMN public_key BLOB;
        ALTER TABLE device ADD COLUMN secret BLOB;
        ALTER TABLE device ADD COLUMN channels TEXT;
        ALTER TABLE delivery ADD COLUMN adapter TEXT;
        PRAGMA user_version = 3;
        """

    /// Which credentials were refused, and which have worked: what has a cursor has.
    private static let refusals: SQL = """
        ALTER TABLE account ADD COLUMN refusals TEXT;
        ALTER TABLE registration ADD COLUMN proven_revision INTEGER;
        UPDATE registration SET proven_revision = credentials_revision WHERE cursor IS NOT NULL;
        PRAGMA user_version = 4;
        """

    private static let numbers: SQL = """
        queue INTEGER NOT NULL, seq INTEGER NOT NULL, state INTEGER NOT NULL, priority INTEGER NOT NULL,
        receipts INTEGER NOT NULL, deliveries INTEGER NOT NULL, enqueued INTEGER NOT NULL,
        expires INTEGER, not_before INTEGER, delivered INTEGER, token INTEGER
        """
    private static let texts: SQL = """
        grp TEXT, collapse TEXT, sender_id TEXT, correlation TEXT, sender TEXT NOT NULL, consumer TEXT, reason TEXT,
        registration TEXT, item TEXT, app TEXT, address TEXT NOT NULL, header TEXT
        """
    private static let firstColumns: SQL = """
        queue, seq, state, priority, receipts, deliveries, enqueued, expires, not_before, grp, collapse, sender_id,
        correlation, sender, registration, item, app, address, header
        """
    /// What no version wrote becomes -1, which reading reports as damage.
    private static let firstValues: SQL = """
        queue, seq, CASE state WHEN 'ready' THEN 0 WHEN 'scheduled' THEN 1 WHEN 'locked' THEN 2 WHEN 'deferred' THEN 3
            WHEN 'done' THEN 5 WHEN 'expired' THEN 6 WHEN 'dead' THEN 6 ELSE -1 END,
        CASE priority WHEN 'normal' THEN 0 WHEN 'low' THEN 1 WHEN 'high' THEN 2 ELSE -1 END, 0, 0,
        enqueued, expires, not_before, grp, collapse, sender_id, correlation, sender, registration, item, app, address,
        header
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
            if let sql = migration.wasTaken, try database.integer(sql, .open) ?? 0 > 0 {
                throw StoreError(
                    .corrupt, "the file is newer than it says; keep a copy of it and restore it from a backup",
                    context: ["path": database.path, "found": "\(index)"])
            }
            try database.transaction(.write) { () throws(StoreError) in
                try database.executeScript(migration.sql, .write)
                let reached = try database.integer("PRAGMA user_version", .write)
                precondition(reached == Int64(index + 1), "a migration must set the version it leads to")
            }
        }
    }
}
