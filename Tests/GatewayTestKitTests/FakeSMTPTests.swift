import Base
import GatewayTestKit
import Testing

/// The fake is only worth something if it refuses what a strict server would.
@Suite(.timeLimit(.minutes(1))) struct FakeSMTPTests {
    private static let talking = WorkThread(name: "test-smtp")

    /// Sends each text after the answer to the one before, and returns the last line of every answer. One that is
    /// empty comes from a server that has closed.
    private static func talk(_ server: FakeSMTPServer, _ texts: [String]) async throws -> [String] {
        let port = server.port
        return try await talking.run {
            let socket = try LoopbackSocket(port: port)
            var answers = [try answer(socket)]
            for text in texts {
                try socket.send(Array(text.utf8))
                answers.append(try answer(socket))
            }
            return answers
        }
    }

    private static func answer(_ socket: LoopbackSocket) throws -> String {
        var text = ""
        while true {
            let bytes = try socket.receive()
            text += String(decoding: bytes, as: UTF8.self)
            let last = text.split(separator: "\r\n").last ?? ""
            if bytes.isEmpty || (text.hasSuffix("\r\n") && last.dropFirst(3).first == " ") { return String(last) }
        }
    }

    private static func server(users: [String: String] = [:], sizeLimit: Int = 1 << 20) throws -> FakeSMTPServer {
        var options = FakeSMTPServer.Configuration(users: users)
        (options.security, options.sizeLimit) = (.none, sizeLimit)
        return try FakeSMTPServer(options)
    }

    private static let envelope = [
        "EHLO me\r\n", "MAIL FROM:<a@b.example>\r\n", "RCPT TO:<c@d.example>\r\n", "DATA\r\n",
    ]

    @Test("a message comes in as it was meant, without the dots of the protocol")
    func message() async throws {
        let server = try Self.server()
        defer { server.stop() }
        let answers = try await Self.talk(
            server, Self.envelope + ["Subject: x\r\n\r\n..\r\n...b\r\n.\r\n", "QUIT\r\n"])
        #expect(answers.map { $0.prefix(3) } == ["220", "250", "250", "250", "354", "250", "221"])
        let taken = try #require(server.messages.last)
        #expect(String(decoding: taken.content, as: UTF8.self) == "Subject: x\r\n\r\n.\r\n..b\r\n")
        #expect(taken.sender == "a@b.example" && taken.recipient == "c@d.example" && taken.client == "me")
        #expect(taken.header("subject") == "x" && server.violations.count == 0)
    }

    @Test(
        "what breaks the protocol is refused and noted",
        arguments: [
            ["EHLO me\n"], ["EHLO me\r\r\n"], ["EHLO\r\n"], ["EHLO me\r\nNOOP\r\n"],
            ["EHLO \(String(repeating: "x", count: 600))\r\n"],
            ["EHLO me\r\n", "MAIL FROM: a@b.example\r\n"], envelope + ["a\n.\r\n"], envelope + ["\u{E4}\r\n.\r\n"],
            envelope + [String(repeating: "x", count: 1000) + "\r\n"],
        ])
    func violations(texts: [String]) async throws {
        let server = try Self.server()
        defer { server.stop() }
        let answers = try await Self.talk(server, texts)
        #expect(answers.last?.hasPrefix("554 5.5.0") == true, "\(answers)")
        #expect(server.violations.count == 1 && server.messages.count == 0)
    }

    @Test(
        "commands out of order, and messages that are too large, are refused",
        arguments: [
            (["MAIL FROM:<a@b.example>\r\n"], "503"), (["EHLO me\r\n", "RCPT TO:<a@b.example>\r\n"], "503"),
            (["EHLO me\r\n", "DATA\r\n"], "503"), (["EHLO me\r\n", "STARTTLS\r\n"], "503"),
            (["EHLO me\r\n", "AUTH CRAM-MD5\r\n"], "504"), (["HELP\r\n"], "500"),
            (envelope + [String(repeating: "x", count: 900) + "\r\n.\r\n"], "552"),
        ])
    func order(texts: [String], status: String) async throws {
        let server = try Self.server(sizeLimit: 500)
        defer { server.stop() }
        #expect(try await Self.talk(server, texts).last?.prefix(3) == status[...])
        #expect(server.messages.count == 0)
    }

    @Test("nobody sends without the login that is asked for")
    func login() async throws {
        let server = try Self.server(users: ["u": "p"])
        defer { server.stop() }
        let plain = Array("\0u\0p".utf8).base64
        let wrong = Array("\0u\0q".utf8).base64
        let answers = try await Self.talk(
            server,
            [
                "EHLO me\r\n", "MAIL FROM:<a@b.example>\r\n", "AUTH PLAIN \(wrong)\r\n", "AUTH PLAIN\r\n",
                "\(plain)\r\n",
                "MAIL FROM:<a@b.example>\r\n",
            ])
        #expect(answers.map { $0.prefix(3) } == ["220", "250", "530", "535", "334", "235", "250"])
    }
}
