import Base
import GatewayTestKit
import Testing

/// What is accepted is never lost, whatever happens to the gateway or to the servers beside it.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(4))) struct RestartTests {
    private static func deliver(_ subjects: [String], in world: Scenario) async throws {
        for subject in subjects { try await world.deliver(subject) }
    }

    /// Kills the gateway and starts it anew, again and again.
    private static func killAndStart(_ world: Scenario, times: Int) async throws {
        let random = SharedRandom(seed: UInt64.random(in: 0 ... .max))
        for _ in 0..<times {
            // The moment is the point of the test: anywhere, from before the start is over on.
            try await Task.sleep(for: .milliseconds(Int64(random.fraction() * 700)))
            try await world.gateway.kill()
            try await world.gateway.launch()
        }
    }

    @Test("MN-4 SG-15 a restart in the middle of arriving mail loses nothing and doubles nothing")
    func restart() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "hidden")
            let subjects = (1...12).map { "Orderly mail \($0)" }
            async let arrival: Void = Self.deliver(subjects, in: world)
            for count in [3, 7] {
                try await phone.wait(count)
                #expect(try await world.gateway.stop() == .code(0))
                try await world.gateway.start()
            }
            try await arrival
            let pushes = try await phone.wait(subjects.count)
            #expect(pushes.compactMap(\.body).sorted() == subjects.sorted())
            // The device still is what it was.
            let device = try await phone.client.call("GET", "/v1/devices/\(phone.client.device)")
            #expect(device["channel"]?["adapter"]?.string == "apple")
            #expect(world.log.lines("gateway.stopped").count == 2)
        }
    }

    @Test("MN-4 twenty times kill -9 while mail arrives: every message is pushed; a repeat has the same id")
    func kill() async throws {
        try await Scenario.run { world in
            for number in 1...3 { try await world.deliver("Ancient mail \(number)") }
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "hidden")
            let subjects = (1...60).map { "Numbered mail \($0)." }
            async let arrival: Void = Self.deliver(subjects, in: world)
            try await Self.killAndStart(world, times: 20)
            try await arrival
            try await world.gateway.waitUntilReady()
            try await Eventually.wait(
                "all subjects, not \(Set(phone.pushes.compactMap(\.body)).count)", for: .seconds(60)
            ) {
                Set(phone.pushes.compactMap(\.body)).isSuperset(of: subjects)
            }
            let pushes = phone.pushes
            #expect(Set(pushes.compactMap(\.body)) == Set(subjects), "only what came after the baseline rings")
            let bySubject = Dictionary(grouping: pushes, by: \.body)
            #expect(bySubject.values.allSatisfy { Set($0.map(\.apnsID)).count == 1 }, "a repeat has another id")
            #expect(Set(pushes.map(\.apnsID)).count == subjects.count)
            print(
                "kill -9: \(pushes.count - subjects.count) of \(subjects.count) pushes were sent again, with the same id"
            )
        }
    }

    @Test("SG-4 a mail server that goes away and comes back: what came meanwhile rings, old mail does not")
    func mailServerOutage() async throws {
        try await Scenario.run { world in
            for number in 1...3 { try await world.deliver("Stale mail \(number)") }
            let phone = try await world.phone()
            let (registration, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "hidden")
            let mail = try world.dovecot()
            try await mail.stop()
            try await world.log.wait(for: "monitor.backing_off")
            let name = "1795224039.M7P7.host"
            let message = Scenario.message("Came in the dark")
            let path = "\(mail.maildir(of: "alice"))/new/\(name)"
            world.gateway.keepSecret("Came in the dark")
            try Files.overwrite(path, with: message)
            try Files.share(path)
            try await mail.start()
            let pushes = try await phone.wait(1, deadline: .seconds(60))
            try await phone.client.waitUntilWatching(registration)
            try await world.deliver("Came in the light")
            let both = try await phone.wait(2)
            #expect(pushes.map(\.body) == ["Came in the dark"])
            #expect(both.map(\.body) == ["Came in the dark", "Came in the light"])
        }
    }

    @Test("SG-4 a changed password: refused once, not tried again, and watched again with the new one")
    func passwordChanged() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (registration, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "hidden")
            let mail = try world.dovecot()
            try await mail.stop()
            try mail.setPassword("another horse", of: "alice")
            world.gateway.keepSecret("another horse")
            try await mail.start()
            try await world.log.wait(for: "monitor.refused", deadline: .seconds(60))
            #expect(try await phone.client.monitorState(registration) == "refused")
            func refusals() -> Int { mail.log.split(separator: "\n").count { $0.contains("auth failed") } }
            try await Eventually.wait("the mail server's own word") { refusals() > 0 }

            // Neither another login to the app nor a restart tries the refused password again.
            try await phone.client.open("mail", instance: "two")
            try await world.gateway.stop()
            try await world.gateway.start()
            #expect(try await phone.client.monitorState(registration) == "refused")
            try await world.deliver("While locked out")

            let body: JSON = ["credentials": ["username": "alice", "password": "another horse"]]
            try await phone.client.call("PATCH", "/v1/registrations/\(registration)", body)
            try await phone.client.waitUntilWatching(registration)
            let pushes = try await phone.wait(1)
            #expect(pushes.map(\.body) == ["While locked out"])
            #expect(refusals() == 1, "the refused password was tried again")
            #expect(world.log.lines("monitor.refused").count == 1)
        }
    }
}
