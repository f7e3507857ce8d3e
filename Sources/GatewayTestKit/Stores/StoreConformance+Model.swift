internal import Base
internal import Gateway

extension StoreConformance {
    /// Applies the same random changes to the store and to `InMemoryStore`, reopens now and then, and
    /// compares every read. The same seed gives the same changes.
    func model(seed: UInt64, steps: Int) async throws {
        var store = try await make()
        let model = InMemoryStore()
        var changes = RandomChanges(seed: seed)
        for step in 1...steps {
            let submission = (0..<Int.random(in: 1...6, using: &changes.random)).map { _ in changes.next() }
            let expected = await outcome(model, submission)
            let found = await outcome(store, submission)
            try expect(found, expected, "the outcome of step \(step), seed \(seed), \(submission)")
            if step % 37 == 0 { store = try await reopen(store) }
            if step % 10 == 0 {
                try await compare(
                    store, model, queues: RandomChanges.queues, seqs: 1...RandomChanges.seqLimit,
                    registrations: RandomChanges.registrations)
            }
        }
        await store.close()
        await model.close()
    }

    private func outcome(_ store: any Store, _ changes: [StoreChange]) async -> StoreError.Code? {
        await withCheckedContinuation { continuation in
            store.submit(changes) { result in
                if case .failure(let error) = result {
                    continuation.resume(returning: error.code)
                } else {
                    continuation.resume(returning: nil)
                }
            }
        }
    }

    /// Throws unless both stores answer every read alike.
    func compare(
        _ store: any Store, _ other: any Store, queues: [Int64], seqs: ClosedRange<Int64>,
        registrations: [RegistrationID]
    ) async throws {
        try expect(await sorted(store.registry()), await sorted(other.registry()), "the registry")
        try expect(await openMessages(store), await openMessages(other), "open messages")
        let series = Array(queues.prefix(2))
        try expect(
            await store.entries(queues: series, after: 2, limit: 20).map(\.number),
            await other.entries(queues: series, after: 2, limit: 20).map(\.number), "the numbers of two queues")
        for since in [Samples.noon, Samples.noon + .seconds(500)] {
            try expect(
                await store.settledSends(since: since), await other.settledSends(since: since), "settled sends")
        }
        for queue in queues {
            let middle = (seqs.lowerBound + seqs.upperBound) / 2
            for (after, limit) in [(Int64(0), 10_000), (middle, 3)] {
                try expect(
                    await store.entries(queues: [queue], after: after, limit: limit),
                    await other.entries(queues: [queue], after: after, limit: limit), "entries of queue \(queue)")
            }
            for state in [nil] + Message.State.allCases.map({ Optional($0) }) {
                try expect(
                    await store.messages(queue: queue, state: state, after: 3, limit: 5),
                    await other.messages(queue: queue, state: state, after: 3, limit: 5),
                    "messages of queue \(queue), \(state?.rawValue ?? "living")")
            }
            let keys = seqs.map { MessageKey(queue: queue, seq: $0) }
            for key in keys {
                try expect(await store.message(key), await other.message(key), "message \(key)")
            }
            try expect(
                await store.deliveries(of: keys), await other.deliveries(of: keys), "deliveries of queue \(queue)")
        }
        try await compareConversations(store, other)
        let items = RandomChanges.items + ["item"]
        for registration in registrations {
            try expect(
                await store.items(registration: registration, keys: items),
                await other.items(registration: registration, keys: items), "items of \(registration)")
            try expect(
                await store.openItems(registration: registration), await other.openItems(registration: registration),
                "open items of \(registration)")
        }
    }
}

extension StoreConformance {
    private func compareConversations(_ store: any Store, _ other: any Store) async throws {
        for owner in RandomChanges.ends {
            for before in [Int64.max, 20] {
                let query = ConversationQuery.list(owner, before: before, limit: 3)
                try expect(
                    await store.conversations(query), await other.conversations(query), "conversations of \(owner)")
            }
            for after in ["", "account/bob"] {
                let query = ConversationQuery.named(owner, after: after, limit: 3)
                try expect(await store.conversations(query), await other.conversations(query), "by name of \(owner)")
            }
            for peer in RandomChanges.ends {
                guard let pair = ConversationPair(owner, peer) else { continue }
                for range in [HistoryRange.before(.max), .before(20), .after(10)] {
                    try expect(
                        await store.history(pair, range, limit: 5), await other.history(pair, range, limit: 5),
                        "the history of \(owner) and \(peer)")
                }
            }
        }
    }
}

