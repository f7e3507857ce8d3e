import Base
import GatewayTestKit
import Testing

/// `openssl s_client` as an independent IMAP connection.
struct IMAPClient {
    let child: ChildProcess

    init(_ server: SyntheticIMAPServer, _ authority: TestCertificateAuthority, startTLS: Bool = false) async throws {
        child = try await ChildProcess(
            "openssl",
            [
                "s_client", "-quiet", "-verify_return_error", "-CAfile", authority.caFile, "-connect",
                "localhost:\(server.port)",
            ]
                + (startTLS ? ["-starttls", "imap"] : []))
    }

    /// Sends a command and returns all lines up to its tagged answer.
    @discardableResult
    func send(_ command: String) async throws -> [String] {
        let before = child.output.count
        try child.write(command + "\r\n")
        let tag = String(command.prefix { $0 != " " })
        return try await Eventually.value("an answer to \(tag)") {
            let lines = child.output.dropFirst(before)
            guard let end = lines.firstIndex(where: { $0.hasPrefix("\(tag) ") }) else { return nil }
            return lines[...end].map(\.trimmingSpace)
        }
    }

    func line(_ text: String) async throws { try await child.waitForLine(text) { $0.trimmingSpace == text } }

    func logIn(_ user: String = "u00001") async throws {
        let answer = try await send("l LOGIN \(user) secret")
        #expect(answer.last?.hasPrefix("l OK") == true)
        try await send("s SELECT INBOX")
    }
}

