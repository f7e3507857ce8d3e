import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("devices and their two ways", .timeLimit(.minutes(2)))
struct DeviceTests {
    @Test("MN-1 MN-2 MN-3 MN-6 MN-8 a token brought makes a device, its channel and an auth token")
    func create() async throws {
        try await TestGateway.run { test in
            let (device, token, isNew) = try await test.bind()
            #expect(isNew)
            #expect(device.channel?.adapter == "phone")
            #expect(device.channel?.address == .token("token of alice-phone"))
            #expect(try test.gateway.devices.authenticate(token).id == device.id)
            let stored = try #require(try await test.store.registry().devices.first)
            #expect(stored == device)
            #expect(stored.tokenHash.map { !$0.contains(subsequence: token.bytes) } == true)
        }
    }

    @Test("MN-4 MN-9 the device outlives a crash and its token goes on working")
    func survives() async throws {
        try await TestGateway.run { test in
            let (device, token, _) = try await test.bind()
            try await test.crash()
            #expect(try test.gateway.devices.authenticate(token) == device)
            let stream = try await test.connect(device)
            let message = try await test.post()
            try await stream.entries.first {
                if case .message(let m) = $0.event { m.key == message.key } else { false }
            }
        }
    }

    @Test("MN-5 MN-7 the same installation is the same device with a new channel; its old token is revoked")
    func bindAgain() async throws {
        try await TestGateway.run { test in
            let (device, token, _) = try await test.bind()
            let stream = try await test.connect(device)
            test.time.advance(by: .seconds(1))
            let (again, newToken, isNew) = try await test.bind(adapter: "browser")
            #expect(!isNew)
            #expect(again.id == device.id)
            #expect(again.channel?.adapter == "browser")
            #expect(stream.isClosed)
            let error = #expect(throws: GatewayError.self) { try test.gateway.devices.authenticate(token) }
            #expect(error?.code == .badToken)
            #expect(try test.gateway.devices.authenticate(newToken).id == device.id)
            #expect(test.gateway.devices.all().count == 1)
        }
    }

