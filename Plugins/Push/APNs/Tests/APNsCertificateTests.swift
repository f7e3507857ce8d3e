import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import APNsPush

/// Authentication by a client certificate, against a fake Apple that asks for one.
@Suite("APNs with a certificate", .timeLimit(.minutes(1))) final class APNsCertificateTests {
    private let authority: TestCertificateAuthority
    private let apple: FakeAPNs
    private let folder: TemporaryFolder

    init() throws {
        authority = try TestCertificateAuthority()
        folder = try TemporaryFolder()
        var configuration = FakeAPNs.Configuration(
            keys: [], topics: ["com.example.client": Rig.team, "com.example.other": Rig.team])
        configuration.certificates = [
            .init(name: "push", topics: ["com.example.client"]),
            .init(name: "sandbox", topics: ["com.example.client"], refusal: "BadCertificateEnvironment"),
        ]
        configuration.clientAuthority = authority.caFile
        configuration.acceptsAnyDevice = true
        apple = try FakeAPNs(configuration, identity: authority.localhost)
        try folder.write("correct horse", to: "password")
        try folder.write("wrong", to: "wrong")
    }

    deinit { apple.stop() }

    private func adapter(
        _ keys: String, topic: String = "com.example.client", http: (any HTTPTransport)? = nil,
        time: any TimeSource = SystemTime()
    ) throws -> any PushAdapter {
        try APNsPlugin().adapter(
            #"{"topic":"\#(topic)","url":"\#(apple.origin)","caFile":"\#(authority.caFile)",\#(keys)}"#,
            folder: folder.path, http: http ?? HTTPClient(), time: time)
    }

    @Test("PEM in one file or two and PKCS#12 are shown, without a provider token, many pushes at once")
    func accepted() async throws {
        let files = try await authority.issueClient("push", password: "correct horse")
        let parts = try authority.issue("push", names: "DNS:push.example")
        for keys in [
            #""certificateFile":"\#(files.pem)""#,
            #""certificateFile":"\#(parts.certificateFile)","certificateKeyFile":"\#(parts.keyFile)""#,
            #""certificateFile":"\#(files.pkcs12)","certificatePassword":{"file":"password"}"#,
        ] {
            let adapter = try adapter(keys)
            await withTaskGroup(of: PushReport.self) { group in
                for _ in 0..<20 { group.addTask { await adapter.send(push()) } }
                for await report in group { #expect(report == PushReport(.delivered, status: 200)) }
            }
        }
        #expect(apple.pushes.count == 60)
        #expect(apple.requests.all.allSatisfy { $0.headers["authorization"] == nil })
        #expect(apple.counts.connections == 3)
    }

    @Test("the example with a certificate is read")
    func example() async throws {
        let example = try APNsPlugin().example("apple-certificate")
        let made = try await authority.issueClient("push", password: "correct horse")
        let bytes = try #require(FileSystem.contents(of: made.pkcs12, limit: 65_536))
        try folder.write(bytes, to: #require(example["certificateFile"]?.string))
        try folder.write("correct horse", to: #require(example["certificatePassword"]?["file"]?.string))
        _ = try APNsPlugin().adapter(example.serialized, folder: folder.path, http: NoTransport(), time: SystemTime())
    }

    @Test("a certificate for other topics, for another environment or unknown is refused as a credential")
    func refused() async throws {
        func report(_ name: String, topic: String = "com.example.client") async throws -> PushReport {
            let pem = try await authority.issueClient(name, password: "x").pem
            return try await adapter(#""certificateFile":"\#(pem)""#, topic: topic).send(push())
        }
        #expect(
            try await report("push", topic: "com.example.other")
                == PushReport(.rejected, status: 400, reason: "TopicDisallowed", hop: .credential))
        #expect(
            try await report("sandbox") == PushReport(.credential, status: 403, reason: "BadCertificateEnvironment"))
        #expect(try await report("unknown") == PushReport(.credential, status: 403, reason: "BadCertificate"))
    }

    @Test("a wrong password, a foreign key and an ended certificate are faults of the configuration")
    func faults() async throws {
        let files = try await authority.issueClient("push", password: "correct horse")
        let other = try authority.issue("other", names: "DNS:other.example")
        let ended = try authority.issue("ended", names: "DNS:ended.example", days: -10 ... -5)
        for (keys, message) in [
            (#""certificateFile":"\#(files.pkcs12)","certificatePassword":{"file":"wrong"}"#, "this password opens"),
            (#""certificateFile":"\#(files.pkcs12)""#, "this password opens"),
            (#""certificateFile":"\#(files.pem)","certificateKeyFile":"\#(other.keyFile)""#, "does not belong"),
            (
                #""certificateFile":"\#(ended.certificateFile)","certificateKeyFile":"\#(ended.keyFile)""#,
                "no longer valid"
            ),
        ] {
            let error = #expect(throws: ConfigError.self) { try self.adapter(keys, http: NoTransport()) }
            #expect(error?.description.contains(message) == true, "\(String(describing: error))")
        }
    }

    @Test("a certificate that ends while the gateway runs, or goes, is a credential fault and nothing is sent")
    func endsLater() async throws {
        let pem = try await authority.issueClient("push", password: "x").pem
        let time = ManualTime(timestamp: SystemTime().timestamp)
        let http = StubTransport { _, _ in HTTPResponse(status: 200) }
        let adapter = try adapter(#""certificateFile":"\#(pem)""#, http: http, time: time)
        #expect(await adapter.send(push()).outcome == .delivered)
        time.advance(by: .seconds(31 * 86_400))
        #expect(await adapter.send(push()) == PushReport(.credential, reason: "certificate_expired"))
        #expect(http.requests.count == 1)
        let copy = try folder.write(try #require(FileSystem.contents(of: pem, limit: 65_536)), to: "copy.pem")
        let vanishing = try self.adapter(#""certificateFile":"\#(copy)""#)
        try folder.write("nothing", to: "copy.pem")
        #expect(await vanishing.send(push()) == PushReport(.credential, reason: "client_certificate"))
    }

}
