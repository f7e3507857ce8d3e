import Base
import FoundationEssentials
import Glibc
import Outbound
import Testing

/// Against Debian's nghttpd (package nghttp2-server), which is nobody's of ours.
@Suite(.timeLimit(.minutes(1)), .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/nghttpd")))
struct MultiplexingTests {
    let authority: TestAuthority

    init() async throws { authority = try await TestAuthority() }

    /// A port that was free a moment ago: nghttpd cannot choose one and tell.
    private func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, length) + getsockname(descriptor, pointer, &length)
            }
        }
        try #require(status == 0)
        return Int(UInt16(bigEndian: address.sin_port))
    }

    func start(_ streams: Int) async throws -> (PeerProcess, Int) {
        try "hello".write(toFile: authority.folder + "/index.html", atomically: true, encoding: .utf8)
        let port = try freePort()
        let process = try await PeerProcess(
            [
                "nghttpd", "-a", "127.0.0.1", "-m", "\(streams)", "-d", authority.folder, "\(port)", authority.key,
                authority.certificate,
            ])
        let probe = try HTTPClient()
        let isUp = try await eventually {
            (try? await probe.send(request(port)))?.status == 200
        }
        try #require(isUp)
        return (process, port)
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
