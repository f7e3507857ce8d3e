import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import HTTPMonitor

@Suite(.timeLimit(.minutes(2))) struct HTTPMonitorConformanceTests {
    @Test("the http monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        try await MonitorConformance.run(check, OASubject())
    }
}

/// What only lists have.
@Suite(.timeLimit(.minutes(2))) struct HTTPMonitorListTests {
    /// Watches until the body ends, with the time moving on request.
    static func watching(
        _ subject: OASubject, _ body: @escaping @Sendable (RecordingMonitorHost) async throws -> Void
    ) async throws -> RecordingMonitorHost {
        let host = RecordingMonitorHost()
        try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
            try await host.waitForWatching()
            try await body(host)
        }
        return host
    }

    /// Lets the monitor ask once more and come to rest.
    static func nextPoll(_ subject: OASubject) async throws {
        let before = subject.fake.pages + subject.fake.unchanged
        try await subject.time.waitForSleepers(1)
        subject.time.advanceToNextDeadline()
        try await Eventually.wait("asked again") { subject.fake.pages + subject.fake.unchanged > before }
        try await subject.time.waitForSleepers(1)
    }

    @Test("SG-5 another order, changed words and items that come back do not ring")
    func reordered() async throws {
        let subject = try OASubject()
        let host = try await Self.watching(subject) { host in
            for id in ["a", "b", "c"] { try await subject.deliver(TestNews(id, id: id)) }
            try await Self.nextPoll(subject)
            subject.fake.change { $0.reverse() }
            try await Self.nextPoll(subject)
            subject.fake.change { $0[1].subject = "b, edited" }
            try await Self.nextPoll(subject)
            subject.fake.change { $0.removeAll { $0.id == "c" } }
            try await Self.nextPoll(subject)
            try await subject.deliver(TestNews("c", id: "c"))
            try await Self.nextPoll(subject)
        }
        #expect(host.rung.map(\.title) == ["a", "b", "c"] && host.gone == ["c"])
    }

    @Test("items without ids are known by what they say")
    func missingIDs() async throws {
        let subject = try OASubject()
        let host = try await Self.watching(subject) { _ in
            subject.fake.change { $0 = [.init(id: nil, subject: "one", time: "2026-11-21T08:00:00Z")] }
            try await Self.nextPoll(subject)
            subject.fake.change { $0.append(.init(id: nil, subject: "two", time: nil)) }
            try await Self.nextPoll(subject)
            subject.fake.change { $0.reverse() }
            try await Self.nextPoll(subject)
        }
        #expect(host.rung.map(\.title) == ["one", "two"])
    }

    @Test("what has not changed is not sent again, and an unchanged list makes no batch")
    func entityTag() async throws {
        let subject = try OASubject()
        let host = try await Self.watching(subject) { _ in
            for _ in 1...3 { try await Self.nextPoll(subject) }
        }
        #expect(subject.fake.pages == 1 && subject.fake.unchanged == 3 && host.batches == 1)
    }

    @Test("a page that leads back to itself is a fault, not a loop")
    func circle() async throws {
        let page = JSON.object(["data": ["tasks": [["id": "a", "subject": "s"]], "next": "?from=0"]]).serializedBytes
        let web = FaultyWeb(time: ManualTime()) { _ in HTTPResponse(status: 200, body: page) }
        let monitor = try HTTPMonitor.configured(by: HTTPMonitorPlugin(), OASubject.configuration, transport: web)
        let host = RecordingMonitorHost()
        let credentials = ["username": Secret("a/lice"), "token": Secret(FakeOA.token)]
        try await MonitorRun.during(monitor, credentials: credentials, host: host) { try await host.waitForFailures() }
        #expect(host.failures.first?.code == .protocolViolation && web.requests == 2)
    }

    @Test("an item that was read before it was first seen does not ring")
    func readBefore() async throws {
        let subject = try OASubject()
        let host = try await Self.watching(subject) { _ in
            subject.fake.change { $0.append(.init(id: "r", subject: "read", time: nil, isRead: true)) }
            try await Self.nextPoll(subject)
        }
        #expect(host.rung.isEmpty)
    }

    @Test("a next page on another server gets no credentials")
    func foreignPage() async throws {
        let subject = try OASubject(
            OASubject.configuration.replacing("\"next\":\"/data/next\"", with: "\"next\":\"/data/tasks/0/evil\""))
        let host = RecordingMonitorHost()
        subject.fake.change {
            $0.append(.init(id: "e", subject: "e", extra: ["evil": "http://evil.test/users/a%2Flice/tasks"]))
        }
        try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
            try await host.waitForFailures()
        }
        #expect(host.failures.first?.code == .protocolViolation)
        #expect(subject.fake.pages == subject.web.requests)
    }

    @Test("over a real connection: Link paging, a header as credential, Retry-After")
    func realConnection() async throws {
        let seen = Recorder<PeerRequest>()
        let authority = try TestCertificateAuthority()
        let peer = try HTTPPeer(name: "oa", identity: authority.localhost) { request in
            seen.append(request)
            if seen.count > 2 { return .answer(503, headers: ["Retry-After": "120"]) }
            let isFirst = request.path == "/list?open=1"
            return .answer(
                200, headers: isFirst ? ["Link": "<https://localhost/>; rel=\"prev\", </list?page=2>; rel=next"] : [:],
                body: Array((isFirst ? #"[{"id":1}]"# : #"[{"id":2}]"#).utf8))
        }
        defer { peer.stop() }
        let client = try HTTPClient()
        let time = ManualTime()
        let monitor = try HTTPMonitor.configured(
            by: HTTPMonitorPlugin(),
            """
            {"monitor":{"url":"https://localhost:\(peer.port)/list?open=1","caFile":"\(authority.caFile)",\
            "authentication":"header","header":"X-Auth","id":"/id","next":"link"}}
            """, transport: client, time: time)
        let host = RecordingMonitorHost()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await client.run() }
            try await MonitorRun.during(monitor, credentials: ["token": Secret("k")], host: host) {
                try await host.waitForWatching()
                try await time.waitForSleepers(1)
                time.advanceToNextDeadline()
                try await host.waitForFailures()
            }
            client.beginShutdown()
            try await group.waitForAll()
        }
        #expect(seen.all.prefix(2).map(\.path) == ["/list?open=1", "/list?page=2"])
        #expect(seen.all.allSatisfy { $0.headers["X-Auth"] == "k" && $0.headers["Authorization"] == nil })
        guard case .throttled(let until)? = host.failures.first?.code else {
            Issue.record("\(host.failures)")
            return
        }
        #expect(until - time.now > .seconds(100))
    }
}
