import Base
import GatewayTestKit
import Testing

/// Devices, their tokens and their streams, through the built program.
@Suite(.timeLimit(.minutes(3))) struct DeviceTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.users = ["alice", "bob"]
        return options
    }

    @Test("MN-1 MN-2 MN-3 MN-5 MN-6 MN-7 a device is created, bound again with a new token, and nobody else's")
    func binding() async throws {
        try await Scenario.run(Self.options) { world in
            let phone = try await world.phone(installation: "phone-1")
            var again = TerminalClient(world.gateway, account: "alice")
            let response = try await again.bind(password: Scenario.accountPassword, installation: "phone-1")
            #expect(response.status == 200 && again.device == phone.client.device)
            // The channel was not named again, so it stays; the old token is revoked.
            let device = try await again.call("GET", "/v1/devices/\(again.device)")
            #expect(device["channel"]?["adapter"]?.string == "apple")
            #expect(try await phone.client.send("GET", "/v1/devices").status == 401)

            let stolen = try await TerminalClient.send(
                world.gateway, "POST", "/v1/devices",
                authorization: TerminalClient.basic("bob", Scenario.accountPassword),
                ["installation": "phone-1", "name": "Bob's", "platform": "ios"])
            #expect(stolen.status == 409 && stolen.json["code"]?.string == "installation_taken")

            let bob = try await world.phone("bob")
            let session = try await Self.session(world, again)
            let foreign = try await bob.client.send(
                "POST", "/v1/sessions/\(session)/presence", ["seq": 5, "state": "gone"])
            #expect(foreign.status == 403)
            #expect(try await bob.client.send("GET", "/v1/devices/\(again.device)").status == 403)
        }
    }

    private static func session(_ world: Scenario, _ client: TerminalClient) async throws -> String {
        for part in ["tmp", "new", "cur"] {
            #expect(FileSystem.createFolder("\(world.gateway.folder.path)/maildirs/alice/\(part)"))
        }
        try await client.register("local")
        return try await client.open("local")
    }

    @Test("MN-4 MN-7 a device and its token outlive kill -9; a deleted device's token is refused")
    func survival() async throws {
        try await Scenario.run(Self.options) { world in
            let phone = try await world.phone()
            try await world.gateway.kill()
            try await world.gateway.start()
            let devices = try await phone.client.call("GET", "/v1/devices")
            #expect(devices["items"]?.array?.map { $0["id"]?.string } == [phone.client.device])
            try await phone.client.call("DELETE", "/v1/devices/\(phone.client.device)")
            #expect(try await phone.client.send("GET", "/v1/devices").status == 401)
        }
    }

    @Test("MN-9 MN-12 connected, a device is told on its stream and not pushed to; from its cursor it goes on")
    func stream() async throws {
        try await Scenario.run(Self.options) { world in
            let phone = try await world.phone()
            let session = try await Self.session(world, phone.client)
            try await phone.client.report(session, 1, "hidden")
            let registration = try await phone.client.call("GET", "/v1/registrations")["items"]?[0]?["id"]?.string
            try await phone.client.waitUntilWatching(try #require(registration))
            let listed = try await world.gateway.run("sessions")
            #expect(listed.exit == .code(0) && listed.output.contains { $0.contains("alice") }, "\(listed)")
            let stream = try await phone.client.stream()
            _ = try await stream.first("hello")
            try Self.drop(world, "First in the box", 1)
            let notify = try await stream.first("notify")
            try await phone.client.acknowledge(notify.number)
            let message = try await stream.first("message")
            #expect(message.data["subject"]?.string == "First in the box")
            stream.close()
            try await world.log.wait(for: "stream.closed")
            try Self.drop(world, "Second in the box", 2)
            #expect(try await phone.wait(1).map(\.body) == ["Second in the box"])

            // From the cursor the second one only; from the event named, everything after it.
            let resumed = try await phone.client.stream()
            let next = try await resumed.first("message")
            #expect(next.data["subject"]?.string == "Second in the box")
            let named = try await phone.client.stream(after: "0")
            let first = try await named.first("message")
            #expect(first.data["subject"]?.string == "First in the box")
            // One stream a device: the newer connection fences the older one.
            try await Eventually.wait("the older stream to end", for: .seconds(10)) { resumed.isEnded }
        }
    }

    private static func drop(_ world: Scenario, _ subject: String, _ number: Int) throws {
        world.gateway.keepSecret(subject)
        let folder = "\(world.gateway.folder.path)/maildirs/alice"
        try Files.overwrite("\(folder)/tmp/\(number).host", with: Scenario.message(subject))
        try Files.move("\(folder)/tmp/\(number).host", to: "\(folder)/new/\(number).host")
    }

    @Test("IM-8 accounts are made, listed, refused and given a new password, the gateway running or not")
    func accounts() async throws {
        try await Scenario.run(Self.options) { world in
            for isRunning in [true, false] {
                if !isRunning { try await world.gateway.stop() }
                let name = isRunning ? "carol" : "dave"
                let added = try await world.gateway.run("account", "add", name, input: "tea with milk\n")
                #expect(added.exit == .code(0), "\(added.errors)")
                let twice = try await world.gateway.run("account", "add", name, input: "tea with milk\n")
                #expect(twice.exit != .code(0) && !twice.errors.isEmpty)
                let list = try await world.gateway.run("account", "list")
                #expect(list.output.contains { $0.hasPrefix(name) })
                let changed = try await world.gateway.run("account", "password", name, input: "coffee, black\n")
                #expect(changed.exit == .code(0), "\(changed.errors)")
                let disabled = try await world.gateway.run("account", "disable", name)
                #expect(disabled.exit == .code(0), "\(disabled.errors)")
                let unknown = try await world.gateway.run("account", "disable", "nobody")
                #expect(unknown.exit != .code(0) && !unknown.errors.isEmpty)
            }
            try await world.gateway.start()
            for (name, isEnabled) in [("carol", true), ("dave", false)] {
                if isEnabled { #expect(try await world.gateway.run("account", "enable", name).exit == .code(0)) }
                for (password, isRight) in [("tea with milk", false), ("coffee, black", true)] {
                    world.gateway.keepSecret(password)
                    let answer = try await TerminalClient.send(
                        world.gateway, "POST", "/v1/devices", authorization: TerminalClient.basic(name, password),
                        ["installation": .string("of \(name)"), "name": "A phone", "platform": "ios"])
                    #expect(
                        answer.status == (isEnabled && isRight ? 201 : isRight ? 403 : 401), "\(name): \(answer.text)")
                }
            }
            let status = try await world.gateway.run("status")
            #expect(status.exit == .code(0), "\(status.errors)")
            try await world.log.wait(for: "auth.refused")
        }
    }
}
