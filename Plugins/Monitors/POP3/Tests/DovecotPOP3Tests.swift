import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import MonitorTestKit
import Outbound
import Testing

@testable import POP3Monitor

/// The monitor against a real server. Where Debian's dovecot-pop3d is not installed, or without root, they are skipped.
@Suite(.enabled(if: DovecotServer.hasPOP3), .serialized, .timeLimit(.minutes(5))) struct DovecotPOP3Tests {
    struct Rig: Sendable {
        let server: DovecotServer
        let monitor: POP3Monitor
        let host = RecordingMonitorHost()

        func deliver(_ subject: String, id: String) async throws {
            try await server.deliver(TestNews(subject, id: id).mail, to: "anna")
        }
    }

    static func withRig(
        _ authentication: MailAuthentication = .password, _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        let server = try await DovecotServer(users: ["anna"], identity: authority.localhost, pop3: true)
        try await OutboundClient.during { client in
            var settings = POP3Monitor.Settings(
                MailServer(
                    .pop3, host: "localhost", port: server.popPort, encryption: .implicit, caFile: authority.caFile))
            (settings.poll, settings.authentication) = (.milliseconds(200), authentication)
            let time = SystemTime()
            let monitor = POP3Monitor(
                settings, connector: OutboundMailConnector(client: client, time: time), transport: client, time: time,
                readHeader: MessageHeader.read)
            try await body(Rig(server: server, monitor: monitor))
        }
        try await server.stop()
    }

    private static let credentials = ["username": Secret("anna"), "password": Secret(DovecotServer.password)]

    @Test("SG-4 mail on a real server is told, old mail is not; deleted mail is gone; a restart repeats nothing")
    func news() async throws {
        try await Self.withRig { rig in
            try await rig.deliver("old", id: "old")
            try await MonitorRun.during(rig.monitor, credentials: Self.credentials, host: rig.host) {
                try await rig.host.waitForWatching()
                try await rig.deliver("=?GB18030?B?xOO6ww==?=", id: "new")
                let items = try await rig.host.waitForItems(1)
                #expect(items[0].title == "你好" && items[0].contentKey == "new@example.org")
                try await rig.server.expunge(["ALL"], of: "anna")
                try await Eventually.wait("gone") { rig.host.gone == [items[0].key] }
            }
            try await rig.deliver("while away", id: "away")
            for round in 0..<2 {
                try await MonitorRun.during(rig.monitor, credentials: Self.credentials, host: rig.host) {
                    try await rig.host.waitForItems(2)
                    try await rig.host.waitForWatching(2 + round)
                }
            }
            #expect(rig.host.rung.map(\.title) == ["你好", "while away"])
            #expect(rig.host.failures.isEmpty)
        }
    }

    @Test("a refused password is told and tried once")
    func wrongPassword() async throws {
        try await Self.withRig { rig in
            let wrong = ["username": Secret("anna"), "password": Secret("wrong horse")]
            try await MonitorRun.during(rig.monitor, credentials: wrong, host: rig.host) {
                try await rig.host.waitForFailures(deadline: .seconds(30))
            }
            #expect(rig.host.failures.map(\.code) == [.authFailed], "\(rig.host.failures)")
        }
    }

    @Test("a master user opens the account's mailbox")
    func masterUser() async throws {
        let master = MasterUser(
            user: DovecotServer.master.name, password: Secret(DovecotServer.master.password))
        try await Self.withRig(.master(master)) { rig in
            try await MonitorRun.during(rig.monitor, credentials: [:], host: rig.host, account: "anna") {
                try await rig.host.waitForWatching()
                try await rig.deliver("by the master", id: "m")
                try await rig.host.waitForItems(1)
            }
            #expect(rig.host.failures.isEmpty)
        }
    }
}
