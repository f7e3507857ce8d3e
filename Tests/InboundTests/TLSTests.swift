import Base
import GatewayTestKit
import Testing

@testable import Inbound

@Suite(.timeLimit(.minutes(2))) struct TLSTests {
    private var router: Router {
        var router = Router()
        router.addNow("GET", "/secure") { .text($0.isSecure ? "secure" : "plain") }
        router.addNow("GET", "/stream") { _ in
            let stream = EventStream()
            stream.send(id: 1, event: "hello", data: Array("over TLS".utf8))
            stream.close()
            return .stream(stream)
        }
        return router
    }

    private func openssl(_ arguments: String) throws {
        let status = try runProgram(["openssl"] + arguments.split(separator: " ").map(String.init))
        guard status == 0 else { throw WireError("openssl \(arguments): \(status)") }
    }

    /// A CA `NAME-ca.pem` and a certificate for localhost under it, in `NAME.pem` and `NAME.key`.
    private func makeCertificate(_ name: String, in folder: String) throws -> TLSFiles {
        let base = "\(folder)/\(name)"
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        try openssl("req -x509 \(curve) -keyout \(base)-ca.key -out \(base)-ca.pem -subj /CN=\(name) -days 2")
        try openssl(
            "req -x509 \(curve) -keyout \(base).key -out \(base).pem -subj /CN=localhost -days 2 "
                + "-addext subjectAltName=IP:127.0.0.1 -CA \(base)-ca.pem -CAkey \(base)-ca.key")
        return TLSFiles(certificate: "\(base).pem", key: "\(base).key")
    }

    private func fetch(_ url: String, trusting ca: String, into file: String) throws -> (status: Int32, text: String) {
        let status = try runProgram(["curl", "-s", "-m", "20", "--cacert", ca, "-o", file, url])
        return (status, FileSystem.contents(of: file, limit: 10_000).map { String(decoding: $0, as: UTF8.self) } ?? "")
    }

    @Test("serves HTTPS, and another certificate after a reload")
    func https() async throws {
        try await withFolder { folder in
            let files = try makeCertificate("one", in: folder)
            try await withServer(router, tls: files) { port, server in
                let url = "https://127.0.0.1:\(port)"
                let (page, stream, before) = try await onThread {
                    (
                        try fetch("\(url)/secure", trusting: "\(folder)/one-ca.pem", into: "\(folder)/out"),
                        try fetch("\(url)/stream", trusting: "\(folder)/one-ca.pem", into: "\(folder)/out"),
                        try { () throws -> Int32 in
                            _ = try makeCertificate("two", in: folder)
                            return try fetch("\(url)/secure", trusting: "\(folder)/two-ca.pem", into: "\(folder)/none")
                                .status
                        }()
                    )
                }
                #expect(page.status == 0 && page.text == "secure")
                #expect(stream.text == "id: 1\nevent: hello\ndata: over TLS\n\n")
                #expect(before == 60)
                #expect(try runProgram(["cp", "\(folder)/two.pem", files.certificate]) == 0)
                // The key is still the old one: refused, and the old pair stays.
                let error = #expect(throws: InboundError.self) { try server.reloadCertificate() }
                #expect(error?.code == .certificate)
                let still = try await onThread {
                    try fetch("\(url)/secure", trusting: "\(folder)/one-ca.pem", into: "\(folder)/out").status
                }
                #expect(still == 0)
                #expect(try runProgram(["cp", "\(folder)/two.key", files.key]) == 0)
                try server.reloadCertificate()
                let after = try await onThread {
                    try fetch("\(url)/secure", trusting: "\(folder)/two-ca.pem", into: "\(folder)/out")
                }
                #expect(after.status == 0 && after.text == "secure")
            }
        }
    }

    @Test("unusable files are named")
    func unusable() async throws {
        try await withFolder { folder in
            let files = try makeCertificate("one", in: folder)
            for (certificate, key, culprit) in [
                ("/none.pem", files.key, "/none.pem"), (files.certificate, "/none.key", "/none.key"),
                (files.key, files.key, files.key), (files.certificate, files.certificate, files.certificate),
            ] {
                let error = #expect(throws: InboundError.self) {
                    try Server(
                        ServerConfiguration(tls: TLSFiles(certificate: certificate, key: key)), handler: router,
                        log: Log(sink: NullLogSink()))
                }
                #expect(error?.code == .certificate)
                #expect(error?.description.contains(culprit) == true)
            }
        }
    }
}
