import Base
import Outbound
import Testing

@Suite(.timeLimit(.minutes(1)))
struct TLSTests {
    let client: HTTPClient
    let authority: TestAuthority

    init() async throws {
        client = try HTTPClient()
        authority = try await TestAuthority()
    }

    private func request(
        _ port: Int, _ version: HTTPRequest.Version = .automatic, host: String = "localhost"
    )
        -> HTTPRequest
    {
        var request = HTTPRequest("GET", "https://\(host):\(port)/connection")
        request.caFile = authority.ca
        request.version = version
        return request
    }

    private func failure(_ request: HTTPRequest) async -> HTTPTransportError? {
        await #expect(throws: HTTPTransportError.self) { try await client.send(request) }
    }

    @Test("a server of the given authority is trusted, others and wrong names are not")
    func trust() async throws {
        let peer = try await Peer("http_peer.py", authority.serverArguments)
        // The first connection only asked for HTTP/2.
        #expect(try await client.send(request(peer.port)).text == "2 1")
        var untrusted = request(peer.port)
        untrusted.caFile = nil
        let error = await failure(untrusted)
        #expect(error?.code == .tls && error?.surelyNotProcessed == true)
        let wrongName = await failure(request(peer.port, host: "127.0.0.2"))
        #expect(wrongName?.code == .connect || wrongName?.code == .tls)
        var missing = request(peer.port)
        missing.caFile = "/nonexistent/ca.pem"
        #expect(await failure(missing)?.code == .tls)
    }

    @Test("a client certificate is shown")
    func clientCertificate() async throws {
        let peer = try await Peer("http_peer.py", authority.serverArguments + ["--client-ca", authority.ca])
        var mutual = request(peer.port)
        mutual.certificate = .init(file: authority.client)
        #expect(try await client.send(mutual).status == 200)
        #expect(await failure(request(peer.port)) != nil)
    }

    @Test("a client certificate comes in PEM with its key beside it, and in PKCS#12; a password opens either")
    func certificateForms() async throws {
        let peer = try await Peer("http_peer.py", authority.serverArguments + ["--client-ca", authority.ca])
        let folder = authority.folder
        let clientKey = folder + "/client.key"
        try await PeerProcess.run([
            "openssl", "pkcs12", "-export", "-in", authority.client, "-out", folder + "/client.p12", "-passout",
            "pass:pw",
        ])
        try await PeerProcess.run([
            "openssl", "pkcs8", "-topk8", "-in", clientKey, "-out", folder + "/locked.key", "-passout", "pass:pw",
        ])
        let good: [HTTPRequest.ClientCertificate] = [
            .init(file: authority.client, keyFile: clientKey),
            .init(file: authority.client, keyFile: folder + "/locked.key", password: Secret("pw")),
            .init(file: folder + "/client.p12", format: .pkcs12, password: Secret("pw")),
        ]
        for (number, certificate) in good.enumerated() {
            var mutual = request(peer.port)
            mutual.pool = "good\(number)"
            mutual.certificate = certificate
            #expect(try await client.send(mutual).status == 200)
        }
        let bad: [HTTPRequest.ClientCertificate] = [
            // Without a password nobody is asked for one.
            .init(file: authority.client, keyFile: folder + "/locked.key"),
            .init(file: authority.client, keyFile: folder + "/locked.key", password: Secret("no")),
            .init(file: folder + "/client.p12", format: .pkcs12, password: Secret("no")),
            .init(file: folder + "/none.pem"), .init(file: authority.client, keyFile: authority.key),
        ]
        for (number, certificate) in bad.enumerated() {
            var mutual = request(peer.port)
            mutual.pool = "bad\(number)"
            mutual.certificate = certificate
            let error = await failure(mutual)
            #expect(error?.code == .clientCertificate && error?.surelyNotProcessed == true, "\(number)")
        }
    }

    @Test("after its connections are retired a pool takes new ones, and what is under way ends on the old")
    func retired() async throws {
        let peer = try await Peer("h2_peer.py", ["normal", authority.certificate, authority.key])
        for _ in 0..<2 { #expect(try await client.send(request(peer.port, .http2)).text.hasPrefix("1 ")) }
        client.retireConnections(ofPool: "another")
        #expect(try await client.send(request(peer.port, .http2)).text.hasPrefix("1 "))
        client.retireConnections(ofPool: "")
        for _ in 0..<2 { #expect(try await client.send(request(peer.port, .http2)).text.hasPrefix("2 ")) }
        async let underWay = client.send(request(peer.port, .http2))
        client.retireConnections(ofPool: "")
        #expect(try await underWay.status == 200)
        #expect(try await client.send(request(peer.port, .http2)).status == 200)
        #expect(await client.statistics().running == 0)
    }

    @Test("HTTP/2 only fails before the request where the server speaks HTTP/1.1", arguments: ["http/1.1", ""])
    func http2Refused(alpn: String) async throws {
        let peer = try await Peer("http_peer.py", authority.serverArguments + (alpn.isEmpty ? [] : ["--alpn", alpn]))
        let error = await failure(request(peer.port, .http2))
        #expect(error?.code == .protocolError && error?.surelyNotProcessed == true)
        // The peer counts: it has seen no request before this one.
        #expect(try await client.send(request(peer.port)).text.hasSuffix(" 1"))
        // A connection in use for HTTP/1.1 must not serve it either.
        #expect(await failure(request(peer.port, .http2))?.surelyNotProcessed == true)
    }

    @Test("a refused request is sent again")
    func refusedOnce() async throws {
        let peer = try await Peer("h2_peer.py", ["refuse-first", authority.certificate, authority.key])
        #expect(try await client.send(request(peer.port, .http2)).text == "1 2")
    }

    @Test("after GOAWAY what it leaves out goes on a new connection, and so does the next request")
    func goAway() async throws {
        let peer = try await Peer("h2_peer.py", ["goaway", authority.certificate, authority.key])
        #expect(try await client.send(request(peer.port, .http2)).text == "2 2")
        #expect(try await client.send(request(peer.port, .http2)).text == "2 3")
    }

    @Test("what HTTP/2 servers break is an error", arguments: ["refuse-all", "reset", "die"], ["GET", "POST"])
    func brokenStreams(mode: String, method: String) async throws {
        let peer = try await Peer("h2_peer.py", [mode, authority.certificate, authority.key])
        var request = request(peer.port, .http2)
        request.method = method
        let error = await failure(request)
        #expect(error?.code == .connectionLost)
        #expect(error?.surelyNotProcessed == (mode == "refuse-all"))
    }

    @Test(
        "all requests of a connection hear of its end, although the server keeps it open",
        arguments: ["babble", "answer-babble"])
    func babble(mode: String) async throws {
        let peer = try await Peer("h2_peer.py", [mode, authority.certificate, authority.key])
        var request = request(peer.port, .http2)
        // More than the test may last: nobody ends by the end of his time.
        request.timeout = .seconds(300)
        #expect(try await client.send(request).text == "1 1")
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<5 { group.addTask { [client, request] in try await client.send(request).text } }
            // They ask again on a new connection.
            var texts: [String] = []
            for try await text in group { texts.append(text) }
            #expect(texts.count { $0.isEmpty } == (mode == "babble" ? 0 : 1))
            #expect(!texts.contains { $0.hasPrefix("1 ") })
        }
    }
}
