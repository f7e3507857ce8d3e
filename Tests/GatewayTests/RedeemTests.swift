import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("tickets brought to the gateway", .timeLimit(.minutes(2)))
struct RedeemTests {
    private func ticket(_ test: TestGateway, _ device: Device, app: AppID = "mail") async throws -> Secret {
        _ = try await test.gateway.launches.launch(app: app, message: nil, device: device)
        return try #require(test.farm.requests.last).ticket
    }

    private func code(_ body: () async throws -> Void) async -> GatewayError.Code? {
        do { try await body() } catch { return (error as? GatewayError)?.code }
        return nil
    }

    @Test("SG-11 a ticket starts the app once, with the registration's credentials where the farm uses them")
    func credentials() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            let plain = try await ticket(test, phone)
            _ = try await test.gateway.launches.redeem(plain)
            #expect(test.farm.started.last?.credentials.isEmpty == true)
            test.farm.takesCredentials.withLock { $0 = true }
            _ = try await test.gateway.launches.redeem(try await ticket(test, phone))
            #expect(test.farm.started.last?.credentials.isEmpty == false)
            let used = await code { _ = try await test.gateway.launches.redeem(plain) }
            #expect(used == .launchExpired)
            // Neither the ticket nor what it opened is in the log.
            let secrets = [plain] + (test.farm.started.last?.credentials.values.map { $0 } ?? [])
            for secret in secrets { #expect(!"\(test.log.records)".contains(secret.exposed)) }
        }
    }

    @Test("SG-11 twenty bring the same ticket at once: one starts the app")
    func doubled() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let ticket = try await ticket(test, phone)
            let started = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<20 {
                    group.addTask { (try? await test.gateway.launches.redeem(ticket)) != nil }
                }
                return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(started == 1)
            #expect(test.farm.started.all.count == 1)
        }
    }

    @Test("SG-11 a farm in trouble leaves the ticket good, and it survives a restart (cold start)")
    func again() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let ticket = try await ticket(test, phone)
            test.farm.fail(with: GatewayError(.farmUnavailable, "down"))
            #expect(await code { _ = try await test.gateway.launches.redeem(ticket) } == .farmUnavailable)
            test.farm.fail(with: nil)
            try await test.restart()
            #expect(try await test.gateway.launches.redeem(ticket).launch.device == phone.id)
            try await test.crash()
            #expect(await code { _ = try await test.gateway.launches.redeem(ticket) } == .launchExpired)
        }
    }

    @Test("SG-11 after the device signed out, or the account was disabled, its tickets and keys open nothing")
    func loggedOut() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            test.farm.starts.withLock { $0 = .program }
            let key = try #require(
                try await test.gateway.launches.redeem(try await ticket(test, phone)).sessionKey)
            let other = try await ticket(test, phone)
            try await test.gateway.setDisabled(phone.account, true)
            #expect(await code { _ = try await test.gateway.launches.redeem(other) } == .launchExpired)
            #expect(
                await code { _ = try await test.gateway.launches.redeem(sessionKey: key) } == .accountDisabled)
            try await test.gateway.setDisabled(phone.account, false)
            try await test.gateway.devices.delete(phone.id, of: phone.account)
            #expect(await code { _ = try await test.gateway.launches.redeem(other) } == .launchExpired)
            #expect(try await test.gateway.launches.redeem(sessionKey: key) == nil)
        }
    }

    @Test("SG-11 inside the session the newest waiting launch of the account is fetched with the session's key, once")
    func inSession() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice", "phone")
            let bob = try await test.device("bob", "phone")
            test.farm.starts.withLock { $0 = .program }
            let launches = test.gateway.launches
            let first = try await launches.redeem(try await ticket(test, phone))
            let key = try #require(first.sessionKey)
            #expect(first.presence == nil)
            #expect(try await launches.redeem(sessionKey: key) == nil)
            _ = try await ticket(test, bob)
            #expect(try await launches.redeem(sessionKey: key) == nil, "another account's launch")
            _ = try await ticket(test, phone, app: "desk")
            try await test.advance(by: .seconds(1))
            let second = try await ticket(test, phone, app: "chat")
            #expect(try await launches.redeem(sessionKey: key)?.launch.app == "chat")
            #expect(await code { _ = try await launches.redeem(second) } == .launchExpired)
            #expect(try await launches.redeem(sessionKey: key)?.launch.app == "desk")
            #expect(try await launches.redeem(sessionKey: key) == nil)
            _ = try await ticket(test, phone)
            try await test.advance(by: .seconds(121))
            #expect(try await launches.redeem(sessionKey: key) == nil, "it has expired")
            let forged = Secret(key.exposed.dropLast(2) + "AA")
            #expect(await code { _ = try await launches.redeem(sessionKey: forged) } == .badToken)
        }
    }

    @Test("SG-11 redeeming confirms nothing: only a client that is in front does")
    func confirmation() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            let redeemed = try await test.gateway.launches.redeem(try await ticket(test, phone))
            let token = try #require(redeemed.presence)
            let (device, app, instance) = try test.gateway.authenticate(presence: token)
            #expect(device.id == phone.id && app == "mail" && instance == redeemed.launch.id.text)
            try await test.waitUntilIdle()
            #expect(test.log.records(of: .launchConfirmed).isEmpty)
            // The farm sees nobody: what the client says does not confirm either.
            let session = try await test.logIn(phone, instance: "hidden")
            test.present(session, phone, .hidden)
            try await test.waitForLog(.launchConfirmed)
            let second = try await ticket(test, phone)
            _ = try await test.gateway.launches.redeem(second)
            try await test.farm.report(.disconnected, account: "alice", app: "mail", seen: test.time.now)
            test.present(session, phone, .hidden)
            try await test.waitUntilIdle()
            #expect(test.log.records(of: .launchConfirmed).count == 1)
            test.present(session, phone, .visible)
            try await test.waitForLog(.launchConfirmed, count: 2)
        }
    }

    @Test("SG-11 a client in front confirms at once; the ticket still reaches the farm's session, once")
    func confirmedFirst() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            try await test.register()
            try await test.logIn(phone)
            let ticket = try await ticket(test, phone)
            try await test.waitForLog(.launchConfirmed)
            test.farm.fail(with: GatewayError(.farmUnavailable, "down"))
            #expect(await code { _ = try await test.gateway.launches.redeem(ticket) } == .farmUnavailable)
            test.farm.fail(with: nil)
            #expect(try await test.gateway.launches.redeem(ticket).launch.state == .confirmed)
            #expect(await code { _ = try await test.gateway.launches.redeem(ticket) } == .launchExpired)
        }
    }
}
