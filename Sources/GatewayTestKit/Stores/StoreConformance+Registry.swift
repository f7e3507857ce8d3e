internal import Base
internal import Gateway

extension StoreConformance {
    typealias Samples = StoreSamples

    func emptyStore(_ store: any Store) async throws {
        try expect(await store.registry(), StoredRegistry(), "the registry")
        try expect(await store.entries(queues: [1], after: 0, limit: 10), [], "entries")
        try expect(await openMessages(store), [], "open messages")
        try expect(await store.message(MessageKey(queue: 1, seq: 1)), nil, "a message")
        try expect(await store.message(MessageKey(queue: .max, seq: .max)), nil, "a message with a huge key")
        try expect(await store.deliveries(of: [MessageKey(queue: 1, seq: 1)]), [], "deliveries")
        try expect(await store.items(registration: "r", keys: ["a", "a"]), [:], "items")
        try expect(await store.openItems(registration: "r"), [:], "open items")
    }

    func registryRoundTrip(_ store: inout any Store) async throws {
        var expected = StoredRegistry()
        var bob = Account(id: "bob", kind: .program, passwordHash: nil, created: Samples.noon)
        (bob.isDisabled, bob.locale) = (true, "de-DE")
        expected.accounts = [Samples.account("alice"), bob]
        var tablet = Device(
            id: "d2", account: "bob", installation: "i", name: "", platform: "firmware", channel: nil,
            locale: "fr", payload: .wakeup, tokenHash: nil, created: Samples.noon)
        (tablet.lastSeen, tablet.cursor) = (Samples.noon + .seconds(1), 77)
        tablet.encryption = Device.Encryption(publicKey: [4] + Array(0..<64), secret: Array(240...255))
        tablet.furtherChannels = [
            Channel(adapter: "mail", address: .token("bob@\"example\".org"), since: Samples.noon),
            Channel(
                adapter: "browser", address: .subscription(endpoint: "https://e", p256dh: "BA", auth: "QQ"),
                since: Samples.noon + .milliseconds(1)),
            Channel(adapter: "hook", address: .url("https://h/"), since: Samples.noon),
        ]
        expected.devices = [Samples.device("d1", of: "alice"), tablet]
        var other = Registration(
            id: "r2", account: "bob", app: "chat", sealedCredentials: [], isEnabled: false,
            preferences: NotifyPreferences(summary: .full), created: Samples.noon)
        (other.credentialsRevision, other.refusedRevision, other.isArmed, other.cursor) = (3, 2, true, [])
        expected.registrations = [Samples.registration("r1", of: "alice"), other]
        expected.queues = [
            Samples.queue(1, account: "alice"), QueueRecord(number: 2, address: .device("d2"), reserved: 1),
            QueueRecord(number: 3, address: .app("oa"), reserved: 2),
        ]
        let launch = Launch(
            id: "l2", account: "bob", device: "d2", app: "chat", message: nil, fromTap: false, ticketHash: [],
            created: Samples.noon, expires: Samples.noon, state: .confirmed)
        expected.launches = [Samples.launch("l1", of: "alice"), launch]
        try await store.commit(
            expected.accounts.map { .putAccount($0) } + expected.devices.map { .putDevice($0) }
                + expected.registrations.map { .putRegistration($0) } + expected.queues.map { .putQueue($0) }
                + expected.launches.map { .putLaunch($0) })
        try expect(await sorted(store.registry()), expected, "the registry")
        store = try await reopen(store)
        try expect(await sorted(store.registry()), expected, "the registry after reopening")
    }

    /// The order of a registry's lists is the store's affair.
    func sorted(_ registry: StoredRegistry) -> StoredRegistry {
        var registry = registry
        registry.accounts.sort { $0.id < $1.id }
        registry.devices.sort { $0.id < $1.id }
        registry.registrations.sort { $0.id < $1.id }
        registry.queues.sort { $0.number < $1.number }
        registry.launches.sort { $0.id < $1.id }
        registry.contacts.sort { ($0.account, $0.peer) < ($1.account, $1.peer) }
        registry.blocks.sort { ($0.account, $0.peer) < ($1.account, $1.peer) }
        return registry
    }

    func putReplaces(_ store: any Store) async throws {
        var account = Samples.account("alice")
        var device = Samples.device("d1", of: "alice")
        var registration = Samples.registration("r1", of: "alice")
        var queue = Samples.queue(1, account: "alice")
        try await store.commit([
            .putAccount(account), .putDevice(device), .putRegistration(registration), .putQueue(queue),
        ])
        device.encryption = Device.Encryption(publicKey: [4], secret: [])
        device.furtherChannels = [Channel(adapter: "mail", address: .token("a@b"), since: Samples.noon)]
        try await store.commit([.putDevice(device)])
        (device.encryption, device.furtherChannels) = (nil, [])
        (account.passwordHash, account.isDisabled) = (nil, true)
        (device.channel, device.tags, device.name, device.tokenHash) = (nil, [], "New", nil)
        (registration.isArmed, registration.cursor, registration.sealedCredentials) = (true, [9], [7])
        queue.reserved = 2000
        try await store.commit([
            .putAccount(account), .putDevice(device), .putRegistration(registration), .putQueue(queue),
        ])
        var expected = StoredRegistry()
        (expected.accounts, expected.devices) = ([account], [device])
        (expected.registrations, expected.queues) = ([registration], [queue])
        try expect(await store.registry(), expected, "the registry")
    }