/// Random numbers that a seed repeats (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// Random changes over few names, so that they meet.
struct RandomChanges {
    static let accounts: [AccountID] = ["alice", "bob", "çağla"]
    static let devices: [DeviceID] = ["d1", "d2", "d3", "d4"]
    static let registrations: [RegistrationID] = ["r1", "r2", "r3"]
    static let queues: [Int64] = [1, 2, 3, 4]
    static let items = ["a", "b", "c", "d", "e", "f"]
    static let seqLimit: Int64 = 24
    static let ends: [QueueAddress] = [.account("alice"), .account("bob"), .account("çağla"), .app("oa")]

    var random: SeededRandom
    private var minute: Int64 = 0

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func pick<Value>(_ values: [Value]) -> Value {
        values[Int.random(in: 0..<values.count, using: &random)]
    }

    mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    mutating func time() -> Timestamp {
        StoreSamples.noon + .seconds(Int64.random(in: 0...1000, using: &random))
    }

    private mutating func bytes() -> [UInt8] {
        let count = chance(3) ? 70_000 : Int.random(in: 0...300, using: &random)
        let first = UInt8.random(in: 0...255, using: &random)
        return (0..<count).map { first &+ UInt8(truncatingIfNeeded: $0) }
    }

    mutating func optionalText() -> String? { pick([nil, "", "x", "Straße", "\u{0}", "🔔"]) }

    private mutating func key() -> MessageKey {
        MessageKey(queue: pick(Self.queues), seq: Int64.random(in: 1...Self.seqLimit, using: &random))
    }

