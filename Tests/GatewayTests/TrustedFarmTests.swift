import Base
import Gateway
import GatewayTestKit
import Testing

/// Clients that cannot report, such as a Remote Desktop client: their farm speaks for them where it is trusted.
@Suite("what a trusted farm says", .timeLimit(.minutes(2)))
struct TrustedFarmTests {
    private let now = Moment(nanoseconds: 1_000_000_000)
    private let noon = Timestamp(seconds: 1_795_262_400)
    private let mail = FarmSubject(account: "alice", app: "mail")

    private func session(_ id: SessionID, isFarms: Bool = true) -> Session {
        var session = Session(
            id: id, account: "alice", device: "d1", app: "mail", instance: id.text, registration: "r1",
            presence: isFarms ? .hidden : .active, seq: 0, leaseEnd: isFarms ? now : now + SessionTable.lease,
            opened: noon, raised: now)
        session.isFarms = isFarms
        return session
    }

    private func fact(_ state: FarmFact.State, _ seen: Moment) -> FarmFact {
        FarmFact(mail, state, seen: seen, lasts: .seconds(6))
    }

    @Test("SG-7 visible counts for 15 s from the farm's look; hidden ends it at once; who disconnects is gone")
    func states() {
        var table = SessionTable()
        table.open(session("s1"))
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) == nil)
        #expect(table.inFront(apps: ["mail"], now: now) == [mail], "the farm is asked")
        #expect(table.inFront(apps: ["chat"], now: now) == [])
        for state in [FarmFact.State.connected, .unknown, .hidden] {
            #expect(table.take(fact(state, now), now: now).isEmpty, "\(state) raises nothing")
        }
        let later = now + .seconds(5)
        #expect(table.take(fact(.visible, now + .seconds(2)), now: later).map(\.presence) == [.visible])
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: later) == now + .seconds(17))
        #expect(table.isShownByFarm(device: "d1", app: "mail", now: later))
        #expect(table.take(fact(.connected, later), now: later).isEmpty)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now + .seconds(17)) == nil, "no word since")
        #expect(table.expire(now: now + .seconds(17)).map(\.id) == ["s1"])
        let again = now + .seconds(18)
        #expect(table.take(fact(.visible, again), now: again).map(\.id) == ["s1"])
        #expect(table.take(fact(.hidden, again), now: again).map(\.presence) == [.hidden])
        #expect(!table.isShownByFarm(device: "d1", app: "mail", now: again))
        #expect(table.take(fact(.disconnected, again), now: again).map(\.presence) == [.gone])
        #expect(table.count == 0 && table.take(fact(.visible, again), now: again).isEmpty)
    }

    @Test("SG-7 a look from before the launch says nothing of it; nor does one of another account or app")
    func others() {
        var table = SessionTable()
        table.open(session("s1"))
        let moment = now + .seconds(1)
        #expect(table.take(fact(.visible, Moment(nanoseconds: 0)), now: moment).isEmpty)
        for subject in [FarmSubject(account: "bob", app: "mail"), FarmSubject(account: "alice", app: "chat")] {
            let fact = FarmFact(subject, .visible, seen: moment, lasts: .seconds(6))
            #expect(table.take(fact, now: moment).isEmpty)
        }
    }

    @Test("SG-7 a client of the same device that speaks for itself takes the farm's place")
    func ownWord() {
        var table = SessionTable()
        table.open(session("s1"))
        _ = table.take(fact(.visible, now), now: now)
        table.open(session("s2", isFarms: false))
        _ = table.report("s2", seq: 1, presence: .hidden, now: now, at: noon)
        _ = table.take(fact(.visible, now + .seconds(1)), now: now + .seconds(1))
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now + .seconds(1)) == nil)
        #expect(table["s1"] == nil)
    }

    /// An app was brought up by a program in the farm's session, for a device that never reports.
    private func launched(_ test: TestGateway) async throws -> (phone: Device, registration: Registration) {
        let phone = try await test.device()
        let registration = try await test.watched(phone)
        test.farm.starts.withLock { $0 = .program }
        _ = try await test.gateway.launches.launch(app: "mail", message: nil, device: phone)
        _ = try await test.gateway.launches.redeem(try #require(test.farm.requests.last).ticket)
        return (phone, registration)
    }

    private func see(_ state: FarmFact.State, _ test: TestGateway) async throws {
        try await test.farm.report(state, account: "alice", app: "mail", seen: test.time.now)
    }

    @Test("SG-9 SG-11 seen by the farm: the launch is confirmed and nobody is rung; minimised: pushed")
    func story() async throws {
        try await TestGateway.run { test in
            test.farm.trusts.withLock { $0 = true }
            let (_, registration) = try await launched(test)
            #expect(test.log.records(of: .launchConfirmed).isEmpty, "nobody has seen it yet")
            try await see(.visible, test)
            try await test.waitForLog(.launchConfirmed)
            let first = try await test.news(registration, "1")
            try await test.waitForDecision(first, "stream visible_session")
            for _ in 0..<3 {
                try await test.advance(by: .seconds(8))
                try await see(.visible, test)
            }
            try await test.waitForLog(.notificationSuppressed)
            try await test.waitUntilIdle()
            #expect(test.push.alerts.isEmpty)
            let second = try await test.news(registration, "2")
            try await test.waitForDecision(second, "stream visible_session")
            try await see(.hidden, test)
            try await test.waitForDecision(second, "push session_hidden")
            try await test.push.pushes.wait(count: 1)
        }
    }

    @Test("SG-7 a farm that is not trusted raises nothing; a restart forgets what one said")
    func doubt() async throws {
        try await TestGateway.run { test in
            let (_, registration) = try await launched(test)
            #expect(test.gateway.sessions.count == 0)
            try await see(.visible, test)
            try await test.waitForDecision(try await test.news(registration, "1"), "push no_connection")
        }
        try await TestGateway.run { test in
            test.farm.trusts.withLock { $0 = true }
            let (_, registration) = try await launched(test)
            try await see(.visible, test)
            try await test.waitForLog(.launchConfirmed)
            try await test.restart()
            try await see(.visible, test)
            try await test.waitForWatching(registration.id)
            try await test.waitForDecision(try await test.news(registration, "1"), "push no_connection")
        }
    }

    @Test("SG-7 after a restart no client is in front, whatever it said before; its next log-in counts")
    func restart() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            let session = try await test.logIn(phone)
            #expect(test.gateway.sessions.foregroundUntil(device: phone.id, app: "mail") != nil)
            try await test.crash()
            try await test.waitForWatching(registration.id)
            #expect(test.gateway.sessions.count == 0)
            #expect(test.present(session, phone, .visible) == nil, "the page is told to open anew")
            try await test.waitForDecision(try await test.news(registration, "1"), "push no_connection")
            try await test.logIn(phone)
            try await test.waitForDecision(try await test.news(registration, "2"), "stream visible_session")
        }
    }
}