    func deviceSetters(_ store: any Store) async throws {
        var device = Samples.device("d1", of: "alice")
        let seen = Samples.noon + .milliseconds(1)
        try await store.commit([
            .putDevice(device), .setDeviceCursor("d1", 5), .setDeviceSeen("d1", seen), .setDeviceCursor("none", 5),
            .setDeviceSeen("none", seen),
        ])
        (device.cursor, device.lastSeen) = (5, seen)
        try expect(await store.registry().devices, [device], "devices")
    }

    func monitorCursor(_ store: any Store) async throws {
        var registration = Samples.registration("r1", of: "alice")
        let cursor = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
        try await store.commit([.putRegistration(registration), .setMonitorCursor("none", [1])])
        try await store.commit([.setMonitorCursor("r1", cursor)])
        registration.cursor = cursor
        try expect(await store.registry().registrations, [registration], "registrations")
    }

    func queueAddresses(_ store: any Store) async throws {
        try await store.commit([.putQueue(Samples.queue(1, account: "alice"))])
        try await expectRefused(store, [.putQueue(Samples.queue(2, account: "alice"))], "a second queue for alice")
        try await store.commit([.putQueue(Samples.queue(1, account: "bob"))])
        try await store.commit([.putQueue(Samples.queue(2, account: "alice"))])
        try expect(
            await store.registry().queues, [Samples.queue(1, account: "bob"), Samples.queue(2, account: "alice")],
            "queues")
    }

    func preferences(_ store: inout any Store) async throws {
        let quiet = NotifyPreferences.QuietHours(fromMinute: 1320, toMinute: 0, timeZone: "Europe/Berlin")
        let forms: [NotifyPreferences] = [
            NotifyPreferences(summary: .hint, targets: .latest),
            NotifyPreferences(summary: .digest, targets: .all, quietHours: quiet, group: .seconds(30)),
            NotifyPreferences(summary: .full, targets: .devices([])),
            NotifyPreferences(targets: .devices(["a", "\""])),
            NotifyPreferences(targets: .escalate([], after: .seconds(60))),
            NotifyPreferences(targets: .escalate(["a", "b"], after: .milliseconds(1)), group: .zero),
        ]
        let registrations = forms.enumerated().map { index, form in
            var registration = Samples.registration("r\(index)", of: "alice")
            registration.preferences = form
            return registration
        }
        let addresses: [Channel.Address] = [
            .token(""), .token("a\"\\\u{0}"), .url("https://push.example/?a=b"),
            .subscription(endpoint: "https://push.example/x", p256dh: "BA", auth: "QQ"),
        ]
        let devices = addresses.enumerated().map { index, address in
            var device = Samples.device("d\(index)", of: "alice")
            device.channel = Channel(adapter: "push", address: address, since: Samples.noon)
            return device
        }
        try await store.commit(registrations.map { .putRegistration($0) } + devices.map { .putDevice($0) })
        store = try await reopen(store)
        let found = sorted(try await store.registry())
        try expect(found.registrations, registrations, "registrations")
        try expect(found.devices, devices, "devices")
    }

    func launches(_ store: any Store) async throws {
        var first = Samples.launch("l1", of: "alice", expires: Samples.noon + .seconds(120))
        let old = Samples.launch("l2", of: "alice", expires: Samples.noon - .milliseconds(1))
        try await store.commit([.putLaunch(first), .putLaunch(old)])
        first.state = .redeemed
        try await store.commit([.putLaunch(first)])
        try expect(await sorted(store.registry()).launches, [first, old], "launches")
        try await store.commit([.purge(before: Samples.noon)])
        try expect(await store.registry().launches, [first], "launches after the purge")
    }

    func deleteParts(_ store: any Store) async throws {
        try await store.commit([
            .putDevice(Samples.device("d1", of: "alice")), .putDevice(Samples.device("d2", of: "alice")),
            .putRegistration(Samples.registration("r1", of: "alice")),
            .putRegistration(Samples.registration("r2", of: "alice")),
        ])
        try await store.commit([
            .deleteDevice("d1"), .deleteRegistration("r2"), .deleteDevice("none"), .deleteRegistration("none"),
        ])
        try expect(await store.registry().devices, [Samples.device("d2", of: "alice")], "devices")
        try expect(await store.registry().registrations, [Samples.registration("r1", of: "alice")], "registrations")
    }
}

extension Timestamp {
    /// A point that lies earlier.
    static func - (a: Timestamp, b: Duration) -> Timestamp { Timestamp(milliseconds: a.milliseconds - b.milliseconds) }
}
