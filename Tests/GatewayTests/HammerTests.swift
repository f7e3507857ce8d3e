import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("everything at once", .timeLimit(.minutes(2)))
struct HammerTests {
    @Test("posts, reads, beats, connections, changes of the switch at once: nothing hangs, is doubled or left behind")
    func hammer() async throws {
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        parts.level = .warning
        try await TestGateway.run(parts) { test in
            let phone = try await test.device("alice", "phone")
            let pad = try await test.device("alice", "pad")
            let registration = try await test.watched(phone, notify: NotifyPreferences(targets: .all))
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 { group.addTask { try await Self.postAndRead(test, pad) } }
                for device in [phone, pad] {
                    group.addTask { try await Self.comeAndGo(test, device) }
                    group.addTask { try await Self.beat(test, device) }
                }
                group.addTask {
                    for index in 0..<20 {
                        var update = Registrations.Update()
                        update.isEnabled = index % 2 == 1
                        _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
                    }
                }
                group.addTask { for _ in 0..<60 { test.time.advance(by: .milliseconds(700)); await Task.yield() } }
                try await group.waitForAll()
            }
            try await test.waitForWatching(registration.id)
            try await test.waitUntilIdle()
            #expect(test.gateway.mailroom.openTotal == 0)
            #expect(test.gateway.notifier.pendingCount == 0)
            let ids = test.push.pushes.all.filter { if case .alert = $0.content { true } else { false } }.map(\.id)
            #expect(Set(ids).count == ids.count)
            let key = try await test.news(registration, "after")
            try await Eventually.wait("it still rings") { test.push.alerts.contains { $0.message == key } }
        }
    }

    private static func postAndRead(_ test: TestGateway, _ reader: Device) async throws {
        for _ in 0..<40 {
            let message = try await test.post()
            try await test.gateway.messages.read(message.key, by: reader)
        }
    }

    private static func comeAndGo(_ test: TestGateway, _ device: Device) async throws {
        for _ in 0..<15 {
            let stream = test.open(device)
            try await Eventually.wait("it hears something", every: .microseconds(200)) {
                stream.entries.count > 1 || stream.hello != nil
            }
            if let number = stream.numbers.last { try await test.gateway.devices.acknowledge(device.id, upTo: number) }
            stream.close()
            #expect(stream.numbers == stream.numbers.sorted())
        }
    }

    private static func beat(_ test: TestGateway, _ device: Device) async throws {
        let session = try await test.logIn(device, instance: "hammer")
        for seq in Int64(1)...100 {
            let presence: Session.Presence = seq % 3 == 0 ? .hidden : .visible
            _ = test.gateway.report(session.id, device: device, seq: seq, presence: presence)
            await Task.yield()
        }
        _ = test.gateway.report(session.id, device: device, seq: 1000, presence: .gone)
    }
}
