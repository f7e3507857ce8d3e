import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("streams: replay, order, epochs", .timeLimit(.minutes(2)))
struct StreamTests {
    @Test("MN-10 MN-11 a stream replays what is open after the cursor and goes on live, without gap or repeat")
    func replay() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            var keys: [MessageKey] = []
            for _ in 0..<5 { keys.append(try await test.post().key) }
            var stream = try await test.connect(phone)
            keys.append(try await test.post().key)
            try await Eventually.wait("all are heard") { stream.messages.count == 6 }
            #expect(stream.messages.map(\.key) == keys)
            try await test.gateway.devices.acknowledge(phone.id, upTo: keys[2].seq)
            stream.close()
            try await test.crash()
            stream = try await test.connect(phone)
            #expect(stream.messages.map(\.key) == Array(keys[3...]))
            #expect(stream.hello?.cursor == keys[2].seq)
            stream = try await test.connect(phone, after: keys[4].seq)
            #expect(stream.messages.map(\.key) == Array(keys[5...]))
        }
    }

    @Test("order by number, no gap, no repeat, while many post and devices come and go")
    func stress() async throws {
        var parts = TestGateway.Parts()
        parts.level = .warning
        try await TestGateway.run(parts) { test in
            let devices = [try await test.device("alice", "a"), try await test.device("alice", "b", adapter: nil)]
            let (posters, each) = (16, 40)
            let heard = try await withThrowingTaskGroup(of: [Int64].self) { group in
                for device in devices {
                    group.addTask { try await Self.listen(test, device, expected: posters * each) }
                }
                for _ in 0..<posters {
                    group.addTask {
                        for _ in 0..<each { try await test.post() }
                        return []
                    }
                }
                return try await group.reduce(into: [[Int64]]()) { if !$1.isEmpty { $0.append($1) } }
            }
            let all = try await test.store.openEntries(after: nil, limit: 10_000).entries.map(\.key.seq)
            #expect(all.count == posters * each)
            for numbers in heard { #expect(numbers == all) }
        }
    }

    /// Connects again and again, each time after the last number heard, until all messages were.
    private static func listen(_ test: TestGateway, _ device: Device, expected: Int) async throws -> [Int64] {
        var (heard, last, round): ([Int64], Int64, Int) = ([], 0, 0)
        while heard.count < expected {
            let stream = RecordingStream()
            // Ends by itself after so many events, as a connection that falls behind does.
            stream.setCapacity(50 + 37 * round)
            round += 1
            _ = test.open(device, after: last, stream)
            try await Eventually.wait("\(device.name): an end of round \(round), at \(heard.count)") {
                stream.entries.count >= 50 + 37 * (round - 1) || heard.count + stream.messages.count >= expected
            }
            stream.close()
            let numbers = stream.numbers
            #expect(numbers == numbers.sorted() && Set(numbers).count == numbers.count)
            heard += stream.messages.map(\.key.seq)
            last = numbers.last ?? last
        }
        return heard
    }

    @Test("a new connection fences the older one, and the older one's end does not touch it")
    func epochs() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let old = try await test.connect(phone)
            let new = try await test.connect(phone)
            #expect(old.isClosed && !new.isClosed)
            let (first, second) = (try #require(old.hello), try #require(new.hello))
            #expect(second.epoch > first.epoch)
            test.gateway.streams.closed(phone.id, stream: old, reason: "late")
            #expect(test.gateway.streams.isLive(phone.id))
            let message = try await test.post()
            try await Eventually.wait("the new one hears") { new.messages.map(\.key) == [message.key] }
            #expect(old.messages.isEmpty)
            #expect(test.gateway.streams.count == 1)
        }
    }

    @Test("an acknowledgement beyond what was sent is refused, a late one after the end counts, one twice is harmless")
    func acknowledge() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let stream = try await test.connect(phone)
            let message = try await test.post()
            try await Eventually.wait("it is heard") { stream.messages.count == 1 }
            let devices = test.gateway.devices
            let error = await #expect(throws: GatewayError.self) {
                try await devices.acknowledge(phone.id, upTo: message.key.seq + 1000)
            }
            #expect(error?.code == .invalidField)
            await #expect(throws: GatewayError.self) { try await devices.acknowledge(phone.id, upTo: -1) }
            stream.close()
            try await devices.acknowledge(phone.id, upTo: message.key.seq)
            try await devices.acknowledge(phone.id, upTo: message.key.seq)
            try await devices.acknowledge(phone.id, upTo: 0)
            #expect(devices.device(phone.id)?.cursor == message.key.seq)
            try await test.waitUntilIdle()
            #expect(try await test.store.registry().devices.first?.cursor == message.key.seq)
        }
    }

    @Test("a slow reader holds up neither the others nor the gateway")
    func slow() async throws {
        try await TestGateway.run { test in
            let (slow, fast) = (try await test.device("alice", "slow"), try await test.device("alice", "fast"))
            for _ in 0..<3 { try await test.post() }
            let stalled = RecordingStream()
            stalled.isSlow = true
            _ = test.open(slow, stalled)
            try await Eventually.wait("one event, then it waits") { stalled.messages.count == 1 }
            let stream = try await test.connect(fast)
            try await test.post()
            try await Eventually.wait("the fast one hears all") { stream.messages.count == 4 }
            #expect(stalled.messages.count == 1)
            #expect(!test.gateway.streams.isLive(slow.id) && test.gateway.streams.isConnected(slow.id))
            stalled.isSlow = false
            try await Eventually.wait("it catches up") { stalled.messages.count == 4 }
        }
    }

    @Test("an event for one device is replayed to that device only; a clear is replayed to all")
    func clears() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice", "phone")
            let message = try await test.post()
            try await test.gateway.messages.read(message.key, by: phone)
            let stream = try await test.connect(phone)
            #expect(stream.messages.isEmpty)
            #expect(stream.stored(.clear).count == 1)
            #expect(stream.stored(.clear).first?.contains(message.key.description) == true)
        }
    }

    @Test("a quick client's acknowledgement is not lost: nothing rings when it leaves the front")
    func quickAcknowledgement() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            let session = try await test.logIn(phone)
            let stream = try await test.connect(phone)
            let draft = MessageDraft(sender: .account("bob"), app: "mail")
            let posted = try await test.gateway.mailroom.post([Posting(draft, to: .account("alice"))])
            try await Eventually.wait("heard before it is announced") { stream.messages.count == 1 }
            try await test.gateway.devices.acknowledge(phone.id, upTo: posted[0].key.seq)
            test.gateway.messages.accepted(posted.compactMap(\.message))
            test.present(session, phone, .hidden)
            try await test.advance(by: .seconds(25))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            #expect(stream.notifications.isEmpty)
        }
    }

    @Test("a message read before it could be announced does not ring")
    func readFirst() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let posted = try await test.gateway.mailroom.post(
                [Posting(MessageDraft(sender: .account("bob"), app: "mail"), to: .account("alice"))])
            try await test.gateway.messages.read(posted[0].key, by: phone)
            test.gateway.messages.accepted(posted.compactMap(\.message))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            #expect(test.gateway.notifier.pendingCount == 0)
        }
    }
}
