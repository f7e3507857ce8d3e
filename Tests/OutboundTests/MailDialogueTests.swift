import Base
import GatewayTestKit
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(1))) struct MailDialogueTests {
    private static func submission(
        _ message: String = "Subject: x\r\n\r\nhello\r\n", sender: String = "a@b.example",
        recipient: String = "c@d.example"
    ) -> MailSubmission {
        let server = MailConnectionRequest(.smtp, host: "localhost", port: 25, security: .none, login: .none)
        return MailSubmission(server: server, sender: sender, recipient: recipient, message: Array(message.utf8))
    }

    private static func text(_ action: MailDialogue.Action?) -> String? {
        guard case .send(let bytes) = action else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("four commands, one after the other, whatever pieces the answers come in", arguments: [1, 2, 7, 1000])
    func walk(piece: Int) throws {
        var dialogue = try MailDialogue(Self.submission())
        #expect(String(decoding: dialogue.begin(), as: UTF8.self) == "MAIL FROM:<a@b.example>\r\n")
        func answer(_ text: String) throws -> MailDialogue.Action? {
            var bytes = Array(text.utf8)[...]
            var action: MailDialogue.Action?
            while !bytes.isEmpty {
                #expect(action == nil)
                action = try dialogue.received(Array(bytes.prefix(piece)))
                bytes = bytes.dropFirst(piece)
            }
            return action
        }
        #expect(try Self.text(answer("250 2.1.0 ok\r\n")) == "RCPT TO:<c@d.example>\r\n")
        #expect(try Self.text(answer("250-2.1.5 two\r\n250 2.1.5 lines\r\n")) == "DATA\r\n")
        #expect(try Self.text(answer("354 go\r\n")) == "Subject: x\r\n\r\nhello\r\n.\r\n")
        #expect(
            try answer("250 2.0.0 queued\r\n")
                == .finish(.accepted(MailReply(status: 250, enhanced: "2.0.0", text: "2.0.0 queued"))))
    }

    @Test("dots at the beginning of lines are doubled, and no others")
    func dots() throws {
        let bytes = try MailDialogue.transparent(Array(".a\r\n..\r\nb.\r\n.\r\n\r\n.c\r\n".utf8))
        #expect(String(decoding: bytes, as: UTF8.self) == "..a\r\n...\r\nb.\r\n..\r\n\r\n..c\r\n.\r\n")
    }

    @Test(
        "a message that could break the dialogue is refused",
        arguments: [
            "a\nb\r\n", "a\r\n.\n\r\n", "a\rb\r\n", "a", "\r", "ä\r\n", "a\0\r\n",
            String(repeating: "x", count: 999) + "\r\n",
        ])
    func unclean(message: String) {
        #expect(throws: MailConnectionError.self) { try MailDialogue(Self.submission(message)) }
    }

    @Test("998 bytes are a line")
    func longLine() throws {
        let line = String(repeating: "x", count: 998) + "\r\n"
        #expect(try MailDialogue.transparent(Array(line.utf8)).count == 1003)
    }

    @Test("addresses that could be commands are refused", arguments: ["", "a b@c", "a@b>\r\nDATA", "<a@b>", "ä@b"])
    func addresses(address: String) {
        #expect(throws: MailConnectionError.self) { try MailDialogue(Self.submission(sender: address)) }
        #expect(throws: MailConnectionError.self) { try MailDialogue(Self.submission(recipient: address)) }
    }

    @Test(
        "what is no SMTP ends the dialogue",
        arguments: [
            "hello\r\n", "250-a\r\n251 b\r\n", "25\r\n", "999 x\r\n", "250x\r\n", "HTTP/1.1 400 Bad Request\r\n",
            String(repeating: "x", count: 3000), String(repeating: "250-a\r\n", count: 200),
        ])
    func garbage(answer: String) throws {
        var dialogue = try MailDialogue(Self.submission())
        _ = dialogue.begin()
        #expect(throws: MailConnectionError.self) { try dialogue.received(Array(answer.utf8)) }
    }

    @Test("a server's words are bounded and without controls; the enhanced code is read where there is one")
    func words() throws {
        for (answer, enhanced) in [
            ("550 5.1.1 gone", "5.1.1"), ("550 5.1.1", "5.1.1"), ("550 5.1 gone", nil), ("550 no", nil), ("550", nil),
            ("550-5.7.26 a\r\n550 5.7.1 b", "5.7.26"),
        ] {
            var dialogue = try MailDialogue(Self.submission())
            _ = dialogue.begin()
            guard case .finish(.refused(.sender, let reply)) = try dialogue.received(Array("\(answer)\r\n".utf8)) else {
                Issue.record("no refusal for \(answer)")
                continue
            }
            #expect(reply.status == 550 && reply.enhanced == enhanced)
        }
        var dialogue = try MailDialogue(Self.submission())
        _ = dialogue.begin()
        let long = "550 \u{1B}[31m" + String(repeating: "y", count: 900) + "\r\n"
        guard case .finish(.refused(_, let reply)) = try dialogue.received(Array(long.utf8)) else { return }
        #expect(reply.text.count == 300 && reply.text.hasPrefix("[31m"))
    }

    @Test("a server that stops answering is given up in time, at each step", arguments: FakeSMTPServer.Step.allCases)
    func hang(step: FakeSMTPServer.Step) async throws {
        var options = FakeSMTPServer.Configuration(users: step == .authentication ? ["u": "p"] : [:])
        options.security = .none
        let server = try FakeSMTPServer(options)
        defer { server.stop() }
        server.script(step, .hang)
        let client = try HTTPClient()
        var submission = Self.submission()
        submission.server.port = server.port
        if step == .authentication { submission.server.login = .password(user: "u", Secret("p")) }
        submission.timeout = .seconds(2)
        do {
            _ = try await client.submitMail(submission, time: SystemTime())
            Issue.record("there was an answer")
        } catch let error as MailSubmissionError {
            #expect(error.cause.code == .timeout)
            // On a busy machine the last step may not have been reached.
            #expect(!error.isOutcomeUnknown || step == .content)
        }
    }
}
