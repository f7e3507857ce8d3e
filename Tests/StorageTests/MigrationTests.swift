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
        INSERT INTO message VALUES (2, 1, 'device/d1', 'account/bob', NULL, NULL, NULL, NULL, 'low', 3001, 4000, 3500,
            'g', 'c', 'corr', 'own', NULL, NULL, 'scheduled');
        INSERT INTO message VALUES (1, 9, 'account/alice', 'app/mail', NULL, NULL, '', x'', 'normal', 3002, NULL, NULL,
            NULL, NULL, NULL, NULL, NULL, NULL, 'locked');
        INSERT INTO message VALUES (1, 10, 'account/alice', 'app/mail', NULL, NULL, '', x'', 'normal', 3002, NULL,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'deferred');
        CREATE TABLE body (
            queue INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL,
            PRIMARY KEY (queue, seq)
        );
        INSERT INTO body VALUES (2, 1, x'6c61726765');
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
        INSERT INTO settled VALUES (1, 5, 'account/alice', 'app/mail', 'mail', '{"a":"b"}', 'high', 2800,
            2801, 2802, 'g', 'c', 'corr', 'own', 'r1', 'uid/5', 'done', 2960, NULL);
        INSERT INTO settled VALUES (1, 4, 'account/alice', 'app/mail', NULL, NULL, 'normal', 2700,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'dead', 2970, NULL);
        INSERT INTO settled VALUES (1, 3, 'account/alice', 'app/mail', NULL, NULL, 'normal', 2600,
            NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'dead', 2970, 'refused');
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

    /// The file of version 1, brought forward by the code of a version, and opened by today's.
    private func store(ofVersion version: Int, in folder: TemporaryFolder) async throws -> SQLiteStore {
        try makeVersionOne(folder.database)
        var old = SQLiteStore.Options()
        old.migrations = Array(Schema.migrations.prefix(version))
        // That code knows no newer columns: it only brings the file there.
        if version > 1 { _ = await failure(opening: folder.database, options: old) }
        #expect(
            try Database(path: folder.database, access: .readOnly).integer("PRAGMA user_version") == Int64(version))
        return try await SQLiteStore.open(path: folder.database)
    }

    @Test("version 1 is read with everything in it")
    func versionOne() async throws {
        let folder = try TemporaryFolder()
        let store = try await store(ofVersion: 1, in: folder)
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
        #expect(try await store.entries(queues: [1], after: 0, limit: 9).map(\.number) == [7, 8, 9, 10])
        #expect(try await store.openItems(registration: "r1") == ["uid/7": message.key])
        #expect(try await store.deliveries(of: [message.key]).first?.detail == "201")
        await store.close()
    }

    @Test("version 1's messages become version 2's")
    func messagesOfVersionOne() async throws {
        let folder = try TemporaryFolder()
        let store = try await store(ofVersion: 1, in: folder)
        let keys = [(1, 7), (2, 1), (1, 9), (1, 10)].map { MessageKey(queue: $0.0, seq: $0.1) }
        #expect(try await store.openKeys() == keys, "in the order in which they were stored")
        let messages = try await store.messages(keys)
        #expect(messages.map(\.state) == [.ready, .scheduled, .locked, .deferred])
        #expect(messages.map(\.priority) == [.high, .low, .normal, .normal])
        #expect(messages.allSatisfy { $0.receipts == .none && $0.deliveries == 0 && $0.settled == nil })
        let full = messages[1]
        #expect(full.address == .device("d1") && full.sender == .account("bob") && full.app == nil)
        #expect(full.expires == Timestamp(milliseconds: 4000) && full.notBefore == Timestamp(milliseconds: 3500))
        #expect(full.group == "g" && full.collapse == "c" && full.correlation == "corr" && full.senderID == "own")
        #expect(full.subject == nil && full.body == Array("large".utf8))
        #expect(messages[0].origin == Message.Origin(registration: "r1", item: "uid/7"))

        func settled(_ seq: Int64) async throws -> Message {
            try #require(try await store.message(MessageKey(queue: 1, seq: seq)))
        }
        let done = try await settled(5)
        #expect(done.state == .done && done.settled == Timestamp(milliseconds: 2960) && done.priority == .high)
        #expect(done.expires == Timestamp(milliseconds: 2801) && done.notBefore == Timestamp(milliseconds: 2802))
        #expect(done.group == "g" && done.collapse == "c" && done.correlation == "corr" && done.senderID == "own")
        #expect(done.header == ["a": "b"] && done.origin?.item == "uid/5" && done.settledReason == nil)
        // Version 1 dropped the text of the dead: they cannot be redriven.
        for (seq, reason) in [(Int64(4), "dead"), (3, "refused")] {
            let dead = try await settled(seq)
            #expect(dead.state == .expired && dead.settledReason == reason)
        }
        #expect(try await store.settledSends(since: Timestamp(milliseconds: 2960)).map(\.senderID) == ["own"])
        // What came along is worked with as before.
        try await store.commit([.settleMessage(keys[1], MessageUpdate(.done, at: StoreSamples.noon))])
        #expect(await store.failure(committing: [.insertMessage(StoreSamples.message(1, 5))])?.code == .refused)
        #expect(await store.failure(committing: [.insertMessage(StoreSamples.message(1, 7))])?.code == .refused)
        await store.close()
        let database = try Database(path: folder.database, access: .readOnly)
        #expect(try database.integer("PRAGMA user_version") == Int64(Schema.migrations.count))
        let verdict = try database.text("PRAGMA integrity_check")
        #expect(verdict == "ok")
        #expect(try database.integer("SELECT count(*) FROM body") == 0)
        #expect(try database.integer("SELECT count(*) FROM sqlite_schema WHERE tbl_name LIKE '%!_1' ESCAPE '!'") == 0)
    }

    @Test("devices of version 2 have neither keys nor further channels, and can be given both")
    func devicesOfVersionTwo() async throws {
        let folder = try TemporaryFolder()
        var store = try await store(ofVersion: 2, in: folder)
        var device = try #require(try await store.registry().devices.first)
        #expect(device.encryption == nil && device.furtherChannels.isEmpty)
        let key = MessageKey(queue: 1, seq: 7)
        #expect(try await store.deliveries(of: [key]).first?.adapter == nil)
        device.encryption = Device.Encryption(publicKey: [4] + Array(1...64), secret: Array(1...16))
        device.furtherChannels = [Channel(adapter: "mail", address: .token("a@b"), since: StoreSamples.noon)]
        try await store.commit([.putDevice(device)])
        await store.close()
        store = try await SQLiteStore.open(path: folder.database)
        #expect(try await store.registry().devices == [device])
        await store.close()
    }

    @Test("credentials of version 3 that have watched are known to be good; refused ones are remembered from now on")
    func registrationsOfVersionThree() async throws {
        let folder = try TemporaryFolder()
        var store = try await store(ofVersion: 3, in: folder)
        var registry = try await store.registry()
        #expect(registry.registrations.first?.isProven == true)
        var account = try #require(registry.accounts.first)
        #expect(account.refusals == [:])
        account.refusals = ["mail": [[1, 2, 255], []], "chat": [[3]]]
        var registration = try #require(registry.registrations.first)
        (registration.provenRevision, registration.preferences.ownAddresses) = (nil, ["a@b"])
        try await store.commit([.putAccount(account), .putRegistration(registration)])
        await store.close()
        store = try await SQLiteStore.open(path: folder.database)
        registry = try await store.registry()
        #expect(registry.accounts == [account] && registry.registrations == [registration])
        await store.close()
    }

    @Test("version 4 knows no contacts, blocks and statuses; they are kept from now on")
    func peopleOfVersionFour() async throws {
        let folder = try TemporaryFolder()
        var store = try await store(ofVersion: 4, in: folder)
        var registry = try await store.registry()
        #expect(registry.accounts.count == 1 && registry.contacts.isEmpty && registry.statuses.isEmpty)
        let edge = ContactEdge(account: "alice", peer: "bob", since: StoreSamples.noon)
        let status = OwnStatus(.lunch, since: StoreSamples.noon)
        try await store.commit([.people(.putContact(edge)), .people(.putStatus("alice", status))])
        await store.close()
        store = try await SQLiteStore.open(path: folder.database)
        registry = try await store.registry()
        #expect(registry.contacts == [edge] && registry.blocks == [] && registry.statuses == ["alice": status])
        await store.close()
    }

    @Test("messages of version 4 are in no history; what comes from now on is")
    func messagesOfVersionFour() async throws {
        let folder = try TemporaryFolder()
        var store = try await store(ofVersion: 4, in: folder)
        let key = MessageKey(queue: 1, seq: 7)
        let message = try #require(try await store.message(key))
        #expect(message.entry == nil && message.attachments.isEmpty)
        #expect(try await store.openEntries(after: nil, limit: 9).entries.allSatisfy { $0.talk == nil })
        #expect(try await store.registry().lastEntry == 0)
        let entry = StoreSamples.fullEntry(1)
        try await store.commit([.conversation(.insert(entry))])
        await store.close()
        store = try await SQLiteStore.open(path: folder.database)
        #expect(try await store.entry(1) == entry)
        await store.close()
        let verdict = try Database(path: folder.database, access: .readOnly).text("PRAGMA integrity_check")
        #expect(verdict == "ok")
    }

    @Test("read marks of version 5 are known to both ends")
    func marksOfVersionFive() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        var old = SQLiteStore.Options()
        old.migrations = Array(Schema.migrations.prefix(5))
        _ = await failure(opening: folder.database, options: old)
        do {
            let database = try Database(path: folder.database, access: .readWrite)
            try database.executeScript(
                """
                INSERT INTO conversation VALUES ('account/bob', 'account/alice', 9, 7, 8),
                    ('account/alice', 'account/bob', 9, 5, 6);
                """, .write)
        }
        let store = try await SQLiteStore.open(path: folder.database)
        let view = try await store.conversations(.one(.account("alice"), peer: .account("bob"))).first
        #expect(view?.own == ConversationMarks(read: 5, delivered: 6))
        #expect(view?.others == ConversationMarks(read: 7, delivered: 8))
        await store.close()
    }

    @Test("a word no version wrote is damage")
    func unknownWords() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        do {
            let database = try Database(path: folder.database, access: .readWrite)
            try database.execute("UPDATE message SET state = 'lost' WHERE seq = 7", .write)
            try database.execute("UPDATE settled SET priority = 'none' WHERE seq = 6", .write)
        }
        let store = try await SQLiteStore.open(path: folder.database)
        for seq in [Int64(6), 7] {
            let error = await #expect(throws: StoreError.self) {
                _ = try await store.message(MessageKey(queue: 1, seq: seq))
            }
            #expect(error?.code == .corrupt)
        }
        await store.close()
    }

    @Test("a later version's steps run once, in order")
    func forward() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        var options = SQLiteStore.Options()
        options.migrations += [
            .init("ALTER TABLE account ADD COLUMN extra TEXT; PRAGMA user_version = 7"),
            .init("UPDATE account SET extra = 'three'; PRAGMA user_version = 8"),
        ]
        for _ in 0..<2 { #expect(await failure(opening: folder.database, options: options) == nil) }
        do {
            let database = try Database(path: folder.database, access: .readOnly)
            #expect(try database.integer("PRAGMA user_version") == 8)
            #expect(try database.text("SELECT extra FROM account") == "three")
        }
        #expect(await failure(opening: folder.database)?.code == .newerSchema, "today's code refuses it")
    }

    @Test("a step that fails leaves the version before it, whole")
    func failingStep() async throws {
        let folder = try TemporaryFolder()
        try makeVersionOne(folder.database)
        var options = SQLiteStore.Options()
        options.migrations += [.init("DELETE FROM account; SELECT * FROM nothing; PRAGMA user_version = 7")]
        #expect(await failure(opening: folder.database, options: options)?.code == .writeFailed)
        let store = try await SQLiteStore.open(path: folder.database)
        #expect(try await store.registry().accounts.count == 1)
        await store.close()
    }
}
