import Base
import GatewayTestKit
import Testing

/// TLS where the gateway answers, and where it asks.
@Suite(.timeLimit(.minutes(2))) struct EncryptionTests {
    @Test("SG-16 the API over TLS: strangers see the certificate, and the program's own commands work")
    func listensWithTLS() async throws {
        let authority = try TestCertificateAuthority()
        // A certificate as in the field: for the public name, and not for the loopback address.
        let identity = try authority.issue("gateway", names: "DNS:farbell.example.org")
        let gateway = try GatewayProcess()
        try gateway.configure([
            "publicURL": .string("https://farbell.example.org:\(gateway.port)"),
            "listen": [
                "address": "127.0.0.1", "port": .integer(gateway.port),
                "tls": ["certificate": .string(identity.certificateFile), "key": .string(identity.keyFile)],
            ],
        ])
        try await gateway.launch()
        try await gateway.log.wait(for: "gateway.started")
        let url = "https://farbell.example.org:\(gateway.port)/readyz"
        let place = "farbell.example.org:\(gateway.port):127.0.0.1"
        let trusting = try await ChildProcess.run(
            "curl", ["--silent", "--cacert", authority.caFile, "--resolve", place, url])
        #expect(trusting.exit == .code(0) && trusting.output == [#"{"status":"ready"}"#])
        let doubting = try await ChildProcess.run("curl", ["--silent", "--resolve", place, url])
        #expect(doubting.exit == .code(60), "a stranger must not trust a private authority")

        let status = try await gateway.run("status")
        #expect(status.exit == .code(0), "\(status.errors)")
        let added = try await gateway.run("account", "add", "alice", input: "tea with milk\n")
        #expect(added.exit == .code(0), "\(added.errors)")
        #expect(try await gateway.stop() == .code(0))
    }

    @Test(
        "SG-4 a mail server whose certificate nobody vouches for gets no password; the log says why",
        .enabled(if: DovecotServer.isAvailable))
    func untrustedMailServer() async throws {
        let stranger = try TestCertificateAuthority()
        var options = Scenario.Options()
        options.caFile = stranger.caFile
        try await Scenario.run(options) { world in
            let phone = try await world.phone()
            try await phone.client.register("mail", username: "alice", password: DovecotServer.password)
            try await phone.client.open("mail")
            let line = try await world.log.wait(for: "monitor.backing_off")
            #expect(line["code"] == "network")
            #expect(line["error"]?.lowercased().contains("certificate") == true, "\(line.json.serialized)")
            #expect(try world.dovecot().log.contains("Login: user") == false)
        }
    }
}