    @Test("MN-5 an installation of another account is refused")
    func installationTaken() async throws {
        try await TestGateway.run { test in
            try await test.device()
            try await test.account("bob")
            let description = Devices.Description(installation: "alice-phone", name: "x", platform: "ios")
            let error = await #expect(throws: GatewayError.self) {
                _ = try await test.gateway.devices.bind("bob", description)
            }
            #expect(error?.code == .installationTaken)
            let nobody = await #expect(throws: GatewayError.self) {
                _ = try await test.gateway.devices.bind("nobody", description)
            }
            #expect(nobody?.code == .notFound)
        }
    }

    @Test("MN-7 one account cannot touch another's devices, messages and registrations")
    func foreign() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let other = try await test.device("bob", "phone")
            let registration = try await test.register()
            let message = try await test.post()
            let gateway = test.gateway
            await #expect(throws: GatewayError.self) { try await gateway.devices.delete(phone.id, of: "bob") }
            await #expect(throws: GatewayError.self) { try await gateway.messages.read(message.key, by: other) }
            await #expect(throws: GatewayError.self) {
                _ = try await gateway.postmaster.trace(message.key, for: .app("oa"))
            }
            await #expect(throws: GatewayError.self) {
                try await gateway.registrations.delete(registration.id, of: "bob")
            }
            #expect(gateway.mailroom.isOpen(message.key))
        }
    }

    @Test("MN-12 connected: a notify event and no push; not acknowledged in time, or connection lost: one push")
    func channelExactlyWithoutConnection() async throws {
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            var stream = try await test.connect(phone)
            let first = try await test.post()
            let notify = try await stream.entries.first { if case .notify = $0.event { true } else { false } }
            try await test.gateway.devices.acknowledge(phone.id, upTo: try #require(notify.number))
            try await test.advance(by: .seconds(12))
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 0)
            #expect(test.decisions(first.key) == ["notify live_stream"])

            let second = try await test.post()
            try await Eventually.wait("announced on the stream") { stream.notifications.count == 2 }
            try await test.advance(by: .seconds(9))
            #expect(test.push.pushes.count == 0)
            try await test.advance(by: .seconds(2))
            try await test.push.pushes.wait(count: 1)
            try await test.waitForDecision(second.key, "push not_acknowledged")

            let third = try await test.post()
            try await Eventually.wait("announced on the stream") { stream.notifications.count == 3 }
            stream.close()
            try await test.push.pushes.wait(count: 2)
            try await test.waitForDecision(third.key, "push connection_lost")

            let fourth = try await test.post()
            try await test.push.pushes.wait(count: 3)
            try await test.waitForDecision(fourth.key, "push no_connection")
            stream = try await test.connect(phone)
            #expect(stream.messages.map(\.key) == [second.key, third.key, fourth.key])
        }
    }

    @Test("MN-13 a wakeup device's pushes say so")
    func wakeup() async throws {
        try await TestGateway.run { test in
            try await test.device("alice", "watch", payload: .wakeup)
            try await test.post()
            #expect(try await test.push.pushes.first { _ in true }.payload == .wakeup)
        }
    }

    @Test("no channel and no connection: held, and taken when the device connects")
    func noChannel() async throws {
        try await TestGateway.run { test in
            let fridge = try await test.device("alice", "fridge", adapter: nil)
            let message = try await test.post()
            try await test.waitForDecision(message.key, "hold no_channel")
            let stream = try await test.connect(fridge)
            #expect(stream.messages.map(\.key) == [message.key])
            try await test.gateway.devices.acknowledge(fridge.id, upTo: message.key.seq)
            try await test.waitUntilIdle()
            #expect(try await test.store.deliveries(of: [message.key]).map(\.outcome) == [.streamed])
            #expect(test.gateway.notifier.pendingCount == 0)
        }
    }

    @Test("a dead address is removed when the verdict is younger than it, and kept when it is older")
    func prune() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            test.push.answer(PushReport(.gone(since: phone.channel!.since + .seconds(-10)), status: 410))
            try await test.post()
            try await test.waitForLog(.notificationFailed)
            try await test.waitUntilIdle()
            #expect(test.gateway.devices.device(phone.id)?.channel != nil)
            test.push.answer(PushReport(.gone(since: phone.channel!.since + .seconds(10)), status: 410))
            try await test.advance(by: .seconds(31))
            try await test.post()
            try await test.waitForLog(.devicePruned)
            try await test.waitUntilIdle()
            #expect(test.gateway.devices.device(phone.id)?.channel == nil)
            #expect(try await test.store.registry().devices.first?.channel == nil)
        }
    }

    @Test("an address that was replaced while its push was under way is not removed, and the new one is told")
    func replacedMeanwhile() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            test.push.hold()
            test.push.answer(PushReport(.gone(since: nil), status: 410))
            try await test.post()
            try await test.push.pushes.wait(count: 1)
            var update = Devices.Update()
            update.channel = .some(("phone", .token("new token")))
            _ = try await test.gateway.devices.update(phone.id, of: "alice", update)
            test.push.release()
            let pushes = try await test.push.pushes.wait(count: 2)
            #expect(pushes.last?.address == .token("new token"))
            #expect(pushes.first?.id == pushes.last?.id)
            #expect(test.gateway.devices.device(phone.id)?.channel?.address == .token("new token"))
        }
    }

    @Test("a disabled account's tokens are refused while it lasts; a deleted account leaves nothing")
    func accounts() async throws {
        try await TestGateway.run { test in
            let (device, token, _) = try await test.bind()
            try await test.register()
            try await test.post()
            try await test.gateway.setDisabled("alice", true)
            let error = #expect(throws: GatewayError.self) { try test.gateway.devices.authenticate(token) }
            #expect(error?.code == .accountDisabled)
            try await test.gateway.setDisabled("alice", false)
            #expect(try test.gateway.devices.authenticate(token).id == device.id)
            try await test.gateway.deleteAccount("alice")
            try await test.restart()
            let registry = try await test.store.registry()
            #expect(registry.accounts.isEmpty && registry.devices.isEmpty && registry.registrations.isEmpty)
            #expect(test.gateway.mailroom.openTotal == 0)
        }
    }

    @Test("guessing passwords is stopped, also many at once, and the right one is not tried meanwhile")
    func guessing() async throws {
        var parts = TestGateway.Parts()
        parts.limits.refusedLogins = 5
        try await TestGateway.run(parts) { test in
            try await test.account()
            let accounts = test.gateway.accounts
            let codes = await withTaskGroup(of: GatewayError.Code?.self) { group in
                for index in 0..<100 {
                    group.addTask {
                        do {
                            _ = try await accounts.authenticate(
                                "alice", Secret("wrong \(index)"), peer: "host \(index)")
                            return nil
                        } catch { return (error as? GatewayError)?.code }
                    }
                }
                return await group.reduce(into: [GatewayError.Code?]()) { $0.append($1) }
            }
            #expect(codes.count { $0 == .badCredentials } == 5)
            #expect(codes.count { $0 == .rateLimited } == 95)
            await #expect(throws: GatewayError.self) {
                _ = try await accounts.authenticate("alice", TestGateway.password, peer: "home")
            }
            test.time.advance(by: .seconds(301))
            #expect(try await accounts.authenticate("alice", TestGateway.password, peer: "home").id == "alice")
        }
    }

    @Test("a name that cannot be one is refused, and neither counted nor logged at its length")
    func endlessName() async throws {
        try await TestGateway.run { test in
            let name = String(repeating: "x", count: 12_000)
            await #expect(throws: GatewayError.self) {
                _ = try await test.gateway.accounts.authenticate(name, TestGateway.password, peer: "home")
            }
            #expect(test.log.records(of: .authRefused).last?.fields["account"] == .string("(not a name)"))
        }
    }
}