    mutating func next() -> StoreChange {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<27: .insertMessage(message())
        case 27..<35: .conversation(conversation())
        case 35..<43: .settleMessage(key(), update(chance(2) ? .deferred : terminal()))
        case 43..<48: .updateMessage(key(), update(chance(2) ? terminal() : open()))
        case 48..<50: .setDelivered(key(), at: time())
        case 50..<60: .putDelivery(delivery())
        case 60..<68: .insertEvent(event())
        case 68..<71: .putAccount(account())
        case 71..<75: .putDevice(device())
        case 75..<77: .setDeviceCursor(pick(Self.devices), Int64.random(in: 0...99, using: &random))
        case 77..<79: .setDeviceSeen(pick(Self.devices), time())
        case 79..<83: .putRegistration(registration())
        case 83..<86: .setMonitorCursor(pick(Self.registrations), bytes())
        case 86..<89: .putQueue(queue())
        case 89..<91: .putLaunch(launch())
        case 91..<92: .conversation(conversation())
        case 92..<94: .deleteDevice(pick(Self.devices))
        case 94..<95: .deleteRegistration(pick(Self.registrations))
        case 95..<96: .deleteAccount(pick(Self.accounts))
        case 96..<98: .people(people())
        default: .purge(before: time())
        }
    }

    private mutating func terminal() -> Message.State { pick([.done, .expired]) }
    private mutating func open() -> Message.State { pick([.ready, .scheduled, .locked, .deferred, .dead]) }

    private mutating func update(_ state: Message.State) -> MessageUpdate {
        var update = MessageUpdate(state, at: time(), reason: optionalText())
        (update.notBefore, update.deliveries) = (pick([nil, time()]), Int.random(in: 0...12, using: &random))
        (update.consumer, update.receiptToken) = (optionalText(), pick([nil, 0, .min, .max]))
        return update
    }

    /// Keys of messages so far: mostly new ones are chosen.
    private var used: Set<MessageKey> = []

    private mutating func message() -> Message {
        var key = key()
        for _ in 0..<4 where used.contains(key) && !chance(5) { key = self.key() }
        used.insert(key)
        let origin: Message.Origin? =
            chance(50) ? .init(registration: pick(Self.registrations), item: pick(Self.items)) : nil
        let address: QueueAddress = pick([.account("alice"), .device("d1"), .app("oa")])
        var message = Message(
            key: key, address: address, sender: pick([.app("mail"), .account("bob")]), app: pick([nil, "mail"]),
            header: chance(30) ? ["a": "1", "ä": ""] : [:], subject: optionalText(), body: bytes(),
            priority: pick(Message.Priority.allCases), enqueued: time(), expires: pick([nil, time()]), origin: origin,
            state: chance(10) ? terminal() : open())
        message.notBefore = pick([nil, time()])
        (message.group, message.collapse) = (optionalText(), optionalText())
        (message.correlation, message.senderID) = (optionalText(), optionalText())
        (message.receipts, message.delivered) = (pick(Message.Receipts.allCases), pick([nil, nil, time()]))
        (message.deliveries, message.receiptToken) = (Int.random(in: 0...9, using: &random), pick([nil, 1 << 40]))
        (message.consumer, message.settledReason) = (optionalText(), optionalText())
        message.entry = chance(30) ? Int64.random(in: 1...40, using: &random) : nil
        message.settled = pick([nil, time()])
        return message
    }

    private mutating func conversation() -> ConversationChange {
        let number = Int64.random(in: 1...40, using: &random)
        let owner = pick(Self.ends)
        let peers = Self.ends.filter { ConversationPair(owner, $0) != nil }
        switch Int.random(in: 0..<20, using: &random) {
        case 0..<10:
            var entry = StoreSamples.entry(number, from: owner, to: pick(peers), message: key())
            (entry.subject, entry.body, entry.correlation) = (optionalText(), bytes(), optionalText())
            if chance(20) { entry.also = [key(), key()] }
            return .insert(entry)
        case 10..<11: return .link(key(), entry: number)
        case 11..<12: return .edit(number, subject: optionalText(), body: bytes(), at: time())
        case 12..<14: return .withdraw(number, at: time())
        case 14..<16: return .rewrite(key(), subject: optionalText(), body: bytes())
        case 16..<19:
            return .mark(
                owner, peer: pick(peers),
                ConversationMarks(
                    read: Int64.random(in: 0...40, using: &random), delivered: Int64.random(in: 0...40, using: &random)),
                isTold: chance(70))
        default: return .purge(before: StoreSamples.noon + .seconds(Int64.random(in: 0...20, using: &random)))
        }
    }

    private mutating func delivery() -> DeliveryRecord {
        DeliveryRecord(
            message: key(), device: pick(Self.devices), outcome: pick(DeliveryRecord.Outcome.allCases), at: time(),
            detail: optionalText(), notification: NotificationID("n\(random.next() % 10)"),
            adapter: optionalText())
    }

    private mutating func event() -> StoredEvent {
        let key = key()
        return StoredEvent(
            queue: key.queue, number: key.seq + 1000, kind: pick(StoredEvent.Kind.allCases),
            device: pick([nil, pick(Self.devices)]), data: bytes(), at: time())
    }

    private mutating func account() -> Account {
        var account = Account(
            id: pick(Self.accounts), kind: pick(Account.Kind.allCases), passwordHash: optionalText(), created: time())
        (account.isDisabled, account.locale) = (chance(50), optionalText())
        return account
    }

    private mutating func device() -> Device {
        let address: Channel.Address = pick([
            .token("t"), .url("u"), .subscription(endpoint: "e", p256dh: "p", auth: ""),
        ])
        var device = Device(
            id: pick(Self.devices), account: pick(Self.accounts), installation: "i", name: optionalText() ?? "name",
            platform: "web", channel: chance(50) ? Channel(adapter: "a", address: address, since: time()) : nil,
            tags: pick([[], ["red"], ["red", "", "ü"]]), locale: optionalText(),
            payload: pick(Device.Payload.allCases), tokenHash: pick([nil, bytes()]), created: time())
        (device.lastSeen, device.cursor) = (time(), Int64.random(in: 0...99, using: &random))
        return device
    }

    private mutating func registration() -> Registration {
        let targets: NotifyPreferences.Targets = pick([
            .latest, .all, .devices(["d1"]), .escalate(["d2", "d1"], after: .seconds(30)),
        ])
        var registration = Registration(
            id: pick(Self.registrations), account: pick(Self.accounts), app: "mail", sealedCredentials: bytes(),
            isEnabled: chance(50),
            preferences: NotifyPreferences(
                summary: pick([nil, .hint, .full]), targets: pick([nil, targets]), group: pick([nil, .seconds(5)])),
            created: time())
        (registration.credentialsRevision, registration.refusedRevision) = (2, pick([nil, 1]))
        (registration.isArmed, registration.cursor) = (chance(50), pick([nil, bytes()]))
        return registration
    }

    private mutating func queue() -> QueueRecord {
        let address: QueueAddress = chance(50) ? .account(pick(Self.accounts)) : .device(pick(Self.devices))
        return QueueRecord(
            number: pick(Self.queues), address: address, reserved: Int64.random(in: 0...9999, using: &random))
    }

    private mutating func launch() -> Launch {
        Launch(
            id: LaunchID("l\(random.next() % 5)"), account: pick(Self.accounts), device: pick(Self.devices),
            app: "mail", message: pick([nil, key()]), fromTap: chance(50), ticketHash: bytes(), created: time(),
            expires: time(), state: pick(Launch.State.allCases))
    }
}
