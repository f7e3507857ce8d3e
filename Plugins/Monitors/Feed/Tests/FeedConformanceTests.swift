import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Outbound
import Testing

@testable import FeedMonitor

@Suite(.timeLimit(.minutes(3))) struct FeedConformanceTests {
    @Test(
        "the feed monitor keeps the contract, in every form", arguments: MonitorConformance.Check.allCases,
        FeedForm.allCases)
    func conformance(check: MonitorConformance.Check, form: FeedForm) async throws {
        try await MonitorConformance.run(check, SiteSubject(form, withLogin: false))
        try await MonitorConformance.run(check, SiteSubject(form, withLogin: true))
    }

    @Test("what has not changed is not sent again")
    func entityTag() async throws {
        let subject = try SiteSubject(.atom, withLogin: false)
        let (monitor, time) = (subject.monitor, subject.time)
        let host = RecordingMonitorHost()
        try await MonitorRun.during(monitor, credentials: [:], host: host) {
            try await host.waitForWatching()
            for count in 1...3 {
                try await time.waitForSleepers(1)
                time.advanceToNextDeadline()
                try await Eventually.wait("asked again") { subject.site.unchanged == count }
            }
        }
        #expect(subject.site.sent == 1)
    }

    @Test("a feed that is the same for all is fetched once, however many watch it")
    func shared() async throws {
        let subject = try SiteSubject(.rss, withLogin: false)
        let hosts = (0..<200).map { _ in RecordingMonitorHost() }
        let (monitor, time) = (subject.monitor, subject.time)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, host) in hosts.enumerated() {
                group.addTask {
                    try await monitor.watch(
                        MonitorTarget(
                            registration: RegistrationID("r\(number)"), account: "a", credentials: [:], cursor: nil),
                        host: host)
                }
            }
            for host in hosts { try await host.waitForWatching() }
            try await time.waitForSleepers(hosts.count)
            #expect(subject.web.requests == 1)
            try await subject.deliver(TestNews("for all", id: "1"))
            time.advance(by: .seconds(70))
            for host in hosts { try await host.waitForItems(1) }
            #expect(subject.web.requests == 2)
            group.cancelAll()
            while let result = await group.nextResult() {
                if case .failure(let error) = result { #expect(error is CancellationError) }
            }
        }
    }

    @Test(
        "over a real connection: a redirect is followed, If-Modified-Since is sent, the character set is the document's"
    )
    func realConnection() async throws {
        let authority = try TestCertificateAuthority()
        let seen = Recorder<PeerRequest>()
        let words: [UInt8] = [0xC4, 0xE3, 0xBA, 0xC3]
        let document =
            Array(#"<?xml version="1.0" encoding="GBK"?><rss><channel><item><guid>1</guid><title>"#.utf8) + words
            + Array("</title></item></channel></rss>".utf8)
        let peer = try HTTPPeer(name: "site", identity: authority.localhost) { request in
            seen.append(request)
            if request.path == "/old" { return .answer(301, headers: ["Location": "/new"]) }
            if request.headers["If-Modified-Since"] != nil { return .answer(304) }
            return .answer(
                200, headers: ["Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT", "Content-Type": "text/xml"],
                body: document)
        }
        defer { peer.stop() }
        let client = try HTTPClient()
        let time = ManualTime()
        let monitor = try FeedMonitor.configured(
            by: FeedMonitorPlugin(),
            #"{"monitor":{"url":"https://localhost:\#(peer.port)/old","caFile":"\#(authority.caFile)"}}"#,
            transport: client, time: time)
        let host = RecordingMonitorHost(cursor: ListCursor(time: time.timestamp).encoded)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            try await MonitorRun.during(monitor, credentials: [:], host: host) {
                try await host.waitForItems(1)
                try await time.waitForSleepers(1)
                time.advanceToNextDeadline()
                try await seen.wait(count: 4)
                try await time.waitForSleepers(1)
            }
            client.beginShutdown()
            try await group.waitForAll()
        }
        #expect(host.rung.map(\.title) == ["你好"] && host.failures.isEmpty)
        #expect(seen.last?.headers["If-Modified-Since"] == "Sat, 21 Nov 2026 08:00:00 GMT")
    }
}
