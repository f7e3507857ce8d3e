import Base
import Testing

@testable import Gateway

/// A world for the machine: who watches whom, what accounts say of themselves, and a clock.
private struct PresenceWorld {
    var machine: PresenceMachine
    var now = Moment(nanoseconds: 1_000_000_000)
    var timestamp = Timestamp(seconds: 1_795_262_400)
    var own: [AccountID: OwnStatus] = [:]
    var watchers: [AccountID: [AccountID]] = ["alice": ["bob", "carol"]]
    var stored: [AccountID: Timestamp] = [:]

    init(perSecond: Int = 1000) { machine = PresenceMachine(perSecond: perSecond) }

    var view: PresenceView {
        let (own, watchers, stored) = (own, watchers, stored)
        return PresenceView(
            now: now, timestamp: timestamp, own: { own[$0] }, watchers: { watchers[$0] ?? [] },
            lastSeen: { stored[$0] })
    }

    /// Lets time pass from deadline to deadline; what was told meanwhile, with the seconds.
    mutating func wait(_ duration: Duration) -> [String] {
        let (start, end) = (now, now + duration)
        var texts = fire(start)
        while let next = machine.nextDeadline(now), next <= end {
            timestamp = timestamp + (max(next, now) - now)
            now = max(next, now)
            texts += fire(start)
        }
        timestamp = timestamp + (end - now)
        now = end
        return texts + fire(start)
    }

    private mutating func fire(_ start: Moment) -> [String] {
        let at = (now - start).milliseconds
        return machine.fire(view).compactMap { action in
            switch action {
            case .announced: nil
            case .tell(let watchers, let subject, let presence):
                "\(at) \(watchers.map(\.text).joined(separator: ",")) \(subject) \(presence.state)"
                    + (presence.text.map { " '\($0)'" } ?? "")
            case .look(let watcher, let subject): "\(at) \(watcher) looks at \(subject)"
            }
        }
    }

    mutating func connect(_ device: DeviceID = "d1") { machine.stream("alice", device, isOpen: true, view) }
    mutating func leave(_ device: DeviceID = "d1") { machine.stream("alice", device, isOpen: false, view) }
    mutating func say(_ word: OwnStatus.Word, _ text: String? = nil) {
        var status = own["alice"] ?? OwnStatus(since: timestamp)
        (status.word, status.text, status.since) = (word, text, timestamp)
        own["alice"] = status
        machine.said("alice", view)
    }
    mutating func client(_ state: PresenceMachine.ClientState) { machine.client("alice", "s1", state, view) }
}

@Suite struct PresenceMachineTests {
    @Test("IM-9 whoever connects is online at once, and offline when gone for the grace")
    func comesAndGoes() {
        var world = PresenceWorld()
        world.connect()
        #expect(world.wait(.seconds(2)) == ["0 bob,carol alice online"])
        world.leave()
        #expect(world.wait(.milliseconds(4999)) == [])
        #expect(world.machine.shown("alice").state == .online)
        #expect(world.wait(.milliseconds(1)) == ["1 bob,carol alice offline"])
        #expect(world.wait(.seconds(60)) == [])
        #expect(world.machine.count == 0, "nothing is kept of somebody who is gone")
    }

    @Test("IM-9 a connection that comes back within the grace shows nothing")
    func flapping() {
        var world = PresenceWorld()
        world.connect()
        _ = world.wait(.seconds(2))
        for _ in 0..<20 {
            world.leave()
            #expect(world.wait(.seconds(4)) == [])
            world.connect()
            #expect(world.wait(.milliseconds(100)) == [])
        }
        // The grace counts from the last time.
        world.leave()
        #expect(world.wait(.milliseconds(4900)) == [])
        #expect(world.wait(.milliseconds(100)) == ["100 bob,carol alice offline"])
    }

    @Test("IM-9 changes are told at most once a second, and the last one wins")
    func coalesced() {
        var world = PresenceWorld()
        world.connect()
        _ = world.wait(.seconds(2))
        world.say(.busy)
        #expect(world.wait(.zero) == ["0 bob,carol alice busy"])
        for word in [OwnStatus.Word.lunch, .online, .away, .lunch] { world.say(word) }
        #expect(world.wait(.milliseconds(999)) == [])
        #expect(world.wait(.seconds(10)) == ["1 bob,carol alice lunch"])
        // What is as it was told needs no telling.
        world.say(.busy, "back soon")
        world.say(.lunch)
        #expect(world.wait(.seconds(10)) == [])
    }

    @Test("IM-9 invisible looks offline at once, and so does coming and going meanwhile")
    func invisible() {
        var world = PresenceWorld()
        world.connect()
        _ = world.wait(.seconds(2))
        world.say(.invisible, "not here")
        #expect(world.wait(.seconds(1)) == ["0 bob,carol alice offline"])
        let told = world.machine.shown("alice")
        #expect(told == .offline)
        world.leave()
        world.connect("d2")
        #expect(world.wait(.seconds(60)) == [])
        // When it was last seen does not tell either.
        world.own["alice"]?.showsLastSeen = true
        let since = world.own["alice"]?.since
        world.leave("d2")
        _ = world.wait(.seconds(60))
        #expect(world.machine.present("alice", world.view).lastSeen == since)
    }

