import Base
import Gateway
import GatewayTestKit
import Testing

@testable import XrdpFarm

@Suite("farm kind xrdp", .timeLimit(.minutes(1)))
struct XrdpFarmTests {
    private func site(_ more: String = "", time: any TimeSource = SystemTime()) throws -> FarmSite {
        try FarmSite(
            XrdpPlugin(), #""address":"desk.example:3389"\#(more)"#, time: time, log: Log(sink: NullLogSink()))
    }

    @Test("SG-11 the file brings the ticket to farm-start, as the account's user, and never a password")
    func file() async throws {
        let site = try site(#","users":{"alice":"farmalice"}"#)
        let request = FarmSite.request(platform: "windows", credentials: ["password": Secret("s3cret")])
        guard case .file(let type, let name, let body) = try await site.launch(request) else {
            Issue.record("no file")
            return
        }
        #expect(type == "application/x-rdp" && name == "mail.rdp" && body.starts(with: [0xFF, 0xFE]))
        let units = stride(from: 2, to: body.count, by: 2).map { UInt16(body[$0]) | UInt16(body[$0 + 1]) << 8 }
        let lines = String(decoding: units, as: UTF16.self).split(separator: "\r\n").map(String.init)
        #expect(lines.contains("alternate shell:s:/usr/local/lib/farbell/farm-start mail flt_ticket"))
        #expect(lines.contains("username:s:farmalice"))
        #expect(lines.contains("full address:s:desk.example:3389"))
        #expect(
            !lines.contains { $0.contains("s3cret") || $0.contains("password") || $0.contains("remoteapplication") })
        #expect(try await site.start(request) == .program)
        #expect(!site.farm.usesCredentials)
    }

    @Test("phones and Macs are given a URI")
    func uri() async throws {
        guard case .url(let url) = try await site().launch(FarmSite.request(platform: "iOS")) else {
            Issue.record("no URI")
            return
        }
        #expect(url.hasPrefix("rdp://full%20address=s:desk.example:3389&"))
        #expect(url.contains("alternate%20shell=s:%2Fusr%2Flocal%2Flib%2Ffarbell%2Ffarm-start%20mail%20flt_ticket"))
    }

    @Test("SG-7 the socket folder says who is connected: the waiting socket is there while nobody is")
    func sockets() {
        let sessions = XrdpWatch.sessions([
            ("xrdpapi_10", "alice"), ("xrdp_chansrv_audio_in_socket_10", "alice"), ("xrdpapi_11", "bob"),
            ("xrdp_chansrv_socket_11", "bob"), ("xrdpapi_12", nil), ("xrdpapi_x", "eve"), ("xrdp_display_10", "alice"),
        ])
        #expect(
            sessions == [
                XrdpWatch.Session(display: 10, user: "alice", isConnected: true),
                XrdpWatch.Session(display: 11, user: "bob", isConnected: false),
            ])
    }

    @Test("SG-7 the farm is trusted where the administrator says so and a probe can see")
    func trusted() throws {
        #expect(try !site().farm.isTrusted)
        #expect(try !site(#","watch":{"probe":"/bin/true"}"#).farm.isTrusted)
        #expect(try site(#","watch":{"probe":"/bin/true"},"trustFarmVisibility":true"#).farm.isTrusted)
    }

    private func look(_ site: FarmSite, _ facts: RecordingFacts, count: Int) async throws -> [FarmFact] {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await site.farm.run(apps: ["mail": site.target], facts: facts) } catch is CancellationError {}
            }
            let found = try await facts.facts.wait(count: count, deadline: .seconds(40))
            group.cancelAll()
            return found
        }
    }

    @Test(
        "SG-7 facts come from the folder; the probe may say more, and one that fails says nothing",
        arguments: [
            ("", FarmFact.State.connected), ("echo hidden", .hidden), ("echo visible", .visible),
            ("exit 1", .connected),
            ("echo nonsense", .connected),
        ])
    func facts(probe: String, state: FarmFact.State) async throws {
        let folder = try TemporaryFolder()
        _ = FileSystem.createFolder(folder.file("sockets"))
        try folder.write("", to: "sockets/xrdpapi_10")
        let owner = try #require(FileSystem.owner(of: folder.file("sockets/xrdpapi_10")))
        var watch = #""sockets":"\#(folder.file("sockets"))""#
        if !probe.isEmpty { watch += #","probe":"\#(try folder.script(probe, to: "probe"))""# }
        let alice = FarmSubject(account: "alice", app: "mail")
        let nobody = FarmSubject(account: "nobody", app: "mail")
        let site = try site(
            #","pollSeconds":1,"users":{"alice":"\#(owner)","nobody":"no-such-user"},"watch":{\#(watch)}"#)
        let facts = RecordingFacts([alice, nobody])
        let found = try await look(site, facts, count: 2)
        #expect(found.first { $0.subject == alice }?.state == state)
        #expect(found.first { $0.subject == nobody }?.state == .disconnected)
        try folder.write("", to: "sockets/xrdp_chansrv_socket_10")
        facts.facts.clear()
        let later = try await look(site, facts, count: 2)
        #expect(later.last { $0.subject == alice }?.state == .disconnected)
    }

    @Test(
        "faults of the configuration are told",
        arguments: [
            (#","start":"farm-start""#, "the path of farm-start"),
            (#","start":"/usr/local/my scripts/start""#, "without spaces"),
            (#","trustFarmVisibility":true"#, "needs 'watch.probe'"),
            (#","watch":{"sockets":"/run"},"trustFarmVisibility":true"#, "needs 'watch.probe'"),
            (#","watch":{"probe":"/no/such"}"#, "is not a program"), (#","watch":{"sockets":1}"#, "expected a string"),
        ])
    func faults(text: String, message: String) {
        let error = #expect(throws: ConfigError.self) { _ = try site(text) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }
}
