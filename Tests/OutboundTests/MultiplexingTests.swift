import Base
import FoundationEssentials
import Outbound
import Testing

/// Against Debian's nghttpd (package nghttp2-server), which is nobody's of ours.
@Suite(.timeLimit(.minutes(1)), .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/nghttpd")))
struct MultiplexingTests {
    let authority: TestAuthority

    init() async throws { authority = try await TestAuthority() }

    func start(_ streams: Int) async throws -> (PeerProcess, Int) {
        try "hello".write(toFile: authority.folder + "/index.html", atomically: true, encoding: .utf8)
        let process = try await PeerProcess(
            [
                "nghttpd", "-a", "127.0.0.1", "-m", "\(streams)", "-d", authority.folder, "0", authority.key,
                authority.certificate,
            ])
        // nghttpd does not say which port it got. A port chosen for it could be taken by another test before it
        // is started.
        var port: Int?
        try #require(
            try await eventually(.seconds(30)) {
                port = process.listeningPort()
                return port != nil
            }, "nghttpd does not listen")
        return (process, try #require(port))
    }

    func request(_ port: Int) -> HTTPRequest {
        var request = HTTPRequest("GET", "https://localhost:\(port)/index.html")
        request.version = .http2
        request.caFile = authority.ca
        return request
    }

    private func sendMany(_ client: HTTPClient, _ request: HTTPRequest, count: Int) async throws {
        try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<count { group.addTask { try await client.send(request).text } }
            for try await text in group { #expect(text == "hello") }
        }
    }

    @Test("1,000 requests at once share one HTTP/2 connection")
    func thousand() async throws {
        let (process, port) = try await start(1000)
        let client = try HTTPClient()
        try await sendMany(client, request(port), count: 1000)
        try await sendMany(client, request(port), count: 1000)
        #expect(await client.statistics().openedConnections == 1)
        _ = process
    }

    @Test("requests beyond the server's streams and our connections wait for their turn")
    func beyondStreams() async throws {
        let (process, port) = try await start(20)
        var configuration = HTTPClient.Configuration()
        configuration.connectionsPerHost = 2
        let client = try HTTPClient(configuration)
        try await sendMany(client, request(port), count: 500)
        #expect(await client.statistics().openedConnections == 2)
        _ = process
    }

    @Test("a server that counts resets, as nghttp2 does, keeps the connection: answers without a body leave none")
    func noResets() async throws {
        let (process, port) = try await start(1000)
        let client = try HTTPClient()
        var request = request(port)
        request.method = "HEAD"
        // nghttp2 ends a connection after 1,000 resets at once and 33 a second.
        for _ in 0..<4 {
            try await withThrowingTaskGroup(of: Int.self) { [request] group in
                for _ in 0..<500 { group.addTask { try await client.send(request).status } }
                for try await status in group { #expect(status == 200) }
            }
        }
        #expect(await client.statistics().openedConnections == 1)
        _ = process
    }

    @Test("cancelling one stream leaves the others of its connection alone")
    func cancelOne() async throws {
        let (process, port) = try await start(1000)
        let client = try HTTPClient()
        let request = request(port)
        for _ in 0..<20 {
            let doomed = Task { try await client.send(request) }
            async let others: Void = sendMany(client, request, count: 20)
            doomed.cancel()
            _ = await doomed.result
            try await others
        }
        #expect(await client.statistics().running == 0)
        _ = process
    }
}
