import Base
import Outbound
import Testing

@Suite(.timeLimit(.minutes(1)))
struct MailConnectionTests {
    let client: HTTPClient

    init() throws { client = try HTTPClient() }

    private func request(_ peer: Peer, user: String = "ann", password: String = "secret-pw") -> MailConnectionRequest {
        MailConnectionRequest(
            .imap, host: "localhost", port: peer.port, security: .none,
            login: .password(user: user, Secret(password)))
    }

    private func failure(_ request: MailConnectionRequest) async -> MailConnectionError? {
        await #expect(throws: MailConnectionError.self) { try await client.connectMail(request) }
    }

    private func echo(_ connection: MailConnection, _ text: String) async throws -> String {
        try await connection.send(Array("X \(text)\r\n".utf8))
        var received: [UInt8] = []
        while received.last != UInt8(ascii: "\n") {
            let chunk = try await connection.receive()
            if chunk.isEmpty { break }
            received += chunk
        }
        return String(decoding: received, as: UTF8.self).trimmingSpace
    }

    @Test("login and talk, whatever the protection", arguments: ["none", "starttls", "implicit", "split"])
    func talk(kind: String) async throws {
        let authority = try await TestAuthority()
        let arguments =
            switch kind {
            case "none": [String]()
            case "starttls": authority.serverArguments
            case "implicit": authority.serverArguments + ["--implicit"]
            default: ["--split"]
            }
        let peer = try await Peer("mail_peer.py", arguments)
        var request = request(peer)
        request.security = kind == "starttls" ? .startTLS : kind == "implicit" ? .implicitTLS : .none
        request.caFile = authority.ca
        let connection = try await client.connectMail(request)
        #expect(try await echo(connection, "hello") == "hello")
        #expect(await client.statistics().mailConnections == 1)
        // More than a TLS record and than a chunk: bytes that epoll does not see must come too.
        try await connection.send(Array("BIG 300000\r\n".utf8))
        var count = 0
        while count < 300_000 {
            let chunk = try await connection.receive()
            try #require(!chunk.isEmpty && chunk.count <= MailConnection.chunkLimit)
            count += chunk.count
        }
        #expect(count == 300_000)
        try await connection.send(Array("EAT 3000000\r\n".utf8) + [UInt8](repeating: 46, count: 3_000_000))
        #expect(try await echo(connection, "more").hasPrefix("eaten"))
        try await connection.send(Array("BYE\r\n".utf8))
        var rest = try await connection.receive()
        while !rest.isEmpty { rest = try await connection.receive() }
        #expect(try await connection.receive().isEmpty)
        connection.close()
        #expect(try await eventually { await client.statistics().mailConnections == 0 })
        await #expect(throws: MailConnectionError.self) { try await connection.receive() }
        await #expect(throws: MailConnectionError.self) { try await connection.send([1]) }
    }

    @Test("an OAuth token logs in, an expired one is refused")
    func bearer() async throws {
        let peer = try await Peer("mail_peer.py")
        var request = request(peer)
        request.login = .bearer(user: "ann", Secret("good"))
        let connection = try await client.connectMail(request)
        #expect(try await echo(connection, "hello") == "hello")
        request.login = .bearer(user: "ann", Secret("stale"))
        #expect(await failure(request)?.code == .loginRefused)
    }

