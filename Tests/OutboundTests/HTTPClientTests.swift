import Base
import Outbound
import Testing

@Suite(.timeLimit(.minutes(1)))
struct HTTPClientTests {
    let client: HTTPClient

    init() throws { client = try HTTPClient() }

    private func failure(_ request: HTTPRequest, with client: HTTPClient? = nil) async -> HTTPTransportError? {
        do {
            let response = try await (client ?? self.client).send(request)
            Issue.record("answered with \(response.status)")
        } catch let error as HTTPTransportError {
            return error
        } catch {
            Issue.record("\(error)")
        }
        return nil
    }

    @Test("a request's method, headers and body arrive, and so does the answer")
    func roundTrip() async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("PUT", "http://127.0.0.1:\(peer.port)/echo", body: Array("hello".utf8))
        let response = try await client.send(request)
        #expect(response.status == 200)
        #expect(response.text == "hello")
        #expect(response.headers["x-method"] == "PUT")
        #expect(response.headers.fields.filter { $0.name == "X-Two" }.map(\.value) == ["a", "b"])

        request = HTTPRequest(
            "POST", "http://127.0.0.1:\(peer.port)/head", headers: ["X-Empty": "", "X-Mine": "1"],
            body: [UInt8](repeating: 65, count: 5000))
        let head = try await client.send(request).text
        #expect(head.contains("X-Empty:\r\n") && head.contains("X-Mine: 1\r\n"))
        #expect(head.contains("Content-Length: 5000"))
        for absent in ["Expect", "Accept-Encoding", "Content-Type", "Cookie", "Transfer-Encoding"] {
            #expect(!head.contains(absent), "\(absent) was sent")
        }
        let status = try await client.send(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/status?503"))
        #expect(status.status == 503 && status.text == "status" && status.headers["retry-after"] == "7")
        let head2 = try await client.send(HTTPRequest("HEAD", "http://127.0.0.1:\(peer.port)/echo"))
        #expect(head2.status == 200 && head2.body.isEmpty)
    }

    @Test(
        "however large a body is, nobody is asked whether it may come", arguments: ["POST", "PUT"],
        [0, 1 << 19, (1 << 19) + 1, (1 << 20) + 1, 3 << 20]) func neverAsks(method: String, size: Int) async throws
    {
        let peer = try await Peer("http_peer.py")
        let body = [UInt8](repeating: 65, count: size)
        let head = try await client.send(
            HTTPRequest(method, "http://127.0.0.1:\(peer.port)/head", body: body)
        ).text
        #expect(head.contains("Content-Length: \(size)"))
        #expect(!head.contains("Expect"))
    }

