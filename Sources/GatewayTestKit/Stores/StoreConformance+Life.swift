internal import Base
internal import Gateway

extension StoreConformance {
    func atomicity(_ store: inout any Store) async throws {
        try await store.commit([.insertMessage(Samples.message(1, 1))])
        // Handed over together, so that a store with group commit meets the refused one in the middle.
        let outcomes = Locked<[Int: Bool]>([:])
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            for index in 2...21 {
                var changes: [StoreChange] = [.insertMessage(Samples.message(1, Int64(index)))]
                if index % 5 == 0 {
                    changes.append(.putAccount(Samples.account("never")))
                    changes.append(.insertMessage(Samples.message(1, 1)))
                }
                store.submit(changes) { result in
                    let count = outcomes.withLock { outcomes in
                        outcomes[index] = (try? result.get()) != nil
                        return outcomes.count
                    }
                    if count == 20 { done.resume() }
                }
            }
        }
        let accepted = outcomes.withLock { $0.filter(\.value).keys.sorted() }
        try expect(accepted, (2...21).filter { $0 % 5 != 0 }, "accepted submissions")
        store = try await reopen(store)
        let found = try await store.entries(queues: [1], after: 1, limit: 100).map { Int($0.number) }
        try expect(found, accepted, "messages")
        try expect(await store.registry().accounts, [], "accounts of refused submissions")
    }

    func order(_ store: any Store) async throws {
        let answered = Locked<[Int]>([])
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            for index in 0..<2000 {
                // Each tenth is refused: those must wait their turn too.
                let seq = index % 10 == 9 ? 1 : Int64(index + 1)
                store.submit([.insertMessage(Samples.message(1, seq))]) { _ in
                    let count = answered.withLock { answered in
                        answered.append(index)
                        return answered.count
                    }
                    if count == 2000 { done.resume() }
                }
            }
        }
        try expect(answered.withLock { $0 } == Array(0..<2000), "the completions came out of order")
    }

    func readYourWrites(_ store: any Store) async throws {
        for seq in 1...100 {
            let message = Samples.message(1, Int64(seq))
            try await store.commit([.insertMessage(message)])
            try expect(await store.message(message.key), message, "the message just stored")
            try await store.commit([.settleMessage(message.key, MessageUpdate(.done, at: Samples.noon))])
            try expect(await store.entries(queues: [1], after: 0, limit: 10), [], "entries after settling")
        }
    }

    /// Stores an account with everything that can belong to it, in the queues `number` and `number + 1`.
    private func household(_ name: String, _ number: Int64) -> [StoreChange] {
        let origin = Message.Origin(registration: RegistrationID("r-\(name)"), item: "item")
        let large = [UInt8](repeating: 7, count: 100_000)
        return [
            .putAccount(Samples.account(name)), .putDevice(Samples.device("d-\(name)", of: name)),
            .putRegistration(Samples.registration("r-\(name)", of: name)),
            .putQueue(Samples.queue(number, account: name)),
            .putQueue(QueueRecord(number: number + 1, address: .device(DeviceID("d-\(name)")), reserved: 1)),
            .insertMessage(Samples.message(number, 1, origin: origin)),
            .insertMessage(Samples.message(number, 2, body: large)), .insertMessage(Samples.message(number + 1, 1)),
            .insertMessage(Samples.message(number, 4)),
            .settleMessage(MessageKey(queue: number, seq: 4), MessageUpdate(.done, at: Samples.noon)),
            .insertEvent(Samples.event(number, 3)), .putDelivery(Samples.delivery(number, 1, to: "d-\(name)")),
            .putLaunch(Samples.launch("l-\(name)", of: name)),
        ]
    }

    func deleteAccount(_ store: inout any Store) async throws {
        try await store.commit(household("alice", 1) + household("bob", 11))
        try await store.commit([.deleteAccount("alice"), .deleteAccount("none")])
        store = try await reopen(store)
        let only = try await make()
        try await only.commit(household("bob", 11))
        try await compare(store, only, queues: [1, 2, 11, 12], seqs: 1...4, registrations: ["r-alice", "r-bob"])
        await only.close()
        // Everything is gone, so that all of it can come again.
        try await store.commit(household("alice", 1))
        try expect(await store.entries(queues: [1], after: 0, limit: 9).count, 3, "entries of the new account")
    }

    func deleteDevice(_ store: inout any Store) async throws {
        func device(_ queue: Int64, _ id: String) -> [StoreChange] {
            let origin = Message.Origin(registration: "r1", item: id)
            let large = [UInt8](repeating: 7, count: 100_000)
            return [
                .putDevice(Samples.device(id, of: "alice")),
                .putQueue(QueueRecord(number: queue, address: .device(DeviceID(id)), reserved: 9)),
                .insertMessage(Samples.message(queue, 1, origin: origin)),
                .insertMessage(Samples.message(queue, 2, body: large)),
                .insertMessage(Samples.message(queue, 3, state: .dead)), .insertMessage(Samples.message(queue, 4)),
                .settleMessage(MessageKey(queue: queue, seq: 4), MessageUpdate(.done, at: Samples.noon)),
                .insertEvent(Samples.event(queue, 5)), .putDelivery(Samples.delivery(queue, 1, to: id)),
            ]
        }
        let account: [StoreChange] = [
            .putQueue(Samples.queue(1, account: "alice")), .insertMessage(Samples.message(1, 1)),
            .putDelivery(Samples.delivery(1, 1, to: "d1")),
        ]
        try await store.commit(account + device(2, "d1") + device(3, "d2"))
        try await store.commit([.deleteDevice("d1"), .deleteDevice("none")])
        store = try await reopen(store)
        let only = try await make()
        try await only.commit(account + device(3, "d2"))
        try await compare(store, only, queues: [1, 2, 3], seqs: 1...5, registrations: ["r1"])
        await only.close()
        // Everything is gone, so that all of it can come again.
        try await store.commit(device(2, "d1"))
    }

    func purge(_ store: inout any Store) async throws {
        let origin = Message.Origin(registration: "r1", item: "a")
        try await store.commit([
            .insertMessage(Samples.message(1, 1, origin: origin)), .insertMessage(Samples.message(1, 2)),
            .insertMessage(Samples.message(1, 3)), .insertEvent(Samples.event(1, 4)),
            .insertEvent(Samples.event(1, 5, at: Samples.noon - .milliseconds(1))),
            .putDelivery(Samples.delivery(1, 1, to: "d1")), .putDelivery(Samples.delivery(1, 3, to: "d1")),
            .settleMessage(MessageKey(queue: 1, seq: 1), MessageUpdate(.done, at: Samples.noon - .milliseconds(1))),
            .settleMessage(MessageKey(queue: 1, seq: 2), MessageUpdate(.expired, at: Samples.noon)),
        ])
        try await store.commit([.purge(before: Samples.noon)])
        store = try await reopen(store)
        try expect(await store.message(MessageKey(queue: 1, seq: 1)), nil, "the old tombstone")
        try expect(await store.message(MessageKey(queue: 1, seq: 2))?.state, .expired, "the young tombstone")
        try expect(await store.entries(queues: [1], after: 0, limit: 9).map(\.number), [3, 4], "entries")
        try expect(await store.items(registration: "r1", keys: ["a"]), [:], "items")
        let keys = (1...3).map { MessageKey(queue: 1, seq: $0) }
        try expect(await store.deliveries(of: keys), [Samples.delivery(1, 3, to: "d1")], "deliveries")
    }

    func largePurge(_ store: any Store) async throws {
        let count = Int64(5000)
        try await store.commit((1...count).map { .insertMessage(Samples.message(1, $0, state: .done)) })
        try await store.commit((1...count).map { .insertEvent(Samples.event(1, $0)) })
        try await store.commit([.purge(before: Samples.noon + .seconds(count + 1))])
        // A store may remove in slices and go on after it has answered; it may take a while.
        for _ in 0..<1000 {
            let last = try await store.message(MessageKey(queue: 1, seq: count))
            let entries = try await store.entries(queues: [1], after: 0, limit: 1)
            if last == nil && entries.isEmpty { return }
            try await store.commit([])
        }
        throw Failure(description: "the purge does not come to its end")
    }

    func closed(_ store: any Store) async throws {
        let message = Samples.message(1, 1)
        let outcome = Locked<Bool?>(nil)
        store.submit([.insertMessage(message)]) { result in
            outcome.withLock { $0 = (try? result.get()) != nil }
        }
        await store.close()
        try expect(outcome.withLock { $0 }, true, "the answer to what was submitted before closing")
        try await expectClosed("submit") { try await store.commit([.insertMessage(message)]) }
        try await expectClosed("registry") { _ = try await store.registry() }
        try await expectClosed("openEntries") { _ = try await store.openEntries(after: nil, limit: 1) }
    }

    private func expectClosed(_ what: String, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as StoreError {
            return try expect(error.code, .closed, what)
        }
        throw Failure(description: "\(what) worked on a closed store")
    }
}
