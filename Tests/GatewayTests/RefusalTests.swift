import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("refused credentials", .timeLimit(.minutes(2)))
struct RefusalTests {
    private func patch(_ test: TestGateway, _ registration: Registration, password: String) async throws {
        var update = Registrations.Update()
        update.credentials = ["username": Secret("alice@mail"), "password": Secret(password)]
        _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
    }

    @Test("a refused password: one attempt, the state says so, one notification; works again with the right one")
    func refused() async throws {
        try await TestGateway.run { test in
            test.monitor.accept(only: "right")
            let phone = try await test.device()
            let registration = try await test.register()
            test.present(try await test.logIn(phone), phone, .gone)
            try await test.push.pushes.wait(count: 1)
            #expect(test.gateway.monitors.health(registration.id)?.state == .refused)
            let alert = try #require(test.push.alerts.first)
            #expect(alert.title == "Mail")
            #expect(alert.body?.contains("sign-in was refused") == true)
            try await test.advance(by: .seconds(1200))
            try await test.restart()
            try await test.waitUntilIdle()
            #expect(test.gateway.monitors.health(registration.id)?.state == .refused)
            #expect(test.monitor.watches.count == 1)
            #expect(test.push.alerts.count == 1)
            try await patch(test, registration, password: "right")
            try await test.waitForWatching(registration.id)
            try await Eventually.wait("the refusal is settled") {
                test.gateway.mailroom.openCount(.account("alice")) == 0
            }
            try await Eventually.wait("the notification is taken back") { test.push.clears == [[alert.id]] }
            try await test.news(registration, "1")
            try await Eventually.wait("the news rings") { test.push.alerts.count == 2 }
        }
    }

    @Test("each new password that is refused is told once more")
    func again() async throws {
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        try await TestGateway.run(parts) { test in
            test.monitor.accept(only: "right")
            let phone = try await test.device()
            let registration = try await test.register()
            test.present(try await test.logIn(phone), phone, .gone)
            try await test.push.pushes.wait(count: 1)
            try await patch(test, registration, password: "wrong as well")
            // One refused login a minute at one server.
            try await test.waitUntilIdle()
            #expect(test.monitor.watches.count == 1)
            #expect(test.gateway.monitors.health(registration.id)?.nextAttempt != nil)
            try await test.advance(by: .seconds(60))
            try await Eventually.wait("told again") { test.push.alerts.count == 2 }
            #expect(test.monitor.watches.count == 2)
            try await Eventually.wait("only the second one is open") {
                test.gateway.mailroom.openCount(.account("alice")) == 1
            }
            try await test.gateway.registrations.delete(registration.id, of: "alice")
            try await Eventually.wait("none is open") { test.gateway.mailroom.openCount(.account("alice")) == 0 }
            try await Eventually.wait("its health is forgotten") {
                test.gateway.monitors.health(registration.id) == nil
            }
        }
    }

    @Test("a crash between the refusal and its message: told after the restart, without another attempt")
    func crash() async throws {
        try await TestGateway.run { test in
            test.monitor.accept(only: "right")
            let phone = try await test.device()
            let registration = try await test.register()
            test.present(try await test.logIn(phone), phone, .gone)
            try await Eventually.wait("the refusal is stored") {
                try await test.store.registry().registrations.first?.refusedRevision == 1
            }
            try await test.crash()
            try await Eventually.wait("told") { test.push.alerts.count >= 1 }
            try await test.waitUntilIdle()
            #expect(Set(test.push.alerts.map(\.message)).count == 1)
            #expect(test.monitor.watches.count == 1)
            #expect(test.gateway.monitors.health(registration.id)?.state == .refused)
        }
    }

    private func put(_ test: TestGateway, password: String, retries: Bool = false) async throws -> Registration {
        try await test.gateway.registrations.put(
            account: "alice", app: "mail",
            credentials: ["username": Secret("alice@mail"), "password": Secret(password)],
            isEnabled: true, preferences: NotifyPreferences(), retries: retries
        ).registration
    }

