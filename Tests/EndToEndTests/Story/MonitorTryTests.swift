import Base
import GatewayTestKit
import Glibc
import Testing

/// `farbell monitor try` of the built program, at a real Dovecot.
@Suite(.enabled(if: DovecotServer.isAvailable, "needs dovecot-imapd and root"), .timeLimit(.minutes(3)))
struct MonitorTryTests {
    private func attempt(_ scenario: Scenario, _ password: String) async throws -> ChildProcess {
        let child = try await ChildProcess(
            GatewayProcess.program,
            ["monitor", "try", "mail", "--config", scenario.gateway.folder.file("farbell.json")])
        try child.write("alice\n\(password)\n")
        return child
    }

    private func said(_ child: ChildProcess, _ words: String) async throws {
        try await Eventually.wait("'\(words)', not \(child.output) \(child.errors)") {
            child.output.contains { $0.contains(words) }
        }
    }

    @Test("it rings for new mail, names what was read elsewhere, ends by SIGINT with 0 and stores nothing")
    func rings() async throws {
        var options = Scenario.Options()
        options.startsGateway = false
        try await Scenario.run(options) { scenario in
            try await scenario.deliver("Before")
            let child = try await attempt(scenario, DovecotServer.password)
            try await said(child, "watching")
            try await scenario.deliver("Mittagessen", from: "Li Na <li@example.org>")
            try await said(child, "would ring: New message from Li Na | Mittagessen")
            try await scenario.deliver("To myself", from: "alice@example.org")
            try await said(child, "To myself")
            child.send(SIGINT)
            try await child.waitForExit(deadline: .seconds(20))
            #expect(child.exit == .code(0), "\(child.errors)")
            #expect(!child.output.contains { $0.contains("Before") })
            #expect(!(child.output + child.errors).joined().contains(DovecotServer.password))
            #expect(!FileSystem.exists(scenario.gateway.folder.file("data/admin.token")))
        }
    }

    @Test("a wrong password ends with 77, a server that is away with 69, both with what to do")
    func failures() async throws {
        var options = Scenario.Options()
        options.startsGateway = false
        try await Scenario.run(options) { scenario in
            let refused = try await attempt(scenario, "wrong")
            try await refused.waitForExit(deadline: .seconds(60))
            #expect(refused.exit == .code(77), "\(refused.errors)")
            #expect(refused.errors.contains { $0.contains("Check user name and password") })
            try await scenario.dovecot().stop()
            let away = try await attempt(scenario, DovecotServer.password)
            try await away.waitForExit(deadline: .seconds(60))
            #expect(away.exit == .code(69), "\(away.errors)")
            try await scenario.dovecot().start()
        }
    }

    @Test("a certificate that is not trusted ends with 69 and names caFile") func untrusted() async throws {
        var options = Scenario.Options()
        options.startsGateway = false
        options.caFile = try TestCertificateAuthority().caFile
        try await Scenario.run(options) { scenario in
            let child = try await attempt(scenario, DovecotServer.password)
            try await child.waitForExit(deadline: .seconds(60))
            #expect(child.exit == .code(69))
            #expect(child.errors.joined().contains("caFile"), "\(child.errors)")
        }
    }
}
