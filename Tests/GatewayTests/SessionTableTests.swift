import Base
import Gateway
import Testing

@Suite("the session table")
struct SessionTableTests {
    private let now = Moment(nanoseconds: 0)
    private let noon = Timestamp(seconds: 1_795_262_400)

    private func session(_ id: SessionID, device: DeviceID = "d1", app: AppID = "mail") -> Session {
        Session(
            id: id, account: "alice", device: device, app: app, instance: id.text, registration: "r1",
            presence: .active, seq: 0, leaseEnd: now + SessionTable.lease, opened: noon)
    }

    private func table() -> SessionTable {
        var table = SessionTable()
        table.open(session("s1"))
        return table
    }

    @Test("SG-7 a foreground report counts for 15 s")
    func lease() {
        var table = table()
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) == now + .seconds(15))
        #expect(table.foregroundUntil(device: "d1", app: "chat", now: now) == nil)
        #expect(table.foregroundUntil(device: "d2", app: "mail", now: now) == nil)
        _ = table.report("s1", seq: 1, presence: .visible, now: now + .seconds(14), at: noon)
        #expect(table.expire(now: now + .seconds(28)).isEmpty)
        #expect(table.isForeground(account: "alice", app: "mail", now: now + .seconds(28)))
        #expect(table.expire(now: now + .seconds(29)).map(\.id) == ["s1"])
        #expect(table.expire(now: now + .seconds(29)).isEmpty)
        #expect(!table.isForeground(account: "alice", app: "mail", now: now + .seconds(29)))
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now + .seconds(29)) == nil)
    }

    @Test("SG-7 out of order the highest number wins")
    func sequence() {
        var table = table()
        _ = table.report("s1", seq: 7, presence: .hidden, now: now, at: noon)
        for seq in [Int64(5), 7] {
            guard case .stale(let current) = table.report("s1", seq: seq, presence: .active, now: now, at: noon) else {
                Issue.record("a beat that is not newer was taken")
                continue
            }
            #expect(current.presence == .hidden)
        }
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) == nil)
        guard
            case .applied(let session, .hidden, false) = table.report(
                "s1", seq: 8, presence: .visible, now: now, at: noon)
        else {
            Issue.record("a newer beat was not taken")
            return
        }
        #expect(session.isForeground(at: now))
    }

    @Test(
        "SG-7 hidden and gone end the lease at once; gone removes the row", arguments: [Session.Presence.hidden, .gone])
    func ends(presence: Session.Presence) {
        var table = table()
        guard case .applied(_, .active, true) = table.report("s1", seq: 1, presence: presence, now: now, at: noon)
        else {
            Issue.record("it was not in front before")
            return
        }
        #expect(table.foregroundUntil(device: "d1", app: "mail", now: now) == nil)
        #expect(table.count == (presence == .gone ? 0 : 1))
        #expect(table.expire(now: now + .seconds(60)).isEmpty)
        #expect(table.count(of: "d1") == (presence == .gone ? 0 : 1))
    }

    @Test("SG-7 gone may be repeated for 300 s: the client may not have heard the answer")
    func repeatedGone() {
        var table = table()
        _ = table.report("s1", seq: 3, presence: .gone, now: now, at: noon)
        let last = now + (SessionTable.repeatGoneFor - .nanoseconds(1))
        for seq in [Int64(3), 2, 4] {
            guard case .stale(let session) = table.report("s1", seq: seq, presence: .gone, now: last, at: noon) else {
                Issue.record("a repeated end is unknown")
                continue
            }
            #expect(session.presence == .gone && session.device == "d1" && session.seq == 3)
        }
        #expect(table.report("s1", seq: 4, presence: .active, now: last, at: noon) == .unknown)
        #expect(table.count == 0 && table["s1"] == nil)
        let late = now + SessionTable.repeatGoneFor
        #expect(table.report("s1", seq: 3, presence: .gone, now: late, at: noon) == .unknown)
        #expect(table.ended("s1") == nil)
    }

    @Test("SG-7 10,000 ended sessions are remembered, for 300 s, whether anybody asks for them or not")
    func rememberedGone() {
        var table = SessionTable()
        for number in 0...SessionTable.rememberedGone {
            let id = SessionID("s\(number)")
            table.open(session(id))
            let moment = now + .milliseconds(number)
            guard case .applied = table.report(id, seq: 1, presence: .gone, now: moment, at: noon) else {
                Issue.record("\(id) did not end")
                return
            }
        }
        #expect(table.ended("s0") == nil)
        #expect(table.ended("s1") != nil && table.ended("s10000") != nil)
        _ = table.expire(now: now + .milliseconds(1) + SessionTable.repeatGoneFor)
        #expect(table.ended("s1") == nil && table.ended("s2") != nil)
        // A session that was logged out by another did not say goodbye itself.
        table.open(session("other"))
        table.remove("other")
        #expect(table.report("other", seq: 1, presence: .gone, now: now, at: noon) == .unknown)
    }

    @Test("rows nobody reports on are dropped after a day, a device's all at once")
    func forgotten() {
        var table = table()
        table.open(session("s2", device: "d2"))
        table.open(session("s3", device: "d2", app: "chat"))
        _ = table.report("s2", seq: 1, presence: .active, now: now, at: noon + .seconds(60))
        #expect(table.forget(at: noon + .seconds(86_430)).map(\.id).sorted() == ["s1", "s3"])
        #expect(table.session(device: "d2", app: "mail")?.id == "s2")
        #expect(table.session(device: "d2", app: "mail", instance: "s2")?.id == "s2")
        #expect(table.removeAll(device: "d2").map(\.id) == ["s2"])
        #expect(table.count == 0)
        #expect(table.removeAll(device: "d2").isEmpty)
        guard case .unknown = table.report("s2", seq: 9, presence: .active, now: now, at: noon) else {
            Issue.record("a removed session reports")
            return
        }
    }
}
