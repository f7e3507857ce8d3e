import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing
import XMPPTools
import XML

@testable import XMPPMonitor

/// Another device of a user, or another user, at a real server.
actor XMPPDevice {
    private let stream: any XMPPStream
    private var xml: XMLStream
    private var number = 0

    /// Connects, logs in and is available with a priority of 5.
    init(_ connector: any XMPPConnector, _ server: XMPPServer, user: String) async throws {
        stream = try await connector.connect(server)
        xml = try XMLStream()
        let login = [0] + Array(user.utf8) + [0] + Array(ProsodyServer.password.utf8)
        try await open()
        try await send("<auth xmlns='\(XMPPNamespace.sasl)' mechanism='PLAIN'>\(login.base64)</auth>")
        _ = try await next { $0.name.local == "success" }
        xml = try XMLStream()
        try await open()
        try await ask("<bind xmlns='\(XMPPNamespace.bind)'><resource>phone</resource></bind>")
        try await ask("<enable xmlns='\(XMPPNamespace.carbons)'/>")
        try await send("<presence><priority>5</priority></presence>")
    }

    private func open() async throws {
        try await send(
            "<stream:stream xmlns='jabber:client' xmlns:stream='\(XMPPNamespace.stream)' to='localhost' version='1.0'>")
        _ = try await next { $0.name.local == "features" }
    }

    func send(_ text: String) async throws { try await stream.send(Array(text.utf8)) }

    private func ask(_ content: String) async throws {
        number += 1
        let id = "d\(number)"
        try await send("<iq type='set' id='\(id)'>\(content)</iq>")
        _ = try await next { $0.attribute("id") == id && $0.attribute("type") == "result" }
    }

    func next(_ isWanted: (XMLElement) -> Bool) async throws -> XMLElement {
        while true {
            let bytes = try await stream.receive(until: SystemTime().now + .seconds(10)) ?? []
            guard !bytes.isEmpty else { throw PeerError(.process, "prosody said nothing more") }
            for case .child(let element) in try xml.push(bytes) where isWanted(element) { return element }
        }
    }

    func end() { stream.close() }
}