    @Test(
        "a refused login says why and does not show the credential",
        arguments: [
            ("wrong", MailConnectionError.Code.loginRefused), ("code-EXPIRED", .loginRefused),
            ("code-UNAVAILABLE", .loginTemporary), ("code-LIMIT", .loginTemporary), ("code-INUSE", .loginTemporary),
            ("code-PRIVACYREQUIRED", .loginUnsupported), ("plain-no", .loginRefused), ("busy-words", .loginTemporary),
            ("drop-login", .connectionLost), ("bye-login", .loginTemporary), ("hang-login", .timeout),
        ])
    func refusedLogin(user: String, code: MailConnectionError.Code) async throws {
        let peer = try await Peer("mail_peer.py")
        var request = request(peer, user: user, password: user == "wrong" ? "wrong-pw" : "secret-pw")
        if user == "hang-login" { request.timeout = .milliseconds(300) }
        let error = try #require(await failure(request))
        #expect(error.code == code)
        #expect(!"\(error)".contains("secret-pw") && !"\(error)".contains("\u{7}"))
        if user.hasPrefix("code-") { #expect(error.serverText.contains("[\(user.dropFirst(5))] for *** refused")) }
        #expect(await client.statistics() == HTTPClient.Statistics())
    }

    @Test("POP3 logs in and is refused likewise")
    func pop3() async throws {
        let peer = try await Peer("mail_peer.py", ["--protocol", "pop3"])
        var good = request(peer)
        good.service = .pop3
        let connection = try await client.connectMail(good)
        #expect(try await echo(connection, "hello") == "hello")
        for (code, expected) in [("SYS/TEMP", MailConnectionError.Code.loginTemporary), ("AUTH", .loginRefused)] {
            good.login = .password(user: "code-\(code)", Secret("secret-pw"))
            #expect(await failure(good)?.code == expected)
        }
    }

    @Test("SMTP logs in and is refused likewise")
    func smtp() async throws {
        let peer = try await Peer("mail_peer.py", ["--protocol", "smtp"])
        var good = request(peer)
        good.service = .smtp
        let connection = try await client.connectMail(good)
        #expect(try await echo(connection, "hello") == "hello")
        for (code, expected) in [("LATER", MailConnectionError.Code.loginTemporary), ("X", .loginRefused)] {
            good.login = .password(user: "code-\(code)", Secret("secret-pw"))
            #expect(await failure(good)?.code == expected)
        }
    }

    @Test(
        "a server that does not greet as it should",
        arguments: [
            ("* BYE go away", MailConnectionError.Code.greetingRefused), ("hang", .timeout),
            ("garbage", .timeout),
        ])
    func greeting(text: String, code: MailConnectionError.Code) async throws {
        let peer = try await Peer("mail_peer.py", ["--greeting", text])
        var request = request(peer)
        request.timeout = code == .timeout ? .milliseconds(300) : .seconds(5)
        let error = await failure(request)
        #expect(error?.code == code)
        if text.hasPrefix("* BYE") { #expect(error?.serverText == "* BYE go away") }
    }

    @Test("STARTTLS is required when asked for, and the certificate is checked")
    func startTLSRequired() async throws {
        let authority = try await TestAuthority()
        let without = try await Peer("mail_peer.py", ["--no-starttls"])
        var request = request(without)
        request.security = .startTLS
        #expect(await failure(request)?.code == .tls)
        let with = try await Peer("mail_peer.py", authority.serverArguments)
        request.port = with.port
        #expect(await failure(request)?.code == .tls)
        request.caFile = authority.ca
        _ = try await client.connectMail(request)
    }

    @Test("unusable requests and unreachable servers are told apart")
    func unreachable() async throws {
        let peer = try await Peer("mail_peer.py")
        var request = request(peer)
        request.destination = .publicExcept(hosts: [])
        #expect(await failure(request)?.code == .addressRefused)
        request.destination = .any
        request.port = 1
        #expect(await failure(request)?.code == .connect)
        request.host = "name.invalid"
        #expect(await failure(request)?.code == .nameResolution)
        for host in ["", "a/b", "user@host", "a b", "a\r\nb"] {
            request.host = host
            #expect(await failure(request)?.code == .invalidRequest)
        }
        request.host = "localhost"
        for password in ["", "a\0b", "a\r\nA2 LOGOUT"] {
            request.login = .password(user: "ann", Secret(password))
            #expect(await failure(request)?.code == .invalidRequest)
        }
    }

    @Test("300 connections log in and echo at once over one thread")
    func many() async throws {
        let peer = try await Peer("mail_peer.py")
        let connections = try await withThrowingTaskGroup(of: MailConnection.self) { group in
            for _ in 0..<300 { group.addTask { try await client.connectMail(request(peer)) } }
            return try await group.reduce(into: [MailConnection]()) { $0.append($1) }
        }
        #expect(await client.statistics().mailConnections == 300)
        for round in 0..<3 {
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for (index, connection) in connections.enumerated() {
                    group.addTask { try await echo(connection, "\(round) \(index)") == "\(round) \(index)" }
                }
                for try await isRight in group { #expect(isRight) }
            }
        }
        withExtendedLifetime(connections) {}
    }

    @Test("losing the last reference closes the connection")
    func dropped() async throws {
        let peer = try await Peer("mail_peer.py")
        var connection: MailConnection? = try await client.connectMail(request(peer))
        #expect(await client.statistics().mailConnections == 1)
        connection = nil
        #expect(connection == nil)
        #expect(try await eventually { await client.statistics().mailConnections == 0 })
    }

    @Test("a cancelled receive loses nothing, a second one is refused")
    func cancelledReceive() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await client.connectMail(request(peer))
        for index in 0..<50 {
            let waiting = Task { try await connection.receive() }
            try await connection.send(Array("X \(index)\r\n".utf8))
            waiting.cancel()
            var text = ""
            if let bytes = try? await waiting.value { text = String(decoding: bytes, as: UTF8.self) }
            while !text.hasSuffix("\r\n") { text += String(decoding: try await connection.receive(), as: UTF8.self) }
            #expect(text == "\(index)\r\n")
        }
        let first = Task { try await connection.receive() }
        let second = Task { try await connection.receive() }
        // Whichever came second is refused at once; the other waits until the end.
        #expect(try await eventually { await client.statistics().mailConnections == 1 })
        connection.close()
        let codes = await [first.result, second.result].map { result -> MailConnectionError.Code? in
            if case .failure(let error as MailConnectionError) = result { error.code } else { nil }
        }
        #expect(codes.contains(.closed))
    }

    @Test("a peer that does not read holds up the sender only; cancelling ends it")
    func blockedSend() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await client.connectMail(request(peer))
        let other = try await client.connectMail(request(peer))
        try await connection.send(Array("DEAF\r\n".utf8))
        let blocked = Task { try await connection.send([UInt8](repeating: 46, count: 30_000_000)) }
        #expect(try await echo(other, "still here") == "still here")
        blocked.cancel()
        await #expect(throws: CancellationError.self) { try await blocked.value }
        #expect(try await eventually { await client.statistics().mailConnections <= 2 })
    }

