import Base
import FoundationEssentials
import GatewayTestKit
import Testing

/// Not tests but measurements of the fakes themselves, so that a benchmark's bottleneck is known not to be
/// here. Run with `FARBELL_LOAD=1 swift test -c release --filter LoadChecks`; they print and assert no figure.
@Suite("Load checks", .serialized, .enabled(if: ProcessInfo.processInfo.environment["FARBELL_LOAD"] != nil))
struct LoadChecks {
    let authority: TestCertificateAuthority

    init() throws { authority = try TestCertificateAuthority() }

    @Test("requests a second that the fake APNs takes from h2load") func apns() async throws {
        let key = try ECKey()
        var configuration = FakeAPNs.Configuration(
            keys: [.init(teamID: "TEAM000001", keyID: "KEY0000001", key: key)],
            topics: ["org.example.app": "TEAM000001"])
        configuration.acceptsAnyDevice = true
        configuration.streamLimits = (1000, 1000)
        let fake = try FakeAPNs(configuration, identity: authority.localhost)
        let claims: JSON = ["iss": "TEAM000001", "iat": .integer(SystemTime().timestamp.seconds)]
        let token = try WebToken.sign(header: ["alg": "ES256", "kid": "KEY0000001"], claims: claims, key: key)
        let folder = try TemporaryFolder()
        let body = try folder.write(
            #"{"aps":{"alert":{"title":"Alice","body":"Lunch at noon?"},"sound":"default"},"tap":"abcdefgh"}"#,
            to: "b.json")
        let result = try await ChildProcess.run(
            "h2load",
            [
                "-n", "300000", "-c", "4", "-m", "100", "-d", body, "-H", "authorization: bearer \(token)", "-H",
                "apns-topic: org.example.app", "-H", "apns-push-type: alert", "-H", "apns-priority: 10", "-H",
                "apns-expiration: 0", "-H", "apns-id: 123e4567-e89b-12d3-a456-4266554400a0",
                "https://localhost:\(fake.port)/3/device/00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0",
            ], deadline: .seconds(120))
        for line in result.output where line.hasPrefix("finished") || line.hasPrefix("requests") {
            print("apns:", line)
        }
        #expect(fake.pushes.count == 300_000)
        withExtendedLifetime(folder) {}
    }

    @Test("memory of 10,000 idle TLS connections to the synthetic IMAP server") func imap() async throws {
        let server = try SyntheticIMAPServer(identity: authority.localhost)
        let before = residentKilobytes()
        let start = SystemTime().now
        // Each connection speaks blind: the server answers a pipelined login, EXAMINE and IDLE.
        let script = """
            import resource, socket, ssl, sys
            resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
            context = ssl.create_default_context(cafile=sys.argv[2])
            kept = []
            for number in range(10000):
                c = context.wrap_socket(socket.create_connection(('127.0.0.1', int(sys.argv[1]))), server_hostname='localhost')
                c.sendall(b'a LOGIN u%05d secret\\r\\nb EXAMINE INBOX\\r\\nc IDLE\\r\\n' % number)
                kept.append(c)
            print('ready', flush=True)
            sys.stdin.read()
            """
        let child = try await ChildProcess("python3", ["-c", script, "\(server.port)", authority.caFile])
        try await child.waitForLine("ready", deadline: .seconds(180)) { $0 == "ready" }
        try await server.waitForIdlers(10_000)
        let each = Double(residentKilobytes() - before) / 10_000
        print("imap: 10000 idle in \((SystemTime().now - start).inSeconds) s, \(each) KiB each")
        let delivery = try await server.deliver(to: "u09999", header: "Subject: x\r\n")
        #expect(delivery.uid == 1)
        child.kill()
    }

    private func residentKilobytes() -> Int {
        let status = FileSystem.contents(of: "/proc/self/status", limit: 65_536) ?? []
        let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmRSS") }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }
}
