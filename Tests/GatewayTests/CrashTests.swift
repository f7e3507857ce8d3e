import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("crashes, full disks and full queues", .timeLimit(.minutes(2)))
struct CrashTests {
    @Test("a crash between commit and push: the push goes out after the restart, once")
    func beforePush() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            test.store.pause()
            let store = test.store
            async let stored: Void = test.monitor.emit(registration.id, .new(Item(key: "1", sender: "Bob")))
            try await Eventually.wait("the batch is committed") {
                // Not just any write: that the registration is watched is written too.
                try await !store.items(registration: registration.id, keys: ["1"]).isEmpty
            }
            try await test.crash()
            _ = try? await stored
            try await test.push.pushes.wait(count: 1)
            try await test.waitForWatching(registration.id)
            try await test.monitor.emit(registration.id, .new(Item(key: "1", sender: "Bob")))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 1)
        }
    }

    @Test("a crash between push and record: the repeat has the same id, so that it replaces the first")
    func beforeRecord() async throws {
        try await TestGateway.run { test in
            try await test.device()
            test.push.hold()
            try await test.post()
            try await test.push.pushes.wait(count: 1)
            try await test.crash { test.push.release() }
            let pushes = try await test.push.pushes.wait(count: 2)
            #expect(pushes[0].id == pushes[1].id)
            #expect(test.push.alerts[0].collapse == test.push.alerts[1].collapse)
            #expect(test.push.alerts[0].tap == test.push.alerts[1].tap)
            try await test.waitForLog(.notificationSent)
            try await test.restart()
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 2)
        }
    }

    @Test("after a restart nothing rings again, and what rang before can still be cleared, digests too")
    func clearedAfterRestart() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let first = try await test.post()
            try await test.waitForLog(.notificationSent)
            let second = try await test.post()
            let third = try await test.post()
            try await test.waitForDecision(third.key, "hold grouped")
            try await test.advance(by: .seconds(31))
            try await test.waitForLog(.notificationSent, count: 2)
            try await test.restart()
            try await test.waitUntilIdle()
            #expect(test.push.alerts.map(\.messages) == [[first.key], [second.key, third.key]])
            let pad = try await test.device("alice", "pad")
            try await test.gateway.messages.read(second.key, by: pad)
            try await test.waitUntilIdle()
            #expect(test.push.clears.isEmpty)
            try await test.gateway.messages.read(third.key, by: pad)
            try await Eventually.wait("the digest is taken back") { test.push.clears == [[test.push.alerts[1].id]] }
            #expect(phone.id == test.push.pushes.last?.device)
        }
    }

    @Test("read while its push is under way: taken back once it came through, and only then")
    func readUnderWay() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice", "phone")
            test.push.hold()
            let message = try await test.post()
            try await test.push.pushes.wait(count: 1)
            let pad = try await test.device("alice", "pad", adapter: nil)
            try await test.gateway.messages.read(message.key, by: pad)
            try await test.store.commit([])
            #expect(test.push.pushes.count == 1)
            test.push.release()
            try await Eventually.wait("taken back") { test.push.clears.count == 1 }
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 2)
            #expect(test.push.pushes.last?.device == phone.id)
            #expect(test.gateway.notifier.pendingCount == 0)
        }
    }

    @Test("a full lane holds the notification and tries again later")
    func fullLane() async throws {
        var parts = TestGateway.Parts()
        parts.limits.laneMessages = 1
        parts.notify.group = .zero
        parts.pushes["phone"] = RecordingPushAdapter(concurrency: 1)
        try await TestGateway.run(parts) { test in
            try await test.device()
            test.push.hold()
            try await test.post()
            try await test.push.pushes.wait(count: 1)
            try await test.post()
            let third = try await test.post()
            try await test.waitForDecision(third.key, "hold lane_full")
            test.push.release()
            try await test.push.pushes.wait(count: 2)
            try await test.waitUntilIdle()
            try await test.advance(by: .seconds(31))
            let pushes = try await test.push.pushes.wait(count: 3)
            #expect(Set(pushes.map(\.id)).count == 3)
        }
    }

    @Test("a full queue refuses at send, also many at once, and takes again when one is settled")
    func fullQueue() async throws {
        var parts = TestGateway.Parts()
        parts.limits.queueMessages = 10
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let outcomes = await withTaskGroup(of: Message?.self) { group in
                for _ in 0..<50 { group.addTask { try? await test.post() } }
                return await group.reduce(into: [Message?]()) { $0.append($1) }
            }
            #expect(outcomes.count { $0 != nil } == 10)
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 10)
            let error = await #expect(throws: GatewayError.self) { try await test.post() }
            #expect(error?.code == .queueFull)
            let first = try #require(outcomes.compactMap { $0 }.first)
            try await test.gateway.messages.read(first.key, by: phone)
            try await test.post()
        }
    }

    @Test("below the disk's reserve nothing new is accepted, while the rest works and the monitor tries again")
    func storageFull() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            let message = try await test.post()
            try await test.waitForLog(.notificationSent)
            test.store.setFreeBytes(1000)
            // A look at the disk counts for a moment.
            try await test.advance(by: Mailroom.spaceInterval)
            let error = await #expect(throws: GatewayError.self) { try await test.post() }
            #expect(error?.code == .storageFull)
            await #expect(throws: (any Error).self) {
                try await test.monitor.emit(registration.id, .new(Item(key: "1")))
            }
            try await test.waitForLog(.monitorBackingOff)
            try await test.advance(by: .seconds(1))
            #expect(try await test.waitForLog(.storageLow).count == 1)
            try await test.gateway.messages.read(message.key, by: phone)
            try await test.gateway.devices.acknowledge(phone.id, upTo: message.key.seq)
            test.store.setFreeBytes(nil)
            try await test.advance(by: .seconds(2))
            try await test.waitForWatching(registration.id)
            try await test.news(registration, "1")
        }
    }

    @Test("G1 a failed write ends the gateway, and the next one starts from what was stored")
    func storeFails() async throws {
        try await TestGateway.run { test in
            try await test.device()
            let message = try await test.post()
            try await test.waitForLog(.notificationSent)
            test.store.fail(with: StoreError(.writeFailed, "the disk is broken (by the test)"))
            await #expect(throws: (any Error).self) { try await test.post() }
            #expect(try await test.failure() is StoreError)
            #expect(!test.gateway.isReady)
            #expect(test.log.records(of: .storageFailed).count == 1)
            try await test.crash()
            #expect(test.gateway.isReady)
            #expect(test.gateway.mailroom.isOpen(message.key))
            #expect(test.gateway.mailroom.openTotal == 1)
        }
    }

    @Test("what expires is settled, taken back and cannot be read any more")
    func expiry() async throws {
        try await TestGateway.run { test in
            try await test.device()
            let message = try await test.post(expires: test.time.timestamp + .seconds(60))
            try await test.waitForLog(.notificationSent)
            try await test.restart()
            try await test.advance(by: .seconds(62))
            try await Eventually.wait("it is settled") { !test.gateway.mailroom.isOpen(message.key) }
            #expect(try await test.store.message(message.key)?.state == .expired)
            try await Eventually.wait("and taken back") { test.push.clears.count == 1 }
        }
    }

    @Test("numbers are never used twice, over crashes")
    func numbers() async throws {
        try await TestGateway.run { test in
            try await test.device()
            var last: Int64 = 0
            for _ in 0..<4 {
                for _ in 0..<3 {
                    let seq = try await test.post().key.seq
                    #expect(seq > last)
                    last = seq
                }
                try await test.crash()
            }
        }
    }

    @Test("a restart lets the former parts go")
    func released() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            try await test.news(registration, "1")
            try await test.waitForLog(.notificationSent)
            let former = Weak(test.gateway)
            try await test.restart()
            try await Eventually.wait("the former gateway is gone") { former.isGone }
        }
    }
}

/// Watches objects without keeping them.
private final class Weak: Sendable {
    private struct Parts {
        weak var gateway: Gateway?
        weak var sessions: Sessions?
        weak var notifier: Notifier?
        weak var devices: Devices?
        weak var monitors: MonitorSupervisor?
        weak var streams: StreamHub?
    }
    private let parts: Locked<Parts>

    init(_ gateway: Gateway) {
        parts = Locked(
            Parts(
                gateway: gateway, sessions: gateway.sessions, notifier: gateway.notifier, devices: gateway.devices,
                monitors: gateway.monitors, streams: gateway.streams))
    }

    var isGone: Bool {
        parts.withLock {
            $0.gateway == nil && $0.sessions == nil && $0.notifier == nil && $0.devices == nil && $0.monitors == nil
                && $0.streams == nil
        }
    }
}