    @Test("cancelling a login ends it, waiting or begun")
    func cancelledLogin() async throws {
        let peer = try await Peer("mail_peer.py", ["--greeting", "hang"])
        var configuration = HTTPClient.Configuration()
        configuration.mailLogins = 2
        let client = try HTTPClient(configuration)
        let tasks = (0..<5).map { _ in Task { try await client.connectMail(request(peer)) } }
        #expect(try await eventually { await client.statistics().mailLogins == 5 })
        for task in tasks.reversed() { task.cancel() }
        for task in tasks { await #expect(throws: CancellationError.self) { try await task.value } }
        #expect(try await eventually { await client.statistics().mailLogins == 0 })
    }

    @Test("shutting down refuses new connections and ends the open ones")
    func shutdown() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await client.connectMail(request(peer))
        let waiting = Task { try await connection.receive() }
        let service = Task { try await client.run() }
        client.beginShutdown()
        #expect(await failure(request(peer))?.code == .stopped)
        try await service.value
        await #expect(throws: MailConnectionError.self) { try await waiting.value }
        await #expect(throws: MailConnectionError.self) { try await connection.send([1]) }
    }

    @Test("the number of connections is bounded")
    func limit() async throws {
        let peer = try await Peer("mail_peer.py")
        var configuration = HTTPClient.Configuration()
        configuration.mailConnections = 2
        let client = try HTTPClient(configuration)
        let first = try await client.connectMail(request(peer))
        let second = try await client.connectMail(request(peer))
        let error = await #expect(throws: MailConnectionError.self) { try await client.connectMail(request(peer)) }
        #expect(error?.code == .overloaded)
        withExtendedLifetime((first, second)) {}
    }
}