@Suite("The synthetic IMAP server", .timeLimit(.minutes(2))) struct SyntheticIMAPTests {
    let authority: TestCertificateAuthority
    let server: SyntheticIMAPServer
    static let header = "From: a@example.org\r\nSubject: long\r\n subject\r\nX-Other: no\r\nMessage-ID: <1@x>\r\n"

    init() throws {
        authority = try TestCertificateAuthority()
        var configuration = SyntheticIMAPServer.Configuration()
        configuration.acceptsToken = { user, token in user == "u00002" && token == "good" }
        server = try SyntheticIMAPServer(configuration, identity: authority.localhost)
    }

    @Test("an idler hears of a delivery at once and fetches its header") func idleAndFetch() async throws {
        let client = try await IMAPClient(server, authority)
        try await client.logIn()
        try client.child.write("i IDLE\r\n")
        try await server.waitForIdlers(1)
        let delivery = try await server.deliver(to: "u00001", header: Self.header)
        #expect(delivery.uid == 1)
        try await client.line("* 1 EXISTS")
        try client.child.write("DONE\r\n")
        try await client.line("i OK idle ended")
        let answer = try await client.send(
            "f UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (FROM SUBJECT)]<0.4096>)")
        #expect(answer[0].hasPrefix("* 1 FETCH (UID 1 FLAGS () INTERNALDATE \""))
        #expect(answer[0].hasSuffix("BODY[HEADER.FIELDS (FROM SUBJECT)]<0> {48}"))
        #expect(answer[1...4] == ["From: a@example.org", "Subject: long", "subject", ""])
        #expect(answer.dropLast().last == ")")
        let part = try await client.send("g UID FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]<0.3>")
        #expect(part[0].hasSuffix("BODY[HEADER.FIELDS (SUBJECT)]<0> {3}"))
        #expect(part[1] == "Sub)")
    }

    @Test("reading and expunging elsewhere is told") func seenAndExpunged() async throws {
        try await server.deliver(to: "u00001", header: Self.header)
        try await server.deliver(to: "u00001", header: Self.header)
        let client = try await IMAPClient(server, authority)
        try await client.logIn()
        try client.child.write("i IDLE\r\n")
        try await server.waitForIdlers(1)
        try await server.setSeen(uid: 2, of: "u00001")
        try await client.line("* 2 FETCH (UID 2 FLAGS (\\Seen))")
        try await server.expunge(uid: 1, of: "u00001")
        try await client.line("* 1 EXPUNGE")
        try client.child.write("DONE\r\n")
        try await client.line("i OK idle ended")
        #expect(try await client.send("a UID SEARCH UID 1:*").first == "* SEARCH 2")
        #expect(try await client.send("b UID SEARCH UNSEEN").first == "* SEARCH")
        #expect(
            try await client.send("c STATUS INBOX (MESSAGES UIDNEXT UNSEEN)").first
                == "* STATUS \"INBOX\" (MESSAGES 1 UIDNEXT 3 UNSEEN 0)")
    }

    @Test("logins: wrong passwords, chosen refusals, SASL with and without initial response, OAuth")
    func logins() async throws {
        let client = try await IMAPClient(server, authority)
        #expect(try await client.send("a LOGIN u00001 wrong").last?.hasPrefix("a NO [AUTHENTICATIONFAILED]") == true)
        #expect(try await client.send("b LOGIN x00001 secret").last?.hasPrefix("b NO") == true)
        var faults = IMAPFaults()
        faults.refusesLogin = "NO [UNAVAILABLE] later"
        try await server.setFaults(faults, of: "u00001")
        #expect(try await client.send("c LOGIN u00001 secret").last == "c NO [UNAVAILABLE] later")
        #expect(server.counts.failedLogins == 3)
        let bad = Array("user=u00002\u{1}auth=Bearer bad\u{1}\u{1}".utf8).base64
        try client.child.write("d AUTHENTICATE XOAUTH2 \(bad)\r\n")
        try await client.child.waitForLine("a challenge") { $0.hasPrefix("+ ey") }
        try client.child.write("\r\n")
        try await client.child.waitForLine("a refusal") { $0.hasPrefix("d NO [AUTHENTICATIONFAILED]") }
        let good = Array("n,a=u00002,\u{1}auth=Bearer good\u{1}\u{1}".utf8).base64
        #expect(try await client.send("e AUTHENTICATE OAUTHBEARER \(good)").last?.hasPrefix("e OK") == true)
        let other = try await IMAPClient(server, authority)
        try other.child.write("a AUTHENTICATE PLAIN\r\n")
        try await other.child.waitForLine("a challenge") { $0.hasPrefix("+ ") }
        try other.child.write("\(Array("\u{0}u00003\u{0}secret".utf8).base64)\r\n")
        try await other.child.waitForLine("a welcome") { $0.hasPrefix("a OK [CAPABILITY") }
        let literal = try await IMAPClient(server, authority)
        try literal.child.write("a LOGIN {6}\r\n")
        try await literal.child.waitForLine("a continuation") { $0.hasPrefix("+ ") }
        try literal.child.write("u00004 {6+}\r\nsecret\r\n")
        try await literal.child.waitForLine("a welcome") { $0.hasPrefix("a OK") }
        #expect(server.counts.logins == 3)
    }

    @Test("lost wake-ups, arrivals inside FETCH and with IDLE") func racyArrivals() async throws {
        try await server.deliver(to: "u00001", header: Self.header)
        let client = try await IMAPClient(server, authority)
        try await client.logIn()
        try await server.deliverDuringNextFetch(to: "u00001", header: Self.header)
        let answer = try await client.send("f UID FETCH 1:* (UID)")
        #expect(answer == ["* 1 FETCH (UID 1)", "* 2 EXISTS", "f OK done"])
        try await server.deliverWithNextIdle(to: "u00001", header: Self.header)
        try client.child.write("i IDLE\r\n")
        try await client.line("* 3 EXISTS")
        let lines = client.child.output.suffix(2).map(\.trimmingSpace)
        #expect(lines == ["+ idling", "* 3 EXISTS"])
        var faults = IMAPFaults()
        faults.losesWakeUps = true
        try await server.setFaults(faults, of: "u00001")
        try await server.deliver(to: "u00001", header: Self.header)
        try client.child.write("DONE\r\n")
        try await client.line("i OK idle ended")
        #expect(client.child.output.suffix(2).first?.trimmingSpace == "* 4 EXISTS")
    }

    @Test("BYE, cut, frozen and rebuilt") func disruptions() async throws {
        let client = try await IMAPClient(server, authority)
        try await client.logIn()
        try await server.freeze("u00001")
        try client.child.write("n NOOP\r\n")
        let second = try await IMAPClient(server, authority)
        try await second.logIn()
        #expect(!client.child.output.contains { $0.hasPrefix("n ") })
        try await server.rebuild("u00001", uidValidity: 77)
        try await second.line("* BYE mailbox rebuilt")
        _ = try await second.child.waitForExit()
        let third = try await IMAPClient(server, authority)
        try await third.send("l LOGIN u00001 secret")
        #expect(try await third.send("s EXAMINE inbox").contains("* OK [UIDVALIDITY 77] ok"))
        try await server.drop("u00001")
        _ = try await third.child.waitForExit()
        try await server.setByeGreeting("too busy")
        let fourth = try await IMAPClient(server, authority)
        try await fourth.line("* BYE too busy")
    }

    @Test("a huge header line in pieces of one byte, and STARTTLS") func pieces() async throws {
        var faults = IMAPFaults()
        faults.pieces = (1, .zero)
        try await server.setFaults(faults, of: "u00001")
        try await server.deliver(to: "u00001", header: Self.header)
        let client = try await IMAPClient(server, authority)
        try await client.logIn()
        #expect(try await client.send("f UID FETCH 1 BODY.PEEK[HEADER]").contains("X-Other: no"))
        let huge = SyntheticIMAPServer.hugeHeader(subjectBytes: 1_000_000)
        try await server.deliver(to: "u00005", bytes: huge)
        let other = try await IMAPClient(server, authority)
        try await other.logIn("u00005")
        let answer = try await other.send("f UID FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]")
        #expect(answer[1].utf8.count == 1_000_009)
        var configuration = SyntheticIMAPServer.Configuration()
        configuration.security = .startTLS
        configuration.requiresTLS = true
        let plain = try SyntheticIMAPServer(configuration, identity: authority.localhost)
        let upgraded = try await IMAPClient(plain, authority, startTLS: true)
        let capabilities = try await upgraded.send("c CAPABILITY").first ?? ""
        #expect(!capabilities.contains("LOGINDISABLED"))
        try await upgraded.logIn()
    }
}