    @Test("a refused password is never tried again: not put again, not after another, not by a new registration")
    func neverAgain() async throws {
        try await TestGateway.run { test in
            test.monitor.accept(only: "right")
            let phone = try await test.device()
            var registration = try await put(test, password: "wrong")
            test.present(try await test.logIn(phone), phone, .gone)
            try await test.waitForLog(.monitorRefused)
            registration = try await put(test, password: "wrong")
            try await test.advance(by: .seconds(120))
            _ = try await put(test, password: "other")
            try await test.waitForLog(.monitorRefused, count: 2)
            #expect(test.monitor.watches.all.map { $0.credentials["password"]?.exposed } == ["wrong", "other"])
            registration = try await put(test, password: "wrong")
            #expect(registration.isRefused)
            try await test.gateway.registrations.delete(registration.id, of: "alice")
            try await test.restart()
            registration = try await put(test, password: "wrong")
            test.present(try await test.logIn(phone, instance: "2"), phone, .gone)
            try await Eventually.wait("it shows as refused") {
                test.gateway.monitors.health(registration.id)?.state == .refused
            }
            try await test.advance(by: .seconds(600))
            #expect(test.monitor.watches.count == 2)
            let stored = try await test.store.registry()
            #expect(stored.accounts.first?.refusals["mail"]?.count == 2)
            #expect(!"\(stored.accounts)".contains("wrong"))
        }
    }

    @Test("the owner insists: one more attempt with the same password, and what works is remembered as refused no more")
    func insists() async throws {
        try await TestGateway.run { test in
            test.monitor.accept(only: "right")
            let phone = try await test.device()
            let registration = try await put(test, password: "locked")
            test.present(try await test.logIn(phone), phone, .gone)
            try await test.waitForLog(.monitorRefused)
            try await test.advance(by: .seconds(60))
            var update = Registrations.Update()
            update.retries = true
            _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
            try await test.waitForLog(.monitorRefused, count: 2)
            #expect(test.monitor.watches.count == 2, "one attempt each time")
            test.monitor.accept(only: "locked")
            try await test.advance(by: .seconds(60))
            _ = try await put(test, password: "locked", retries: true)
            try await test.waitForWatching(registration.id)
            #expect(try await test.store.registry().accounts.first?.refusals == [:])
            try await Eventually.wait("proven") {
                test.gateway.registrations.registration(registration.id)?.isProven == true
            }
            _ = try await put(test, password: "locked")
            #expect(test.monitor.watches.count == 3, "the same password again changes nothing")
        }
    }

    @Test("the owner is told on the stream and by notification")
    func told() async throws {
        try await TestGateway.run { test in
            test.monitor.accept(only: "right")
            let (phone, desk) = (try await test.device(), try await test.device("alice", "desk"))
            let stream = try await test.connect(desk)
            let registration = try await test.register(notify: NotifyPreferences(targets: .all))
            test.present(try await test.logIn(phone), phone, .gone)
            try await test.push.pushes.wait(count: 1)
            #expect(test.push.pushes.all.first?.device == phone.id)
            try await Eventually.wait("the streams hear of it") { stream.stored(.monitor).count == 1 }
            let event = try JSONParser.parse(stream.stored(.monitor)[0])
            #expect(event["registration"]?.string == registration.id.text && event["state"]?.string == "refused")
            #expect(stream.messages.map { $0.header["kind"] } == ["monitor.refused"])
            #expect(!stream.notifications.isEmpty)
        }
    }

    @Test("another user name is another mailbox: it starts with a baseline of its own")
    func otherUser() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            try await test.news(registration, "1")
            var update = Registrations.Update()
            update.credentials = ["username": Secret("carol@mail"), "password": Secret("x")]
            _ = try await test.gateway.registrations.update(registration.id, of: "alice", update)
            try await test.monitor.watches.wait(count: 2)
            #expect(test.monitor.watches.last?.cursor == nil)
            try await patch(test, registration, password: "y")
            _ = try await test.monitor.watches.wait(count: 3)
            #expect(test.monitor.watches.last?.credentials["username"]?.exposed == "alice@mail")
        }
    }
}
