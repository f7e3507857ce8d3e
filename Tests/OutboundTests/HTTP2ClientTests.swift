import Base
import GatewayTestKit
import Outbound
import Testing

/// Requests that share HTTP/2 connections, at a strict peer that counts.
@Suite(.timeLimit(.minutes(1))) struct HTTP2ClientTests {
    private let authority: TestCertificateAuthority
    private let client: HTTPClient

    init() throws {
        authority = try TestCertificateAuthority()
        client = try HTTPClient()
    }

    /// A peer that does with each request what the script says, and else answers with its body.
    private func peer(
        _ script: Locked<[PeerReply]> = Locked([]), _ change: (inout HTTPPeer.Options) -> Void = { _ in },
        answer: @escaping @Sendable (PeerRequest) -> PeerReply = { .answer(200, body: $0.body) }
    ) throws -> HTTPPeer {
        var options = HTTPPeer.Options()
        change(&options)
        return try HTTPPeer(name: "http2", identity: authority.localhost, options: options) { request in
            script.withLock { $0.isEmpty ? nil : $0.removeFirst() } ?? answer(request)
        }
    }

    private func answering(_ answer: @escaping @Sendable (PeerRequest) -> PeerReply) throws -> HTTPPeer {
        try peer(answer: answer)
    }

    private func request(_ peer: HTTPPeer, _ text: String = "", method: String = "POST") -> HTTPRequest {
        var request = HTTPRequest(method, "https://localhost:\(peer.port)/x?y=1", body: Array(text.utf8))
        (request.caFile, request.version) = (authority.caFile, .http2)
        return request
    }

    private func failure(_ request: HTTPRequest) async -> HTTPTransportError? {
        await #expect(throws: HTTPTransportError.self) { try await client.send(request) }
    }

    @Test("a request arrives as it was, with what HTTP/2 wants, and its answer comes back")
    func wholeExchange() async throws {
        let seen = Recorder<PeerRequest>()
        let peer = try answering { request in
            seen.append(request)
            return .answer(203, headers: ["X-Answer": "one", "Retry-After": "7"], body: Array("there".utf8))
        }
        var request = request(peer, "here")
        request.headers = ["X-Own": " padded ", "Host": "elsewhere", "Connection": "close", "Content-Length": "99"]
        let response = try await client.send(request)
        #expect(response.status == 203 && response.text == "there")
        #expect(response.headers["x-answer"] == "one" && response.headers["retry-after"] == "7")
        let arrived = try #require(seen.last)
        #expect(arrived.method == "POST" && arrived.path == "/x?y=1" && arrived.stream > 0)
        #expect(arrived.body == Array("here".utf8))
        let expected: HTTPFields = [
            "host": "localhost:\(peer.port)", "x-own": "padded", "user-agent": "Farbell", "accept": "*/*",
            "content-length": "4",
        ]
        #expect(arrived.headers == expected)
    }

    @Test("what has no body says so where it may have one", arguments: ["GET", "HEAD", "POST", "PUT", "DELETE"])
    func withoutBody(method: String) async throws {
        let peer = try answering { .answer(200, headers: ["X-Length": $0.headers["content-length"] ?? "none"]) }
        let response = try await client.send(request(peer, method: method))
        #expect(response.status == 200 && response.body.isEmpty)
        #expect(response.headers["x-length"] == (method == "POST" || method == "PUT" ? "0" : "none"))
    }

    @Test("bodies longer than any window go both ways, many at a time")
    func largeBodies() async throws {
        let peer = try peer { $0.bodyLimit = 4 << 20 }
        var request = request(peer)
        request.body = (0..<3 << 20).map { UInt8(truncatingIfNeeded: $0 >> 8 ^ $0) }
        request.responseLimit = 3 << 20
        try await withThrowingTaskGroup(of: Bool.self) { [client, request] group in
            for _ in 0..<4 { group.addTask { try await client.send(request).body == request.body } }
            for try await isSame in group { #expect(isSame) }
        }
        #expect(peer.counts.connections == 1)
    }

    @Test("an answer that is too long ends its request alone")
    func tooLong() async throws {
        let peer = try peer()
        var long = request(peer, String(repeating: "x", count: 5000))
        long.responseLimit = 4999
        let error = await failure(long)
        #expect(error?.code == .responseTooLarge && error?.surelyNotProcessed == false)
        long.responseLimit = 5000
        #expect(try await client.send(long).body.count == 5000)
        #expect(peer.counts.connections == 1)
    }

    @Test("a header that grows beyond all bounds when it is unpacked ends its request alone")
    func bomb() async throws {
        let identity = authority.localhost
        let peer = try await Peer("h2_peer.py", ["bomb", identity.certificateFile, identity.keyFile])
        var request = HTTPRequest("POST", "https://localhost:\(peer.port)/")
        (request.caFile, request.version) = (authority.caFile, .http2)
        let error = await failure(request)
        #expect(error?.code == .responseTooLarge && error?.surelyNotProcessed == false)
        #expect(try await client.send(request).text == "1 2")
    }

    @Test("one that is never answered ends with its time, and the others of its connection go on")
    func timeout() async throws {
        let peer = try peer(Locked([.answer(200), PeerReply(.hang)]))
        _ = try await client.send(request(peer))
        var hanging = request(peer)
        hanging.timeout = .seconds(3)
        let error = await failure(hanging)
        #expect(error?.code == .timeout && error?.surelyNotProcessed == false)
        #expect(try await client.send(request(peer, "next")).text == "next")
        #expect(peer.counts.connections == 1 && peer.counts.resets == 1)
        #expect(await client.statistics().running == 0)
    }

    @Test(
        "a server that says nothing any more, not even to PING, has lost its connection; one that only thinks has not")
    func heartbeat() async throws {
        let identity = authority.localhost
        let dead = try await Peer("h2_peer.py", ["mute", identity.certificateFile, identity.keyFile])
        var configuration = HTTPClient.Configuration()
        (configuration.pingAfter, configuration.pingPatience) = (.milliseconds(100), .milliseconds(400))
        let client = try HTTPClient(configuration)
        var request = HTTPRequest("POST", "https://localhost:\(dead.port)/")
        (request.caFile, request.version) = (authority.caFile, .http2)
        let error = await #expect(throws: HTTPTransportError.self) { try await client.send(request) }
        #expect(error?.code == .connectionLost && error?.surelyNotProcessed == false)
        #expect(try await client.send(request).text == "2 2")
        var thinking = PeerReply.answer(200)
        thinking.delay = .seconds(2)
        let living = try peer(Locked([thinking]))
        #expect(try await client.send(self.request(living)).status == 200)
        #expect(living.counts.connections == 1)
    }

    @Test("a refused request is sent again on the same connection, one above GOAWAY's last on another; each acts once")
    func surelyNotProcessed() async throws {
        var leaving = PeerReply.answer(500)
        leaving.goAwayAfter = 0
        let peer = try peer(Locked([PeerReply(.refuse), leaving]))
        #expect(try await client.send(request(peer, "a")).text == "a")
        #expect(peer.counts.connections == 2 && peer.counts.requests == 3)
        let refusing = try answering { _ in PeerReply(.refuse) }
        let error = await failure(request(refusing))
        #expect(error?.code == .connectionLost && error?.surelyNotProcessed == true)
        #expect(refusing.counts.requests == 6)
    }

    @Test("what is under way when GOAWAY comes is answered there, and what follows goes elsewhere")
    func goAway() async throws {
        var leaving = PeerReply.answer(200, body: Array("last".utf8))
        leaving.goAwayAfter = 1
        let peer = try peer(Locked([.answer(200), leaving]))
        _ = try await client.send(request(peer))
        #expect(try await client.send(request(peer)).text == "last")
        for number in 0..<3 { #expect(try await client.send(request(peer, "\(number)")).text == "\(number)") }
        #expect(peer.counts.connections == 2 && peer.counts.requests == 5)
    }

    @Test(
        "a request whose connection or stream broke is not sent again unless it asks for nothing but an answer",
        arguments: [PeerReply.Action.drop, .reset, .rawBytes(Array("SSH-2.0-surprise\r\n\r\n".utf8))])
    func broken(action: PeerReply.Action) async throws {
        let peer = try peer(Locked([PeerReply(action)]))
        let error = await failure(request(peer))
        #expect(error?.code == .connectionLost && error?.surelyNotProcessed == false)
        #expect(peer.counts.requests == 1)
        let other = try self.peer(Locked([PeerReply(action)]))
        #expect(try await client.send(request(other, method: "GET")).status == 200)
        #expect(other.counts.requests == 2)
    }

    @Test("all that are on a connection hear of its end; those that wait get another")
    func allHear() async throws {
        let script = Locked([PeerReply.answer(200)] + Array(repeating: PeerReply(.hang), count: 4) + [PeerReply(.drop)])
        let peer = try peer(script) { $0.streamLimit = 5 }
        var configuration = HTTPClient.Configuration()
        configuration.connectionsPerHost = 1
        let client = try HTTPClient(configuration)
        _ = try await client.send(request(peer))
        let request = request(peer, "x")
        let outcomes = await withTaskGroup(of: HTTPTransportError.Code?.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do {
                        _ = try await client.send(request)
                        return nil
                    } catch {
                        return (error as? HTTPTransportError)?.code
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0 == .connectionLost } == 5 && outcomes.count { $0 == nil } == 3)
        #expect(peer.counts.connections == 2)
    }

    @Test("no more requests are on a connection than the server allows, which may change", arguments: [1, 7, 100])
    func streamLimit(limit: Int) async throws {
        var narrowing = PeerReply.answer(200)
        narrowing.streamLimit = 1
        let peer = try peer(Locked(Array(repeating: .answer(200), count: 50) + [narrowing])) { $0.streamLimit = limit }
        try await withThrowingTaskGroup(of: Int.self) { [client, request = request(peer)] group in
            for _ in 0..<200 { group.addTask { try await client.send(request).status } }
            for try await status in group { #expect(status == 200) }
        }
        // What was on its way when the limit fell is refused, and sent again.
        #expect(peer.counts.refusedForLimit < limit)
        #expect(peer.counts.connections <= HTTPClient.Configuration().connectionsPerHost)
    }

    @Test("a new connection carries one of those that prove it until its first good answer")
    func proof() async throws {
        let peer = try peer {
            $0.streamLimit = 1
        } answer: { _ in
            var reply = PeerReply.answer(200)
            (reply.provenStreamLimit, reply.delay) = (50, .milliseconds(20))
            return reply
        }
        var request = request(peer)
        request.provesConnections = true
        try await withThrowingTaskGroup(of: Int.self) { [client, request] group in
            for _ in 0..<40 { group.addTask { try await client.send(request).status } }
            for try await status in group { #expect(status == 200) }
        }
        #expect(peer.counts.connections == 1 && peer.counts.refusedForLimit == 0)
    }

    @Test("answers without a body leave nothing behind: a server that counts resets keeps the connection")
    func noResets() async throws {
        let peer = try peer {
            $0.resetLimit = (10, 1)
        } answer: { _ in
            .answer(200)
        }
        for _ in 0..<100 { #expect(try await client.send(request(peer, "x")).status == 200) }
        #expect(peer.counts.resets == 0 && peer.counts.connections == 1)
    }

    @Test("a server that answers before it was asked to the end has answered")
    func earlyAnswer() async throws {
        let identity = authority.localhost
        let early = try await Peer("h2_peer.py", ["early", identity.certificateFile, identity.keyFile])
        var request = HTTPRequest(
            "POST", "https://localhost:\(early.port)/", body: [UInt8](repeating: 1, count: 1 << 20))
        (request.caFile, request.version) = (authority.caFile, .http2)
        for _ in 0..<2 { #expect(try await client.send(request).status == 400) }
        #expect(await client.statistics().openedConnections == 1)
    }

    @Test("cancelling takes a request off its connection, whether it waits or is under way")
    func cancel() async throws {
        let peer = try peer(Locked([PeerReply(.hang)]))
        let doomed = Task { [client, request = request(peer)] in try await client.send(request) }
        try await Eventually.wait("the request to arrive") { peer.counts.requests == 1 }
        doomed.cancel()
        await #expect(throws: CancellationError.self) { try await doomed.value }
        try await Eventually.wait("the reset") { peer.counts.resets == 1 }
        #expect(try await client.send(request(peer, "next")).text == "next")
        #expect(peer.counts.connections == 1)
        #expect(await client.statistics().running == 0)
    }

    @Test("a server without HTTP/2 is asked once for it, by all pools together")
    func plainServer() async throws {
        let peer = try peer { $0.protocols = ["http/1.1"] }
        var request = request(peer, "x")
        request.version = .automatic
        for pool in ["a", "b", "a"] {
            request.pool = pool
            #expect(try await client.send(request).text == "x")
        }
        // One that asked, and one of each pool.
        #expect(peer.counts.connections == 3 && peer.counts.requests == 3)
        request.version = .http2
        let error = await failure(request)
        #expect(error?.code == .protocolError && error?.surelyNotProcessed == true)
    }

    @Test(
        "what HTTP/2 may not carry is refused before anything is sent",
        arguments: [("a b", "x"), ("", "x"), ("a", "x\ny"), ("a", "x\u{0}"), ("ä", "x")])
    func badFields(name: String, value: String) async throws {
        let peer = try peer()
        var request = request(peer)
        request.headers.append(name, value)
        let error = await failure(request)
        #expect(error?.code == .invalidRequest && error?.surelyNotProcessed == true)
        request.headers = [:]
        request.method = "PO ST"
        #expect(await failure(request)?.code == .invalidRequest)
        #expect(peer.counts.requests == 0)
    }

    @Test("a place is where its connections go: another address, other roots, another certificate are others")
    func connectTo() async throws {
        let peer = try peer()
        var request = request(peer, "x")
        request.url = "https://localhost:9/x"
        request.connectTo = "127.0.0.1:\(peer.port)"
        #expect(try await client.send(request).text == "x")
        request.connectTo = nil
        #expect(await failure(request)?.code == .connect)
        request.connectTo = "127.0.0.1:\(peer.port)"
        request.caFile = nil
        #expect(await failure(request)?.code == .tls)
        request.destination = .publicExcept(hosts: [])
        #expect(await failure(request)?.code == .addressRefused)
    }

    @Test("HTTP/2 goes through a proxy's tunnel; what may only go to public places does not")
    func proxy() async throws {
        let folder = try TemporaryFolder()
        let proxy = try await Peer("connect_proxy.py", [folder.file("seen")])
        var configuration = HTTPClient.Configuration()
        configuration.proxy = "http://127.0.0.1:\(proxy.port)"
        let client = try HTTPClient(configuration)
        let peer = try peer()
        for number in 0..<3 { #expect(try await client.send(request(peer, "\(number)")).text == "\(number)") }
        var direct = request(peer, "x")
        direct.destination = .publicExcept(hosts: ["localhost"])
        #expect(try await client.send(direct).text == "x")
        let seen = FileSystem.contents(of: folder.file("seen"), limit: 4096).map { String(decoding: $0, as: UTF8.self) }
        #expect(seen == "localhost:\(peer.port)\n")
        #expect(peer.counts.connections == 2)
    }

    @Test("the end of the client is told to all, and who has surely not been heard")
    func stop() async throws {
        let peer = try answering { _ in PeerReply(.hang) }
        let client = try HTTPClient()
        let running = Task { try await client.run() }
        let hanging = Task { [request = request(peer)] in try await client.send(request) }
        try await Eventually.wait("the request to arrive") { peer.counts.requests == 1 }
        running.cancel()
        let error = await #expect(throws: HTTPTransportError.self) { try await hanging.value }
        #expect(error?.code == .stopped && error?.surelyNotProcessed == false)
        _ = await running.result
    }
}
