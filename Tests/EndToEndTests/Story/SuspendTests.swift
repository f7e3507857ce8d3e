import Base
import GatewayTestKit
import Testing

/// The machine sleeps: the processes stand still while the servers' clocks go on.
@Suite(.timeLimit(.minutes(3)))
struct SuspendTests {
    @Test("SG-4 G11 after a suspend in which the mail server dropped its connections, mail of the meantime rings, once")
    func suspend() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            _ = try await phone.client.report(session, 1, "hidden")
            try await world.deliver("Before the sleep")
            try await phone.wait(1)
            let process = try #require(world.gateway.process)
            process.stop()
            try await world.dovecot().stop()
            try await world.dovecot().start()
            try await world.deliver("While asleep")
            process.resume()
            try await phone.wait(2, deadline: .seconds(60))
            try await world.deliver("Awake again")
            try await phone.wait(3)
            #expect(phone.pushes.count == 3)
        }
    }
}
