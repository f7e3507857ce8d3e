import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("from the mailbox to the terminal", .timeLimit(.minutes(2)))
struct RingTests {
    @Test("SG-1 SG-2 a registration is stored sealed and serves later logins, also after a restart")
    func registration() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            let stored = try await test.store.registry()
            #expect(stored.registrations.map(\.account) == ["alice"])
            #expect(stored.devices.map(\.id) == [phone.id])
            let sealed = try #require(stored.registrations.first?.sealedCredentials)
            #expect(!sealed.contains(subsequence: Array("mail-password".utf8)))
            try await test.crash()
            try await test.waitForWatching(registration.id)
            #expect(
                test.monitor.watches.all.map { $0.credentials["password"]?.exposed } == [
                    "mail-password", "mail-password",
                ])
            try await test.logIn(phone, instance: "run-2")
            #expect(test.gateway.registrations.all().count == 1)
        }
    }

    @Test("SG-3 the login starts monitoring, registering alone does not; without a registration it is refused")
    func login() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let error = await #expect(throws: GatewayError.self) { try await test.logIn(phone) }
            #expect(error?.code == .notRegistered)
            let registration = try await test.register()
            #expect(test.gateway.monitors.health(registration.id)?.state ?? .stopped == .stopped)
            #expect(test.monitor.watches.count == 0)
            try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            #expect(test.monitor.watches.count == 1)
        }
    }

    @Test("SG-5 nothing new, read or old items leave the terminal untouched")
    func nothingNew() async throws {
        try await TestGateway.run { test in
            test.monitor.isManual = true
            let phone = try await test.device()
            let registration = try await test.register()
            try await test.logIn(phone)
            try await test.monitor.emit(registration.id, .new(Item(key: "old", sender: "Bob")))
            try await test.monitor.watching(registration.id)
            try await test.monitor.emit(registration.id, .new(Item(key: "old", sender: "Bob")), .seen(key: "older"))
            try await test.monitor.emit(
                registration.id, .new(Item(key: "read", sender: "Bob")), .seen(key: "read"))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            #expect(test.gateway.mailroom.openCount(.account("alice")) == 0)
            #expect(test.log.records(of: .notificationDecided).isEmpty)
        }
    }

    @Test("SG-6 SG-9 news for a client in front goes to it and nobody is notified")
    func visible() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            let session = try await test.logIn(phone)
            let stream = try await test.connect(phone)
            try await test.waitForWatching(registration.id)
            let key = try await test.news(registration, "1")
            try await stream.entries.first {
                if case .message(let message) = $0.event { message.key == key } else { false }
            }
            #expect(test.decisions(key) == ["stream visible_session"])
            try await test.gateway.devices.acknowledge(phone.id, upTo: key.seq)
            test.present(session, phone, .hidden)
            try await test.advance(by: .seconds(40))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            #expect(stream.notifications.isEmpty)
            let deliveries = try await test.store.deliveries(of: [key])
            #expect(deliveries.map(\.outcome) == [.streamed])
        }
    }

    @Test(
        "SG-7 SG-8 a backgrounded client is not running: exactly one push", arguments: [Session.Presence.hidden, .gone])
    func hidden(presence: Session.Presence) async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            let session = try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            test.present(session, phone, presence)
            let key = try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            try await test.advance(by: .seconds(60))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
            #expect(test.push.alerts.first?.messages == [key])
        }
    }

    @Test("SG-7 a frozen client stops counting when its lease ends: then it is pushed")
    func frozen() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            let key = try await test.news(registration, "1")
            try await test.waitForDecision(key, "stream visible_session")
            try await test.advance(by: .seconds(14))
            #expect(test.push.pushes.count == 0)
            try await test.advance(by: .seconds(3))
            try await test.push.pushes.wait(count: 1)
            try await test.waitForDecision(key, "push lease_ended")
        }
    }

    @Test("SG-7 what the farm sees holds against a client's beats; a client that comes forward counts again")
    func farmFacts() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.register()
            let session = try await test.logIn(phone)
            try await test.waitForWatching(registration.id)
            try await test.farm.report(.disconnected, account: "alice", app: "mail", seen: test.time.now)
            test.present(session, phone, .visible)
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            test.present(session, phone, .hidden)
            test.present(session, phone, .visible)
            let second = try await test.news(registration, "2")
            try await test.waitForDecision(second, "stream visible_session")
        }
    }

    @Test(
        "SG-10 what a notification says follows the registration's policy",
        arguments: [
            (NotifyPreferences.Summary.hint, "Mail", "You have a message"),
            (.digest, "New message from Bob", "Lunch"), (.full, "Bob", "Lunch\nAt noon?"),
        ])
    func policies(summary: NotifyPreferences.Summary, title: String, body: String) async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone, notify: NotifyPreferences(summary: summary))
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            let alert = try #require(test.push.alerts.first)
            #expect(alert.title == title)
            #expect(alert.body == body)
            #expect(alert.badge == 1)
        }
    }

    @Test("SG-12 the device seen last is told; a list or all where wanted")
    func targets() async throws {
        try await TestGateway.run { test in
            let old = try await test.device("alice", "old")
            let phone = try await test.device("alice", "phone")
            let registration = try await test.watched(old)
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            #expect(test.push.pushes.last?.device == old.id)
            test.time.advance(by: .seconds(60))
            let session = try await test.logIn(phone, instance: "p")
            test.present(session, phone, .gone)
            try await test.news(registration, "2")
            try await test.push.pushes.wait(count: 2)
            #expect(test.push.pushes.last?.device == phone.id)
            test.time.advance(by: .seconds(60))
            var update = Registrations.Update()
            update.preferences = NotifyPreferences(targets: .all)
            _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
            try await test.news(registration, "3")
            let pushes = try await test.push.pushes.wait(count: 4)
            #expect(Set(pushes[2...].map(\.device)) == [old.id, phone.id])
        }
    }

    @Test("SG-12 escalation goes on to the next device until somebody acknowledges")
    func escalation() async throws {
        try await TestGateway.run { test in
            let first = try await test.device("alice", "first")
            let second = try await test.device("alice", "second")
            let notify = NotifyPreferences(targets: .escalate([first.id, second.id], after: .seconds(20)))
            let registration = try await test.watched(first, notify: notify)
            let key = try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            try await test.advance(by: .seconds(10))
            try await test.crash()
            try await test.waitForWatching(registration.id)
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
            try await test.advance(by: .seconds(21))
            let pushes = try await test.push.pushes.wait(count: 2)
            #expect(pushes.map(\.device) == [first.id, second.id])
            try await test.gateway.messages.read(key, by: second)
            #expect(
                try await test.push.pushes.first { if case .clear = $0.content { true } else { false } }.device
                    == first.id)
        }
    }

    @Test("SG-13 each device is reached through its own service, and one in trouble costs the other nothing")
    func services() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let browser = try await test.device("bob", "browser", adapter: "browser")
            test.push.hold()
            let (a, b) = (try await test.watched(phone), try await test.watched(browser))
            try await test.news(a, "1")
            try await test.news(b, "1")
            try await test.push("browser").pushes.wait(count: 1)
            #expect(test.push("browser").pushes.last?.device == browser.id)
            test.push.release()
            try await test.push.pushes.wait(count: 1)
        }
    }

    @Test("SG-15 the switch of the registration decides: works without client while on, silent while off")
    func switchedOff() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            var update = Registrations.Update()
            update.isEnabled = false
            _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
            try await test.monitor.waitUntilRunning(registration.id, false)
            #expect(test.gateway.monitors.health(registration.id)?.state == .stopped)
            try await test.restart()
            try await test.logIn(phone, instance: "2")
            #expect(test.monitor.runningCount == 0)
            update.isEnabled = true
            _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
            try await test.waitForWatching(registration.id)
            try await test.advance(by: .seconds(16))
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
        }
    }

    @Test("SG-4 the first run sets a baseline, later ones go on from the cursor stored last")
    func cursor() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            try await test.news(registration, "1")
            try await test.monitor.fail(registration.id, MonitorFailure(.network, "lost"))
            try await test.waitForLog(.monitorBackingOff)
            try await test.advance(by: .seconds(2))
            try await test.waitForWatching(registration.id)
            try await test.monitor.emit(registration.id, .new(Item(key: "1")))
            try await test.crash()
            try await test.waitForWatching(registration.id)
            let cursors = test.monitor.watches.all.map { $0.cursor.map { String(decoding: $0, as: UTF8.self) } }
            #expect(cursors == [nil, "cursor 2", "cursor 3"])
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
        }
    }

    @Test("read elsewhere: a clear event on streams, a clear push to who has none")
    func readElsewhere() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice", "phone")
            let desk = try await test.device("alice", "desk")
            let registration = try await test.watched(phone, notify: NotifyPreferences(targets: .all))
            let stream = try await test.connect(desk)
            let key = try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            try await stream.entries.first { if case .notify = $0.event { true } else { false } }
            let shown = try #require(test.push.alerts.first)
            try await test.waitForLog(.notificationSent)
            try await test.monitor.emit(registration.id, .seen(key: "1"))
            let clear = try await test.push.pushes.first { if case .clear = $0.content { true } else { false } }
            #expect(clear.device == phone.id)
            #expect(test.push.clears == [[shown.id]])
            try await stream.entries.first {
                if case .stored(let event) = $0.event { event.kind == .clear } else { false }
            }
            #expect(stream.stored(.clear).first?.contains(shown.id.text) == true)
            try await test.advance(by: .seconds(30))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 2)
            #expect(!test.gateway.mailroom.isOpen(key))
        }
    }
}

extension [UInt8] {
    /// Whether the bytes stand in these somewhere.
    func contains(subsequence other: [UInt8]) -> Bool {
        count >= other.count && (0...(count - other.count)).contains { Array(self[$0..<($0 + other.count)]) == other }
    }
}
