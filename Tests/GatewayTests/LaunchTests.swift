import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("from the tap to the app", .timeLimit(.minutes(2)))
struct LaunchTests {
    private func expired(_ test: TestGateway, _ tap: String, _ device: Device) async {
        let error = await #expect(throws: GatewayError.self) {
            _ = try await test.gateway.launches.launch(tap: tap, device: device)
        }
        #expect(error?.code == .launchExpired)
    }

    @Test("SG-11 a tap is answered by the farm, the same again until the app is in front, then never")
    func tap() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice", "phone")
            let pad = try await test.device("alice", "pad")
            let registration = try await test.watched(phone, notify: NotifyPreferences(targets: .all))
            let key = try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 2)
            try await test.waitForLog(.notificationSent, count: 2)
            let alert = try #require(test.push.alerts.first { $0.device == phone.id })
            let launches = test.gateway.launches
            let first = try await launches.launch(tap: alert.tap, device: phone)
            let again = try await launches.launch(tap: alert.tap, device: phone)
            #expect(first.isNew && !again.isNew)
            #expect(first.launch.id == again.launch.id)
            #expect(first.action == .url("https://farm.example/mail?launch=\(first.launch.id)"))
            let request = try #require(test.farm.requests.last)
            #expect(request.item == "1")
            #expect(request.message == key)
            await expired(test, alert.tap, pad)
            #expect(test.gateway.mailroom.isOpen(key))
            try await test.logIn(phone, instance: "launched")
            try await test.waitForLog(.launchConfirmed)
            try await Eventually.wait("the message is settled") { !test.gateway.mailroom.isOpen(key) }
            let clear = try await test.push.pushes.first { if case .clear = $0.content { true } else { false } }
            #expect(clear.device == pad.id)
            await expired(test, alert.tap, phone)
            try await test.restart()
            await expired(test, alert.tap, phone)
            try await test.waitUntilIdle()
            #expect(test.push.clears.count == 1)
        }
    }

    @Test("SG-11 the same tap twice at once is one launch, and survives a crash")
    func doubled() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let message = try await test.post()
            try await test.push.pushes.wait(count: 1)
            let tap = try #require(test.push.alerts.first?.tap)
            let ids = try await withThrowingTaskGroup(of: LaunchID.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await test.gateway.launches.launch(tap: tap, device: phone).launch.id }
                }
                return try await group.reduce(into: Set<LaunchID>()) { $0.insert($1) }
            }
            #expect(ids.count == 1)
            try await test.crash()
            let again = try await test.gateway.launches.launch(tap: tap, device: phone)
            #expect(!again.isNew && ids.contains(again.launch.id))
            #expect(again.launch.message == message.key)
        }
    }

    @Test("SG-11 a ticket is redeemed once, within two minutes; afterwards the tap is used up")
    func redeem() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.post()
            try await test.push.pushes.wait(count: 1)
            let tap = try #require(test.push.alerts.first?.tap)
            _ = try await test.gateway.launches.launch(tap: tap, device: phone)
            let ticket = try #require(test.farm.requests.last?.ticket)
            #expect(try await test.gateway.launches.redeem(ticket).launch.state == .redeemed)
            await #expect(throws: GatewayError.self) { _ = try await test.gateway.launches.redeem(ticket) }
            await expired(test, tap, phone)
            _ = try await test.gateway.launches.launch(app: "mail", message: nil, device: phone)
            let other = try #require(test.farm.requests.last?.ticket)
            try await test.advance(by: .seconds(121))
            await #expect(throws: GatewayError.self) { _ = try await test.gateway.launches.redeem(other) }
        }
    }

    @Test("SG-11 an app that does not come to the front is said to be unconfirmed after 30 s, once")
    func unconfirmed() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            _ = try await test.gateway.launches.launch(app: "mail", message: nil, device: phone)
            try await test.advance(by: .seconds(29))
            #expect(test.log.records(of: .launchUnconfirmed).isEmpty)
            try await test.advance(by: .seconds(2))
            try await test.waitForLog(.launchUnconfirmed)
            try await test.crash()
            try await test.advance(by: .seconds(100))
            #expect(test.log.records(of: .launchUnconfirmed).count == 1)
            try await Eventually.wait("it is expired") { test.gateway.launches.all().map(\.state) == [.expired] }
            try await test.logIn(phone)
            try await test.waitUntilIdle()
            #expect(test.log.records(of: .launchConfirmed).isEmpty)
        }
    }

    @Test("SG-11 a running client is raised, not started twice; one in front confirms at once")
    func running() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            let session = try await test.logIn(phone)
            let stream = try await test.connect(phone)
            test.present(session, phone, .hidden)
            let answer = try await test.gateway.launches.launch(app: "mail", message: nil, device: phone)
            #expect(answer.session == session.id)
            try await Eventually.wait("it is asked to come to the front") { stream.launches == [answer.launch.id] }
            #expect(test.log.records(of: .launchConfirmed).isEmpty)
            test.present(session, phone, .visible)
            try await test.waitForLog(.launchConfirmed)
            _ = try await test.gateway.launches.launch(app: "mail", message: nil, device: phone)
            try await test.waitForLog(.launchConfirmed, count: 2)
        }
    }

    @Test("SG-11 launches are forgotten a week after they expired, and a tap as old is refused")
    func forgotten() async throws {
        var parts = TestGateway.Parts()
        parts.notify.itemTTL = .seconds(60 * 86_400)
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let message = try await test.post()
            try await test.push.pushes.wait(count: 1)
            let tap = try #require(test.push.alerts.first?.tap)
            _ = try await test.gateway.launches.launch(tap: tap, device: phone)
            try await test.waitForLog(.launchRequested)
            for step in [Duration.seconds(31), .seconds(121), .seconds(7 * 86_400 + 200)] {
                try await Eventually.wait("the relay waits") {
                    test.time.nextDeadline.map { $0 > test.time.now } ?? false
                }
                test.time.advance(by: step)
            }
            try await Eventually.wait("it is forgotten") { test.gateway.launches.all().isEmpty }
            #expect(test.gateway.mailroom.isOpen(message.key))
            await expired(test, tap, phone)
        }
    }

    @Test("SG-11 no farm, an unknown app, a forged tap and a farm in trouble are told apart")
    func refused() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let launches = test.gateway.launches
            func code(_ body: () async throws -> LaunchRelay.Answer) async -> GatewayError.Code? {
                do { _ = try await body() } catch { return (error as? GatewayError)?.code }
                return nil
            }
            #expect(await code { try await launches.launch(app: "talk", message: nil, device: phone) } == .noFarm)
            #expect(await code { try await launches.launch(app: "none", message: nil, device: phone) } == .unknownApp)
            #expect(await code { try await launches.launch(tap: "AAAA", device: phone) } == .launchExpired)
            test.farm.fail(with: GatewayError(.farmUnavailable, "down"))
            #expect(
                await code { try await launches.launch(app: "desk", message: nil, device: phone) } == .farmUnavailable)
        }
    }
}