/// The monitor against a real server. Skipped where Debian's prosody is not installed (`Scripts/install --tests`).
@Suite(.enabled(if: ProsodyServer.isAvailable), .serialized, .timeLimit(.minutes(5))) struct ProsodyTests {
    struct Rig: Sendable {
        let server: ProsodyServer
        let monitor: XMPPMonitor
        let host = RecordingMonitorHost()
        let connector: any XMPPConnector
        let address: XMPPServer
        var credentials = ["username": Secret("alice@localhost"), "password": Secret(ProsodyServer.password)]

        func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
            try await MonitorRun.during(monitor, credentials: credentials, host: host, body: body)
        }
        func device(_ user: String) async throws -> XMPPDevice {
            try await XMPPDevice(connector, address, user: user)
        }
    }

    static func withRig(
        isEncrypted: Bool = true, trusted: Bool = true, reconcile: Duration = .seconds(300),
        _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let other = try TestCertificateAuthority()
        let server = try await ProsodyServer(users: ["alice", "bob"], identity: authority.localhost)
        try await OutboundClient.during { client in
            let address = XMPPServer(
                host: "localhost", port: isEncrypted ? server.tlsPort : server.port, isEncrypted: isEncrypted,
                caFile: (trusted ? authority : other).caFile, timeout: .seconds(20))
            var settings = XMPPMonitor.Settings(server: address)
            settings.session.reconcile = reconcile
            let connector = OutboundXMPPConnector(client: client)
            let monitor = XMPPMonitor(
                settings, connector: connector, time: SystemTime(), log: Log(sink: NullLogSink()))
            try await body(Rig(server: server, monitor: monitor, connector: connector, address: address))
        }
        try await server.stop()
    }

    private static func chat(_ id: String, _ content: String, to: String = "alice@localhost") -> String {
        "<message to='\(to)' type='chat' id='\(id)'>\(content)</message>"
    }

    @Test(
        "SG-4 SG-5 new messages of a real server are told, old ones are not, over TLS and on loopback",
        arguments: [true, false])
    func news(isEncrypted: Bool) async throws {
        try await Self.withRig(isEncrypted: isEncrypted) { rig in
            let bob = try await rig.device("bob")
            try await bob.send(Self.chat("old", "<body>old</body>"))
            let alice = try await rig.device("alice")
            _ = try await alice.next { $0.attribute("id") == "old" || $0.name.local == "presence" }
            try await rig.during {
                try await rig.host.waitForWatching()
                try await bob.send(Self.chat("new", "<body>你好 &lt;b&gt;</body>"))
                try await rig.host.waitForItems(1)
            }
            let item = try #require(rig.host.rung.first)
            #expect(item.title == "你好 <b>" && item.senderAddress == "bob@localhost" && item.time != nil)
            #expect(item.key == "bob@localhost/new" && rig.host.failures.isEmpty && rig.host.rung.count == 1)
            await bob.end()
            await alice.end()
        }
    }

    @Test("the user's phone still gets everything, and what it shows or answers is seen; a retraction is gone")
    func elsewhere() async throws {
        try await Self.withRig { rig in
            let (alice, bob) = (try await rig.device("alice"), try await rig.device("bob"))
            try await rig.during {
                try await rig.host.waitForWatching()
                for id in ["1", "2", "3"] { try await bob.send(Self.chat(id, "<body>text \(id)</body>")) }
                try await rig.host.waitForItems(3)
                _ = try await alice.next { $0.attribute("id") == "1" }
                try await alice.send(
                    Self.chat("m", "<displayed xmlns='\(XMPPNamespace.markers)' id='2'/>", to: "bob@localhost"))
                try await Eventually.wait("seen, not \(rig.host.seen)") { rig.host.seen.count == 2 }
                try await bob.send(
                    Self.chat("r", "<retract xmlns='\(XMPPNamespace.retract)' id='3'/><store xmlns='urn:xmpp:hints'/>"))
                try await Eventually.wait("gone, not \(rig.host.gone)") { rig.host.gone == ["bob@localhost/3"] }
                try await bob.send(Self.chat("4", "<body>and?</body>"))
                try await rig.host.waitForItems(4)
                try await alice.send(Self.chat("a", "<body>yes</body>", to: "bob@localhost"))
                try await Eventually.wait("seen, not \(rig.host.seen)") { rig.host.seen.count == 3 }
            }
            #expect(rig.host.seen == ["bob@localhost/1", "bob@localhost/2", "bob@localhost/4"])
            #expect(rig.host.rung.count == 4 && rig.host.failures.isEmpty)
            await alice.end()
            await bob.end()
        }
    }

    @Test("more than a page that came while nobody watched is told once, through a restart of the server")
    func away() async throws {
        try await Self.withRig { rig in
            try await rig.during { try await rig.host.waitForWatching() }
            let bob = try await rig.device("bob")
            for number in 0..<120 { try await bob.send(Self.chat("n\(number)", "<body>n\(number)</body>")) }
            try await bob.send("<iq type='get' id='done' to='localhost'><ping xmlns='\(XMPPNamespace.ping)'/></iq>")
            _ = try await bob.next { $0.attribute("id") == "done" }
            await bob.end()
            try await rig.server.stop()
            try await rig.server.start()
            try await rig.during {
                try await rig.host.waitForItems(120, deadline: .seconds(20))
                try await rig.host.waitForWatching(2)
            }
            #expect(rig.host.rung.map(\.title) == (0..<120).map { "n\($0)" })
        }
    }

    @Test("a restart of the server while watching is a network failure, and watching goes on")
    func restart() async throws {
        try await Self.withRig { rig in
            try await rig.during {
                try await rig.host.waitForWatching()
                try await rig.server.stop()
                try await rig.host.waitForFailures()
                try await rig.server.start()
                try await rig.host.waitForWatching(2)
                let bob = try await rig.device("bob")
                try await bob.send(Self.chat("1", "<body>back</body>"))
                try await rig.host.waitForItems(1)
                await bob.end()
            }
            #expect(rig.host.failures.allSatisfy { $0.code == .network })
        }
    }

    @Test("a wrong password is refused once, and the failure shows it nowhere")
    func wrongPassword() async throws {
        try await Self.withRig { rig in
            var rig = rig
            rig.credentials["password"] = Secret("Zwiebelkuchen")
            try await rig.during { [rig] in try await rig.host.waitForFailures() }
            #expect(rig.host.failures.map(\.code) == [.authFailed])
            #expect(!rig.host.failures[0].message.contains("Zwiebel"))
        }
    }

    @Test("a certificate of somebody else's is refused before the password is said")
    func untrusted() async throws {
        try await Self.withRig(trusted: false) { rig in
            try await rig.during { try await rig.host.waitForFailures() }
            #expect(rig.host.failures.first?.code == .network && rig.host.watchingCount == 0)
        }
    }
}
