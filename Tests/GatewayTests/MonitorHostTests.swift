import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("what the host makes of what monitors see", .timeLimit(.minutes(2)))
struct MonitorHostTests {
    @Test("new, read and gone items and the cursor are one transaction: killed at any point, all or none is there")
    func oneTransaction() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            try await test.news(registration, "1")
            try await test.news(registration, "2")
            try await test.waitUntilIdle()
            let before = try await test.store.registry().registrations.first?.cursor
            test.store.pause()
            let store = test.store
            async let stored: Void = test.monitor.emit(
                registration.id, .seen(key: "1"), .new(Item(key: "3", sender: "Bob")), .gone(key: "2"))
            // The first of its writes is applied and not answered: there must be no second one.
            try await Eventually.wait("the batch is written") {
                try await store.registry().registrations.first?.cursor != before || store.heldAnswers > 0
            }
            try await test.crash()
            _ = try? await stored
            let after = test.store
            let items = try await after.items(registration: registration.id, keys: ["1", "2", "3"])
            #expect(items.mapValues(\.isOpen) == ["1": false, "2": false, "3": true])
            #expect(try await after.registry().registrations.first?.cursor != before)
            try await Eventually.wait("the new one rings, once") {
                test.push.alerts.contains { $0.messages.count == 1 }
            }
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 1)
        }
    }

    @Test("a full queue: what was read there makes room for what is new")
    func fullQueue() async throws {
        var parts = TestGateway.Parts()
        parts.limits.queueMessages = 2
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            try await test.news(registration, "1")
            try await test.news(registration, "2")
            try await test.monitor.emit(registration.id, .seen(key: "1"), .new(Item(key: "3", sender: "Bob")))
            let items = try await test.store.items(registration: registration.id, keys: ["1", "2", "3"])
            #expect(items.mapValues(\.isOpen) == ["1": false, "2": true, "3": true])
        }
    }

    @Test("read elsewhere within holdSeconds: no notification; not read: it rings then; read later: cleared")
    func hold() async throws {
        var parts = TestGateway.Parts()
        (parts.notify.hold, parts.notify.group) = (.seconds(3), .zero)
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            let first = try await test.news(registration, "1")
            try await test.waitForDecision(first, "hold waiting_for_reader")
            try await test.advance(by: .seconds(2))
            try await test.monitor.emit(registration.id, .seen(key: "1"))
            try await test.advance(by: .seconds(30))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            let second = try await test.news(registration, "2")
            try await test.waitForDecision(second, "hold waiting_for_reader")
            try await test.advance(by: .seconds(2))
            #expect(test.push.pushes.count == 0)
            try await test.advance(by: .seconds(2))
            try await test.push.pushes.wait(count: 1)
            try await test.waitForLog(.notificationSent)
            try await test.monitor.emit(registration.id, .seen(key: "2"))
            try await Eventually.wait("cleared") { test.push.clears == [[test.push.alerts[0].id]] }
        }
    }

    @Test("without holdSeconds it rings at once") func noHold() async throws {
        #expect(NotifyDefaults().hold == .zero)
        try await TestGateway.run { test in
            let registration = try await test.watched(try await test.device())
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
        }
    }

    @Test("the account's own messages never ring: its user name, the app's template, the registration's list")
    func ownMessages() async throws {
        var parts = TestGateway.Parts()
        parts.configure = { configuration in
            for index in configuration.apps.indices {
                configuration.apps[index].ownAddresses = ["{account}@farm.example", "{username}@nowhere"]
            }
        }
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let notify = NotifyPreferences(ownAddresses: ["Alice.Second@Example.org"])
            let registration = try await test.watched(phone, notify: notify)
            let own = ["ALICE@mail", "alice@farm.example", "alice.second@example.org"]
            for (number, address) in own.enumerated() {
                try await test.monitor.emit(
                    registration.id, .new(Item(key: "own \(number)", sender: "Alice", senderAddress: address)))
            }
            try await test.monitor.emit(
                registration.id, .new(Item(key: "other", sender: "Alice", senderAddress: "alice@elsewhere")))
            try await test.push.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 1)
            #expect(test.log.records(of: .monitorItem).count == 1)
        }
    }

    @Test("health: last success, item, lag, failures and next attempt") func health() async throws {
        try await TestGateway.run { test in
            let registration = try await test.watched(try await test.device())
            var item = Item(key: "1", sender: "Bob")
            item.time = test.time.timestamp + .seconds(-5)
            try await test.monitor.emit(registration.id, .new(item))
            var health = try #require(test.gateway.monitors.health(registration.id))
            #expect(health.lag == .seconds(5) && health.lastItem == test.time.timestamp)
            #expect(health.lastSuccess == test.time.timestamp && health.failures == 0 && health.nextAttempt == nil)
            #expect(test.log.records(of: .monitorItem).first?.fields["lagMilliseconds"] == .milliseconds(.seconds(5)))
            try await test.monitor.fail(registration.id, MonitorFailure(.authTemporary, "the directory is away"))
            try await test.waitForLog(.monitorBackingOff)
            health = try #require(test.gateway.monitors.health(registration.id))
            #expect(health.state == .backingOff && health.failures == 1)
            #expect(health.nextAttempt == test.time.timestamp + .seconds(30))
            #expect(health.lastError == "auth_temporary: the directory is away")
        }
    }

    @Test("an alarm when the last success is older than twice what is expected, and one word when it is over")
    func overdue() async throws {
        try await TestGateway.run { test in
            let registration = try await test.watched(try await test.device())
            try await test.monitor.fail(registration.id, MonitorFailure(.sourceGone, "no such mailbox"))
            try await test.waitForLog(.monitorBackingOff)
            test.monitor.isManual = true
            for _ in 0..<70 { try await test.advance(by: .seconds(30)) }
            let records = try await test.waitForLog(.monitorOverdue)
            #expect(records.count == 1 && records[0].level == .error)
            #expect(test.gateway.monitors.oldest().overdue == 1)
            try await test.monitor.watching(registration.id)
            try await test.waitForLog(.monitorRecovered)
            #expect(test.gateway.monitors.oldest().overdue == 0)
        }
    }
}
