import Base
import Gateway
import GatewayTestKit
import Testing

@testable import Storage

@Suite("Files of older versions are brought forward")
struct MigrationTests {
    /// What version 1 left behind, as `sqlite3 FILE .dump` shows it; never changed.
    private static let versionOne: SQL = """
        CREATE TABLE account (
            id TEXT PRIMARY KEY NOT NULL, kind TEXT NOT NULL, password_hash TEXT, disabled INTEGER NOT NULL,
            locale TEXT, created INTEGER NOT NULL
        ) WITHOUT ROWID;
        INSERT INTO account VALUES ('alice', 'person', NULL, 0, 'de', 1000);
        CREATE TABLE device (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, installation TEXT NOT NULL, name TEXT NOT NULL,
            platform TEXT NOT NULL, adapter TEXT, address TEXT, since INTEGER, tags TEXT NOT NULL, locale TEXT,
            payload TEXT NOT NULL, token_hash BLOB, created INTEGER NOT NULL, last_seen INTEGER NOT NULL,
            cursor INTEGER NOT NULL
        ) WITHOUT ROWID;
        INSERT INTO device VALUES ('d1', 'alice', 'i1', 'Phone', 'ios', 'apns', '{"token":"00ff"}', 1500,
            '["red"]', NULL, 'summary', x'0102', 1000, 2000, 41);
        CREATE INDEX device_account ON device (account);
        CREATE TABLE registration (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, app TEXT NOT NULL, credentials BLOB NOT NULL,
            credentials_revision INTEGER NOT NULL, refused_revision INTEGER, enabled INTEGER NOT NULL,
            armed INTEGER NOT NULL, preferences TEXT NOT NULL, cursor BLOB, created INTEGER NOT NULL
        ) WITHOUT ROWID;
        INSERT INTO registration VALUES ('r1', 'alice', 'mail', x'07', 2, NULL, 1, 1,
            '{"summary":"digest","targets":{"escalate":["d1"],"afterMs":60000},"quiet":{"from":60,"to":0,"zone":"UTC"}}',
            x'', 1000);
        CREATE INDEX registration_account ON registration (account);
        CREATE TABLE queue (
            number INTEGER PRIMARY KEY NOT NULL, address TEXT NOT NULL UNIQUE, reserved INTEGER NOT NULL
        );
        INSERT INTO queue VALUES (1, 'account/alice', 1000);
        CREATE TABLE launch (
            id TEXT PRIMARY KEY NOT NULL, account TEXT NOT NULL, device TEXT NOT NULL, app TEXT NOT NULL,
            queue INTEGER, seq INTEGER, from_tap INTEGER NOT NULL, ticket_hash BLOB NOT NULL,
            created INTEGER NOT NULL, expires INTEGER NOT NULL, state TEXT NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE message (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, address TEXT NOT NULL, sender TEXT NOT NULL, app TEXT,
            header TEXT, subject TEXT, body BLOB, priority TEXT NOT NULL, enqueued INTEGER NOT NULL,
            expires INTEGER, not_before INTEGER, grp TEXT, collapse TEXT, correlation TEXT, sender_id TEXT,
            registration TEXT, item TEXT, state TEXT NOT NULL,
            PRIMARY KEY (queue, seq)
        );
        INSERT INTO message VALUES (1, 7, 'account/alice', 'app/mail', 'mail', '{"a":"b"}', 'Hello', x'6869',
            'high', 3000, NULL, NULL, NULL, NULL, NULL, NULL, 'r1', 'uid/7', 'ready');
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
        INSERT INTO settled VALUES (1, 6, 'account/alice', 'app/mail', NULL, NULL, 'low', 2900,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'expired', 2950, 'ttl');
        CREATE TABLE item (
            registration TEXT NOT NULL, item TEXT NOT NULL, queue INTEGER NOT NULL, seq INTEGER NOT NULL,
            PRIMARY KEY (registration, item)
        ) WITHOUT ROWID;
        INSERT INTO item VALUES ('r1', 'uid/7', 1, 7);
        CREATE TABLE delivery (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, device TEXT NOT NULL, outcome TEXT NOT NULL,
            at INTEGER NOT NULL, detail TEXT, notification TEXT NOT NULL,
            PRIMARY KEY (queue, seq, device)
        ) WITHOUT ROWID;
        INSERT INTO delivery VALUES (1, 7, 'd1', 'pushed', 3001, '201', 'n1');
        CREATE TABLE event (
            queue INTEGER NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, device TEXT, data BLOB NOT NULL,
            at INTEGER NOT NULL,
            PRIMARY KEY (at, queue, number)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX event_key ON event (queue, number);
        INSERT INTO event VALUES (1, 8, 'receipt', NULL, x'7b7d', 3002);
        PRAGMA application_id = 1180791362;
        PRAGMA user_version = 1;
        """

    private func makeVersionOne(_ path: String) throws {
        try #require(FileSystem.writePrivate([], to: path))
        try Database(path: path, access: .readWrite).executeScript(Self.versionOne, .write)
    }

    @Test("version 1 is read with everything in it")
    func versionOne() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        let store = try await SQLiteStore.open(path: folder.database)
        let registry = try await store.registry()
        #expect(registry.accounts.first?.locale == "de")
        let device = try #require(registry.devices.first)
        #expect(device.channel?.address == .token("00ff"))
        #expect(device.cursor == 41 && device.tags == ["red"] && device.tokenHash == [1, 2])
        let registration = try #require(registry.registrations.first)
        #expect(registration.preferences.targets == .escalate(["d1"], after: .seconds(60)))
        #expect(registration.cursor == [] && registration.isArmed)
        let message = try #require(try await store.message(MessageKey(queue: 1, seq: 7)))
        #expect(message.body == Array("hi".utf8) && message.priority == .high && message.header == ["a": "b"])
        #expect(try await store.message(MessageKey(queue: 1, seq: 6))?.settledReason == "ttl")
        #expect(try await store.entries(queue: 1, after: 0, limit: 9).map(\.number) == [7, 8])
        #expect(try await store.openItems(registration: "r1") == ["uid/7": message.key])
        #expect(try await store.deliveries(of: [message.key]).first?.detail == "201")
        await store.close()
    }

    @Test("a later version's steps run once, in order")
    func forward() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        var options = SQLiteStore.Options()
        options.migrations += [
            .init("ALTER TABLE account ADD COLUMN extra TEXT; PRAGMA user_version = 2"),
            .init("UPDATE account SET extra = 'three'; PRAGMA user_version = 3"),
        ]
        for _ in 0..<2 { #expect(await failure(opening: folder.database, options: options) == nil) }
        do {
            let database = try Database(path: folder.database, access: .readOnly)
            #expect(try database.integer("PRAGMA user_version") == 3)
            #expect(try database.text("SELECT extra FROM account") == "three")
        }
        #expect(await failure(opening: folder.database)?.code == .newerSchema, "today's code refuses it")
    }

    @Test("a step that fails leaves the version before it, whole")
    func failingStep() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        var options = SQLiteStore.Options()
        options.migrations += [.init("DELETE FROM account; SELECT * FROM nothing; PRAGMA user_version = 2")]
        #expect(await failure(opening: folder.database, options: options)?.code == .writeFailed)
        let store = try await SQLiteStore.open(path: folder.database)
        #expect(try await store.registry().accounts.count == 1)
        await store.close()
    }
}
