import Base
import Gateway
import Testing

@Suite("what farms say of sessions")
struct FarmFactTests {
    private let now = Moment(nanoseconds: 1_000_000_000)
    private let noon = Timestamp(seconds: 1_795_262_400)
    private let mail = FarmSubject(account: "alice", app: "mail")

    private func session(_ id: SessionID, device: DeviceID = "d1", app: AppID = "mail") -> Session {
        Session(
            id: id, account: "alice", device: device, app: app, instance: id.text, registration: "r1",
            presence: .active, seq: 0, leaseEnd: now + SessionTable.lease, opened: noon, raised: now)
    }

    private func fact(_ state: FarmFact.State, _ seen: Moment, lasts: Duration = .seconds(6)) -> FarmFact {
        FarmFact(mail, state, seen: seen, lasts: lasts)
    }

    private func table(_ sessions: Session...) -> SessionTable {
        var table = SessionTable()
        for session in sessions { table.open(session) }
        return table
    }

    @Test("SG-7 farm facts only lower, and only the app they are about", arguments: FarmFact.State.allCases)
    func lower(state: FarmFact.State) {
        var table = table(session("s1"), session("s2", device: "d2"), session("s3", app: "chat"))
        _ = table.report("s2", seq: 1, presence: .hidden, now: now, at: noon)
        let changed = table.take(fact(state, now), now: now)
        #expect(changed.map(\.id) == (state.lowers ? ["s1"] : []))
        #expect((table.foregroundUntil(device: "d1", app: "mail", now: now) == nil) == state.lowers)
        // Connected and visible never raise what the client calls hidden.
        #expect(table.foregroundUntil(device: "d2", app: "mail", now: now) == nil)
        #expect(table.foregroundUntil(device: "d1", app: "chat", now: now) != nil)
        #expect(table.take(fact(state, now), now: now).isEmpty)
    }

    @Test("SG-7 a stale session: its client goes on beating, its connection is gone, so it is not in front")
    func beats() {
        var table = table(session("s1"))
        for second in 1...20 {
            let moment = now + .seconds(second)
            _ = table.take(fact(.disconnected, moment), now: moment)
            guard
                case .applied(let session, _, let wasForeground) = table.report(
                    "s1", seq: Int64(second), presence: .visible, now: moment, at: noon)
            else {
                Issue.record("a beat was not taken")
                return
            }
            #expect(!session.isForeground(at: moment) && !wasForeground)
        }
        #expect(table.inFront(apps: ["mail"], now: now + .seconds(20)) == [mail], "the farm is to be asked on")
        #expect(table.expire(now: now + .seconds(20)).isEmpty, "its lease has not ended")
        let last = now + .seconds(21)
        #expect(table.take(fact(.visible, last), now: last).map(\.id) == ["s1"])
    }

    @Test("SG-7 a client that comes forward after the farm looked knows better than the farm")
    func newer() {
        var table = table(session("s1"))
        _ = table.take(fact(.hidden, now), now: now)
        _ = table.report("s1", seq: 1, presence: .hidden, now: now + .seconds(1), at: noon)
        _ = table.report("s1", seq: 2, presence: .visible, now: now + .seconds(2), at: noon)
        let moment = now + .seconds(3)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: moment) != nil)
        // This answer took its time: the farm looked before the client came forward.
        #expect(table.take(fact(.hidden, now + .seconds(1)), now: moment).isEmpty)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: moment) != nil)
        #expect(table.take(fact(.hidden, moment), now: moment).map(\.id) == ["s1"])
    }

    @Test("SG-7 a farm whose listing hangs is unknown after a while: its last word is not kept")
    func hangs() {
        var table = table(session("s1"))
        _ = table.take(fact(.disconnected, now), now: now)
        #expect(table.lift(now: now + .seconds(5)).isEmpty)
        _ = table.report("s1", seq: 1, presence: .visible, now: now + .seconds(5), at: noon)
        #expect(table.lift(now: now + .seconds(6)).map(\.id) == ["s1"])
        #expect(table.lift(now: now + .seconds(6)).isEmpty)
        #expect(table["s1"]?.farm(at: now + .seconds(6)) == .unknown)
    }

    @Test("SG-7 two devices: what the farm sees of all clients together counts for both")
    func twoDevices() {
        var table = table(session("s1"), session("s2", device: "d2"))
        #expect(Set(table.take(fact(.disconnected, now), now: now).map(\.id)) == ["s1", "s2"])
        #expect(!table.isForeground(account: "alice", app: "mail", now: now))
        // One of two clients of the session is hidden: the farm says visible, and each device is as it reports.
        _ = table.report("s2", seq: 1, presence: .hidden, now: now, at: noon)
        _ = table.take(fact(.visible, now), now: now)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) != nil)
        #expect(table.foregroundUntil(device: "d2", app: "mail", now: now) == nil)
    }

    @Test("SG-7 two clients on one device: the app is in front when one of them is")
    func twoClients() {
        var table = table(session("s1"), session("s2"))
        _ = table.report("s1", seq: 1, presence: .hidden, now: now, at: noon)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) != nil)
        _ = table.report("s2", seq: 1, presence: .gone, now: now, at: noon)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) == nil)
    }

    @Test("SG-7 a crashed client: the farm lowers at once what the lease would have kept for 15 s")
    func crash() {
        var table = table(session("s1"))
        let moment = now + .seconds(1)
        #expect(table.take(fact(.disconnected, moment), now: moment).map(\.id) == ["s1"])
        #expect(table.expire(now: now + .seconds(16)).map(\.id) == ["s1"])
        #expect(table.inFront(apps: ["mail"], now: now + .seconds(16)).isEmpty)
    }

    @Test("SG-7 a frozen client: nothing tells the farm, the lease ends")
    func frozen() {
        var table = table(session("s1"))
        let moment = now + SessionTable.lease
        _ = table.take(fact(.visible, moment), now: moment)
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: moment) == nil)
        #expect(table.expire(now: moment).map(\.id) == ["s1"])
    }
}
