import Base
import GatewayTestKit
import Testing

/// `farbell sessions` on a terminal, which `script` makes.
@Suite(.enabled(if: FileSystem.exists("/usr/bin/script"), "needs script"), .timeLimit(.minutes(2)))
struct SessionsScreenTests {
    private static func screen(of gateway: GatewayProcess) async throws -> ChildProcess {
        // The shell lives on after Ctrl-C, which reaches it too, and says how the program ended.
        let line = "trap : INT; \(GatewayProcess.program) sessions --config \(gateway.configuration); echo ended $?"
        return try await ChildProcess("/usr/bin/script", ["-qefc", line, "/dev/null"])
    }

    /// Returns when the table, as it was drawn last, has such a line.
    private static func wait(_ screen: ChildProcess, _ what: String, _ words: [String]) async throws {
        let seen = screen.output.count
        do {
            try await Eventually.wait(what) {
                screen.output.dropFirst(seen).contains { line in words.allSatisfy { line.contains($0) } }
            }
        } catch {
            Issue.record("\(what): \(screen.output.suffix(8))")
            throw error
        }
    }

    @Test("SG-7 the session table follows presence and a gateway that starts anew, and Ctrl-C ends it with 0")
    func live() async throws {
        var options = Scenario.Options()
        options.hasMailServer = false
        try await Scenario.run(options) { world in
            let phone = try await world.phone()
            try await phone.client.register("local")
            let session = try await phone.client.open("local")
            let screen = try await Self.screen(of: world.gateway)
            try await Self.wait(screen, "a client in front", ["alice", "local", "active", "yes"])
            try await phone.client.report(session, 1, "hidden")
            try await Self.wait(screen, "a client out of sight", ["alice", "local", "hidden", "0 s", "no"])
            try await world.gateway.kill()
            try await Self.wait(screen, "no gateway", ["does not answer"])
            try await world.gateway.start()
            try await Self.wait(screen, "the new gateway knows of no session", ["0 sessions, 0 in front"])
            _ = try await phone.client.open("local")
            try await Self.wait(screen, "the client is back", ["alice", "local", "active", "yes"])
            try screen.write("\u{03}")
            try await screen.waitForExit()
            #expect(screen.output.last?.contains("ended 0") == true, "\(screen.output.suffix(8)), \(screen.errors)")
            // Where nobody looks it is printed once, for other programs to read.
            let once = try await world.gateway.run("sessions")
            #expect(once.exit == .code(0) && once.output.count == 2)
            #expect(once.output.first == "ACCOUNT\tAPP\tDEVICE\tSTATE\tLEASE\tFARM\tIN FRONT")
            #expect(!once.output.joined().contains("\u{1B}"))
        }
    }
}