    @Test("IM-9 last seen is when the last connection ended, and only where it may be told")
    func lastSeen() {
        var world = PresenceWorld()
        world.stored["alice"] = Timestamp(seconds: 5)
        #expect(world.machine.present("alice", world.view) == .offline)
        world.say(.online)
        world.own["alice"]?.showsLastSeen = true
        #expect(world.machine.present("alice", world.view).lastSeen == Timestamp(seconds: 5))
        world.connect()
        _ = world.wait(.seconds(30))
        let left = world.timestamp
        world.leave()
        _ = world.wait(.seconds(3600))
        #expect(world.machine.shown("alice") == AccountPresence(.offline, lastSeen: left))
    }

    @Test(
        "IM-9 clients of apps count where the account allows it: in front is here, only hidden is away, ended is gone")
    func fromSessions() {
        var world = PresenceWorld()
        world.client(.front)
        #expect(world.wait(.seconds(60)) == [], "not allowed")
        world.say(.online)
        world.own["alice"]?.fromSessions = true
        world.machine.said("alice", world.view)
        #expect(world.wait(.seconds(2)) == ["0 bob,carol alice online"])
        world.client(.hidden)
        #expect(world.wait(.seconds(4)) == [], "within the grace")
        world.client(.front)
        #expect(world.wait(.seconds(10)) == [], "and back")
        world.client(.hidden)
        #expect(world.wait(.seconds(10)) == ["5000 bob,carol alice away"])
        // What it says of itself goes before.
        world.say(.lunch)
        #expect(world.wait(.seconds(10)) == ["0 bob,carol alice lunch"])
        world.say(.online)
        #expect(world.wait(.seconds(10)) == ["5000 bob,carol alice away"])
        world.client(.ended)
        #expect(world.wait(.seconds(10)) == ["5000 bob,carol alice offline"])
        // A hidden client of which nothing is heard does not make anybody be there for ever.
        world.client(.hidden)
        #expect(world.wait(.seconds(60)) == ["5000 bob,carol alice away"])
        #expect(world.wait(PresenceMachine.hiddenLasts) == ["1745000 bob,carol alice offline"])
    }

    @Test("IM-9 a connection elsewhere counts: busy there goes before a stream, away there after it")
    func outside() {
        var world = PresenceWorld()
        func elsewhere(_ world: inout PresenceWorld, _ presence: AccountPresence?) {
            world.machine.outside("alice", "bridge", presence, world.view)
        }
        elsewhere(&world, AccountPresence(.away, text: "tea"))
        #expect(world.wait(.seconds(10)) == ["5000 bob,carol alice away 'tea'"])
        world.connect()
        #expect(world.wait(.seconds(10)) == ["0 bob,carol alice online"])
        elsewhere(&world, AccountPresence(.busy))
        #expect(world.wait(.seconds(10)) == ["0 bob,carol alice busy"])
        elsewhere(&world, nil)
        #expect(world.wait(.seconds(10)) == ["0 bob,carol alice online"])
        #expect(world.machine.isConnected("alice"))
    }

    @Test("IM-9 what is told in a second is bounded; whoever is told late is told how it is then")
    func bounded() {
        var world = PresenceWorld(perSecond: 100)
        world.watchers["alice"] = (0..<250).map { AccountID("w\($0)") }
        func told(_ texts: [String]) -> Int {
            texts.reduce(0) { $0 + ($1.split(separator: " ")[1].split(separator: ",").count) }
        }
        world.connect()
        // A tenth of a second's at once, then as many as become due.
        let first = world.wait(.seconds(1))
        #expect((100...112).contains(told(first)))
        world.say(.busy)
        let second = world.wait(.milliseconds(500))
        #expect(second.allSatisfy { $0.contains("online") || $0.contains("busy") })
        let rest = world.wait(.seconds(20))
        // Everybody has heard of the last state, and nobody was told twice within the second.
        #expect(told(first) + told(second) + told(rest) == 500)
        #expect(told(rest.filter { $0.contains("busy") }) == 250)
        #expect(world.machine.waiting == 0)
    }

    @Test("IM-9 accounts that wait to be told stand there once, however often they change")
    func queueBounded() {
        var world = PresenceWorld(perSecond: 10)
        let subjects = (0..<50).map { AccountID("s\($0)") }
        for subject in subjects { world.watchers[subject] = ["bob"] }
        for subject in subjects { world.machine.stream(subject, "d", isOpen: true, world.view) }
        var told = world.wait(.milliseconds(1))
        #expect(world.machine.waiting == 49)
        for round in 0..<20 {
            for subject in subjects {
                world.own[subject] = OwnStatus(round % 2 == 0 ? .busy : .lunch, since: world.timestamp)
                world.machine.said(subject, world.view)
            }
            told += world.wait(.milliseconds(50))
            #expect(world.machine.waiting <= 50)
        }
        told += world.wait(.seconds(30))
        for subject in subjects { #expect(told.last { $0.contains(" \(subject) ") }?.hasSuffix("lunch") == true) }
    }

    @Test("IM-8 one who may see another from now on looks once, a second later, and only so many wait")
    func pairs() {
        var world = PresenceWorld()
        for _ in 0..<5 { world.machine.relate("bob", "alice", world.view) }
        #expect(world.wait(.seconds(5)) == ["1000 bob looks at alice"])
        for index in 0..<(PresenceMachine.pairsLimit + 100) {
            world.machine.relate(AccountID("w\(index)"), "alice", world.view)
        }
        #expect(world.wait(.seconds(5)).count == PresenceMachine.pairsLimit)
    }

    @Test("a deleted account is forgotten with what waits")
    func forgotten() {
        var world = PresenceWorld()
        world.connect()
        world.machine.relate("alice", "bob", world.view)
        world.machine.forget("alice")
        #expect(world.wait(.seconds(10)) == [])
        #expect(world.machine.count == 0)
    }
}
