import Base
import Gateway
import MonitorTools
import GatewayTestKit
import MailMonitoring
import MonitorTestKit
import Outbound
import Testing

@testable import IMAPMonitor

/// The monitor against a real server. Where Debian's dovecot-imapd is not installed, or without root, they are skipped.
@Suite(.enabled(if: DovecotServer.isAvailable), .serialized, .timeLimit(.minutes(5))) struct DovecotTests {
    /// A server, a client and a monitor for one user.
    struct Rig: Sendable {
        let server: DovecotServer
        let monitor: IMAPMonitor
        let host = RecordingMonitorHost()
        var credentials = ["username": Secret("anna"), "password": Secret(DovecotServer.password)]

        func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
            try await MonitorRun.during(monitor, credentials: credentials, host: host, body: body)
        }
        func deliver(_ subject: String, id: String) async throws {
            try await server.deliver(TestNews(subject, id: id).mail, to: "anna")
        }
    }

    static func withRig(
        _ encryption: MailLogin.Encryption = .implicit, hibernateSeconds: Int? = nil, mailbox: String = "INBOX",
        idle: Duration = .seconds(540), trusted: Bool = true,
        configure: @escaping @Sendable (inout IMAPMonitor.Settings) -> Void = { _ in },
        transport: (any HTTPTransport)? = nil, _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let other = try TestCertificateAuthority()
        let server = try await DovecotServer(
            users: ["anna"], identity: authority.localhost, hibernateSeconds: hibernateSeconds)
        try await OutboundClient.during { client in
            var settings = IMAPMonitor.Settings(
                MailServer(
                    .imap, host: "localhost", port: encryption == .implicit ? server.tlsPort : server.port,
                    encryption: encryption, caFile: (trusted ? authority : other).caFile), idle: idle)
            settings.session.mailbox = mailbox
            settings.session.reconcile = idle
            configure(&settings)
            let monitor = IMAPMonitor(
                settings, connector: OutboundMailConnector(client: client, time: SystemTime()),
                transport: transport ?? client,
                time: SystemTime(), log: Log(sink: NullLogSink()), readHeader: MessageHeader.read)
            try await body(Rig(server: server, monitor: monitor))
        }
        try await server.stop()
    }

    @Test(
        "SG-4 SG-5 SG-14 the mail of a real server of its own is told, old mail is not, over TLS and STARTTLS",
        arguments: [
            MailLogin.Encryption.implicit, .startTLS, .none,
        ])
    func news(encryption: MailLogin.Encryption) async throws {
        try await Self.withRig(encryption) { rig in
            try await rig.deliver("old", id: "old")
            try await rig.during {
                try await rig.host.waitForWatching()
                try await rig.deliver("=?GB18030?B?xOO6ww==?= =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=", id: "new")
                try await rig.host.waitForItems(1)
            }
            let item = try #require(rig.host.rung.first)
            #expect(item.title == "你好こんにちは")
            #expect(item.sender == "Anna Example" && item.senderAddress == "anna@example.org")
            #expect(item.contentKey == "new@example.org" && item.time != nil)
            #expect(rig.host.failures.isEmpty && rig.host.rung.count == 1)
        }
    }

    @Test("mail that came while nobody watched is told after a restart, once")
    func restart() async throws {
        try await Self.withRig { rig in
            try await rig.during { try await rig.host.waitForWatching() }
            try await rig.deliver("while away", id: "a")
            try await rig.during {
                try await rig.host.waitForItems(1)
                try await rig.host.waitForWatching(2)
            }
            try await rig.during { try await rig.host.waitForWatching(3) }
            #expect(rig.host.rung.map(\.title) == ["while away"])
        }
    }

    @Test("read by a second client is seen, expunged is gone")
    func elsewhere() async throws {
        try await Self.withRig { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                try await rig.deliver("one", id: "1")
                try await rig.deliver("two", id: "2")
                let items = try await rig.host.waitForItems(2)
                try await rig.server.markSeen(["SUBJECT", "one"], of: "anna")
                try await Eventually.wait("seen") { rig.host.seen == [items[0].key] }
                try await rig.server.expunge(["SUBJECT", "two"], of: "anna")
                try await Eventually.wait("gone") { rig.host.gone == [items[1].key] }
            }
            // EXAMINE: we ourselves read nothing.
            #expect(rig.host.seen.count == 1)
        }
    }

    @Test("a refused password is told with the server's words and tried once")
    func wrongPassword() async throws {
        try await Self.withRig { rig in
            var rig = rig
            rig.credentials["password"] = Secret("wrong horse")
            let wrong = rig
            try await wrong.during { try await wrong.host.waitForFailures(deadline: .seconds(30)) }
            let failure = try #require(wrong.host.failures.first)
            #expect(failure.code == .authFailed)
            #expect(failure.message.contains("AUTHENTICATIONFAILED"))
            #expect(!failure.message.contains("wrong horse"))
            // Dovecot writes the line when the connection is gone.
            try await Eventually.wait("the attempt in the server's log") {
                wrong.server.log.components("auth failed") > 0
            }
            #expect(wrong.server.log.components("auth failed") == 1, "\(wrong.server.log)")
        }
    }

    @Test("the server goes and comes back: watching goes on, nothing is lost")
    func serverRestart() async throws {
        try await Self.withRig { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                try await rig.server.stop()
                try await rig.host.waitForFailures()
                try await rig.server.start()
                try await rig.deliver("back", id: "b")
                try await rig.host.waitForItems(1, deadline: .seconds(30))
            }
            #expect(rig.host.failures.allSatisfy { $0.code == .network })
        }
    }

    @Test("a server nobody vouches for gets no password")
    func untrusted() async throws {
        try await Self.withRig(trusted: false) { rig in
            try await rig.during { try await rig.host.waitForFailures() }
            #expect(rig.host.failures.first?.code == .network)
            #expect(rig.host.failures.first?.message.contains("tls") == true)
        }
    }

    @Test("a missing mailbox is gone, a mailbox deleted while watched too, one with another alphabet is found")
    func mailboxes() async throws {
        try await Self.withRig(mailbox: "Entwürfe & 日本") { rig in
            try await rig.during {
                try await rig.host.waitForFailures()
                try await rig.server.administer(["mailbox", "create", "-u", "anna", "Entwürfe & 日本"])
                try await rig.host.waitForWatching()
                let before = rig.host.failures.count
                try await rig.server.administer(["mailbox", "delete", "-u", "anna", "Entwürfe & 日本"])
                try await Eventually.wait("gone again") {
                    rig.host.failures.dropFirst(before).contains { $0.code == .sourceGone }
                }
            }
            #expect(rig.host.failures.first?.code == .sourceGone)
        }
    }

    @Test("what was read and removed while nobody watched is told by the difference the server knows")
    func resync() async throws {
        try await Self.withRig { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                for name in ["one", "two", "three"] { try await rig.deliver(name, id: name) }
                try await rig.host.waitForItems(3)
            }
            // The second watch stores how far flags were compared, the third asks from there.
            for round in 0..<2 {
                try await rig.during { try await rig.host.waitForWatching(2 + round) }
                try await rig.deliver("more \(round)", id: "more\(round)")
            }
            let keys = rig.host.rung.map(\.key)
            try await rig.server.markSeen(["SUBJECT", "one"], of: "anna")
            try await rig.server.expunge(["SUBJECT", "two"], of: "anna")
            try await rig.during {
                try await rig.host.waitForWatching(4)
                try await Eventually.wait("\(rig.host.seen) \(rig.host.gone)") {
                    rig.host.seen == [keys[0]] && rig.host.gone == [keys[1]]
                }
                try await rig.host.waitForItems(5)
            }
            let cursor = try #require(rig.host.cursor.flatMap { IMAPCursor($0) })
            #expect(cursor.modified != nil && cursor.unseen.count == 3)
        }
    }

    @Test("several folders: spam and sent mail never ring, by the server's own attributes")
    func folders() async throws {
        try await Self.withRig(configure: { $0.mailboxes = ["*"] }) { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                for folder in ["Junk", "Sent", "Work", "INBOX"] {
                    try await rig.server.deliver(TestNews(folder, id: folder).mail, to: "anna", folder: folder)
                }
                let items = try await rig.host.waitForItems(2)
                #expect(Set(items.compactMap(\.title)) == ["Work", "INBOX"])
                try await rig.server.markSeen(["ALL"], of: "anna", mailbox: "Work")
                let key = try #require(items.first { $0.title == "Work" }?.key)
                try await Eventually.wait("seen in a folder") { rig.host.seen == [key] }
            }
            #expect(rig.host.failures.isEmpty && rig.host.rung.count == 2)
        }
    }

    @Test("a master user opens the account's mailbox, in both forms", arguments: [nil, "*"] as [String?])
    func masterUser(separator: String?) async throws {
        var master = MasterUser(
            user: DovecotServer.master.name, password: Secret(DovecotServer.master.password))
        master.separator = separator
        let authentication = MailAuthentication.master(master)
        try await Self.withRig(configure: { $0.authentication = authentication }) { rig in
            var rig = rig
            rig.credentials = [:]
            let shared = rig
            try await MonitorRun.during(shared.monitor, credentials: [:], host: shared.host, account: "anna") {
                try await shared.host.waitForWatching()
                try await shared.deliver("by the master", id: "m")
                try await shared.host.waitForItems(1)
            }
            // Somebody else's is refused before any login.
            let host = RecordingMonitorHost()
            let foreign = ["username": Secret("anna")]
            try await MonitorRun.during(shared.monitor, credentials: foreign, host: host, account: "bert") {
                try await host.waitForFailures()
            }
            #expect(host.failures.map(\.code) == [.authFailed])
        }
    }

    @Test("access tokens by a refresh token; one that has run out is replaced")
    func refreshTokens() async throws {
        let transport = StubTransport { _, number in
            // The first one's time is over although the token server says otherwise.
            let end = SystemTime().timestamp + .seconds(number == 1 ? -60 : 3600)
            let token = DovecotServer.token(of: "anna", until: end)
            return HTTPResponse(status: 200, body: Array(#"{"access_token":"\#(token)","expires_in":3600}"#.utf8))
        }
        var oauth = OAuthSettings()
        (oauth.tokenURL, oauth.clientID) = ("https://login.example/token", "farbell")
        let authentication = MailAuthentication.oauth(oauth)
        try await Self.withRig(configure: { $0.authentication = authentication }, transport: transport) { rig in
            var rig = rig
            rig.credentials = ["username": Secret("anna"), "oauth.refreshToken": Secret("r")]
            let own = rig
            // A token made for the call and refused is the grant's fault: no second attempt.
            try await own.during { try await own.host.waitForFailures(deadline: .seconds(30)) }
            #expect(own.host.failures.map(\.code) == [.authFailed] && transport.requests.count == 1)
            // The next start finds it refused, and gets another.
            try await own.during {
                try await own.host.waitForWatching(deadline: .seconds(30))
                try await own.deliver("by token", id: "t")
                try await own.host.waitForItems(1)
            }
            #expect(transport.requests.count == 2)
        }
    }

    @Test("a mailbox that is rebuilt does not ring again")
    func rebuilt() async throws {
        try await Self.withRig { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                try await rig.deliver("one", id: "1")
                try await rig.host.waitForItems(1)
            }
            try await rig.server.administer(["mailbox", "update", "-u", "anna", "--uid-validity", "424242", "INBOX"])
            try await rig.during {
                try await rig.host.waitForWatching(2)
                try await rig.deliver("two", id: "2")
                try await rig.host.waitForItems(2)
            }
            #expect(rig.host.rung.map(\.title) == ["one", "two"])
            #expect(rig.host.rung.last?.key.hasPrefix("424242/") == true)
        }
    }

    @Test("with imap-hibernate, which loses wake-ups, no message is lost")
    func hibernation() async throws {
        let rounds = 4
        let perRound = 10
        try await Self.withRig(hibernateSeconds: 1, idle: .seconds(3)) { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                for round in 0..<rounds {
                    try await Eventually.wait("hibernation", for: .seconds(30), every: .milliseconds(50)) {
                        let processes = try await rig.server.administer(["process", "status"])
                        return processes.contains { $0.hasPrefix("imap-hibernate") }
                            && !processes.contains { $0.hasPrefix("imap ") }
                    }
                    for number in 0..<perRound {
                        try await rig.deliver("m\(round).\(number)", id: "m\(round).\(number)")
                    }
                    try await rig.host.waitForItems((round + 1) * perRound, deadline: .seconds(30))
                }
            }
            #expect(
                Set(rig.host.rung.map(\.title)).count == rounds * perRound && rig.host.rung.count == rounds * perRound)
        }
    }
}

extension String {
    /// How often a text occurs.
    fileprivate func components(_ text: String) -> Int { ranges(of: text).count }
}