    @Test("connections are kept within a pool and not shared between pools")
    func pools() async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/connection")
        let first = try await client.send(request).text
        let second = try await client.send(request).text
        request.pool = "other"
        let third = try await client.send(request).text
        #expect([first, second, third] == ["1 1", "1 2", "2 3"])
        let statistics = await client.statistics()
        #expect(statistics.pools == 2 && statistics.openedConnections == 2 && statistics.completedRequests == 3)
    }

    @Test("200 parallel requests are all answered over a bounded number of connections")
    func parallel() async throws {
        let peer = try await Peer("http_peer.py")
        let answers = try await withThrowingTaskGroup(of: String.self) { group in
            for index in 0..<200 {
                group.addTask {
                    let url = "http://127.0.0.1:\(peer.port)/echo"
                    return try await client.send(HTTPRequest("POST", url, body: Array("\(index)".utf8))).text
                }
            }
            return try await group.reduce(into: Set<String>()) { $0.insert($1) }
        }
        #expect(answers == Set((0..<200).map(String.init)))
        let statistics = await client.statistics()
        #expect(statistics.openedConnections <= HTTPClient.Configuration().connectionsPerHost)
        #expect(statistics.running == 0)
    }

    @Test(
        "what cannot be sent is refused",
        arguments: [
            "file:///etc/passwd", "ftp://127.0.0.1/", "imap://127.0.0.1/", "127.0.0.1", "", "http://",
            "http://a:b@127.0.0.1/",
        ])
    func badURLs(url: String) async throws {
        let error = await failure(HTTPRequest("GET", url))
        #expect(error?.code == .invalidRequest)
        #expect(error?.surelyNotProcessed == true)
        var clear = HTTPRequest("GET", "http://127.0.0.1:1/")
        clear.version = .http2
        #expect(await failure(clear)?.code == .invalidRequest)
    }

    @Test("header injection is refused", arguments: [("X", "a\r\nEvil: 1"), ("X\n", "a"), ("", "a"), ("X Y", "a")])
    func badHeaders(name: String, value: String) async throws {
        var headers = HTTPFields()
        headers.append(name, value)
        let error = await failure(HTTPRequest("GET", "http://127.0.0.1:9/", headers: headers))
        #expect(error?.code == .invalidRequest)
        let method = await failure(HTTPRequest("GET / HTTP/1.1\r\nEvil: 1", "http://127.0.0.1:9/"))
        #expect(method?.code == .invalidRequest)
    }

    @Test("answers longer than the limit fail", arguments: ["/huge?1048576", "/declared?1048576", "/headers?60"])
    func sizeLimit(path: String) async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("GET", "http://127.0.0.1:\(peer.port)\(path)")
        request.responseLimit = 100_000
        let error = await failure(request)
        #expect(error?.code == .responseTooLarge)
        #expect(error?.surelyNotProcessed == false)
        request.url = "http://127.0.0.1:\(peer.port)/huge?65536"
        #expect(try await client.send(request).body.count == 65536)
    }

    @Test("redirects are handed back unless asked for, and stay with HTTP")
    func redirects() async throws {
        let peer = try await Peer("http_peer.py")
        let base = "http://127.0.0.1:\(peer.port)"
        var request = HTTPRequest("GET", "\(base)/redirect?\(base)/status?201")
        let answer = try await client.send(request)
        #expect(answer.status == 302 && answer.headers["location"] == "\(base)/status?201")
        request.redirectLimit = 1
        let followed = try await client.send(request)
        #expect(followed.status == 201 && followed.headers["location"] == nil && followed.text == "status")
        request.url = "\(base)/redirect?file:///etc/passwd"
        #expect(await failure(request) != nil)
        request.url = "\(base)/redirect?\(base)/redirect?\(base)/echo"
        #expect(await failure(request) != nil)
    }

    @Test(
        "failures say what happened and whether the server can have acted",
        arguments: [
            ("/garbage", HTTPTransportError.Code.protocolError), ("/reset", .connectionLost), ("/cut", .connectionLost),
            ("/hang", .timeout),
        ])
    func brokenAnswers(path: String, code: HTTPTransportError.Code) async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("POST", "http://127.0.0.1:\(peer.port)\(path)")
        request.timeout = path == "/hang" ? .seconds(3) : .seconds(30)
        let error = await failure(request)
        #expect(error?.code == code)
        #expect(error?.surelyNotProcessed == false)
    }

    @Test("a request that never reached a server surely was not processed")
    func unreachable() async throws {
        let refused = await failure(HTTPRequest("POST", "http://127.0.0.1:1/"))
        #expect(refused?.code == .connect && refused?.surelyNotProcessed == true)
        let unknown = await failure(HTTPRequest("POST", "http://name.invalid/"))
        #expect(unknown?.code == .nameResolution && unknown?.surelyNotProcessed == true)
        // A listener whose queue nobody serves: TLS never begins.
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("POST", "https://127.0.0.1:\(peer.port)/")
        request.timeout = .milliseconds(300)
        let plain = await failure(request)
        #expect(plain?.surelyNotProcessed == true)
    }

    @Test("a waiting request's time runs too")
    func queueTimeout() async throws {
        let peer = try await Peer("http_peer.py")
        var configuration = HTTPClient.Configuration()
        configuration.runningPerPool = 1
        configuration.waitingPerPool = 1
        let client = try HTTPClient(configuration)
        let url = "http://127.0.0.1:\(peer.port)"
        let first = Task { try await client.send(HTTPRequest("GET", "\(url)/hang")) }
        #expect(try await eventually { await client.statistics().running == 1 })
        var second = HTTPRequest("GET", "\(url)/echo")
        let waiting = Task { [second] in try await client.send(second) }
        #expect(try await eventually { await client.statistics().waiting == 1 })
        let refused = await failure(HTTPRequest("GET", "\(url)/echo"), with: client)
        #expect(refused?.code == .overloaded && refused?.surelyNotProcessed == true)
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(try await eventually { await client.statistics().waiting == 0 })
        second.timeout = .milliseconds(50)
        let error = await failure(second, with: client)
        #expect(error?.code == .timeout && error?.surelyNotProcessed == true)
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
    }

    @Test("cancelling ends a request at once, before it is handed over and in flight")
    func cancellation() async throws {
        let peer = try await Peer("http_peer.py")
        let url = "http://127.0.0.1:\(peer.port)/hang"
        let early = Task {
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            return try await client.send(HTTPRequest("GET", url))
        }
        await #expect(throws: CancellationError.self) { try await early.value }
        // Many cancels race with their orders; none may be left behind.
        for _ in 0..<200 {
            let task = Task { try await client.send(HTTPRequest("GET", url)) }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
        }
        let running = Task { try await client.send(HTTPRequest("GET", url)) }
        #expect(try await eventually { await client.statistics().running == 1 })
        running.cancel()
        await #expect(throws: CancellationError.self) { try await running.value }
        #expect(try await eventually { await client.statistics().running == 0 })
    }

    @Test(
        "private addresses are refused for public destinations",
        arguments: [
            "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "0.0.0.0", "2130706433", "[64:ff9b::7f00:1]",
            "10.0.0.1",
            "169.254.169.254", "[fd00::1]",
        ])
    func privateAddresses(host: String) async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("GET", "http://\(host):\(peer.port)/connection")
        request.destination = .publicExcept(hosts: [])
        request.timeout = .seconds(3)
        let error = await failure(request)
        #expect(error?.code == .addressRefused && error?.surelyNotProcessed == true)
    }

    @Test("an excepted host is reached, but no redirect leads from it to another private one")
    func exceptedHost() async throws {
        let peer = try await Peer("http_peer.py")
        var request = HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/connection")
        // An open connection of an unrestricted request must not serve a restricted one.
        _ = try await client.send(request)
        request.destination = .publicExcept(hosts: [])
        #expect(await failure(request)?.code == .addressRefused)
        request.destination = .publicExcept(hosts: ["127.0.0.1"])
        #expect(try await client.send(request).status == 200)
        request.url = "http://127.0.0.1:\(peer.port)/redirect?http://localhost:\(peer.port)/connection"
        request.redirectLimit = 3
        let error = await failure(request)
        #expect(error?.code == .addressRefused && error?.surelyNotProcessed == false)
    }

    @Test("shutting down refuses new requests and lets running ones finish")
    func gracefulShutdown() async throws {
        let peer = try await Peer("http_peer.py")
        let service = Task { try await client.run() }
        let slow = Task { try await client.send(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/gate")) }
        #expect(try await eventually { await client.statistics().running == 1 })
        client.beginShutdown()
        let error = await failure(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/echo"))
        #expect(error?.code == .stopped && error?.surelyNotProcessed == true)
        _ = try await HTTPClient().send(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/open"))
        #expect(try await slow.value.text == "opened")
        try await service.value
    }

    @Test("cancelling the service ends running requests")
    func hardShutdown() async throws {
        let peer = try await Peer("http_peer.py")
        let service = Task { try await client.run() }
        async let error = failure(HTTPRequest("GET", "http://127.0.0.1:\(peer.port)/hang"))
        #expect(try await eventually { await client.statistics().running == 1 })
        client.beginShutdown()
        service.cancel()
        #expect(await error?.code == .stopped)
        try await service.value
    }
}
