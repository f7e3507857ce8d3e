import Base
import Gateway
import Testing

@Suite("further channels, and how often a device is rung")
struct EscalationTests {
    /// One device with a second channel, its first push under way or accepted.
    private func world(_ seqs: [Int64] = [1], isAccepted: Bool = true) -> World {
        var world = World()
        world.channels = ["d1"]
        world.further = ["d1": ["mail"]]
        for seq in seqs {
            #expect(
                world.announce(world.subject(seq), devices: ["d1"])
                    == ["\(seq) d1: push no_connection", "push d1 [\(seq)]"])
            if isAccepted { #expect(world.finish("d1", [seq], .pushed) == ["record \(seq) d1 pushed"]) }
        }
        return world
    }

    @Test("the next channel when the first failed for good, and nothing after the last; then the next device")
    func failed() {
        var world = world(isAccepted: false)
        let next = ["1 d1: push channel_failed", "push d1 [1] by mail", "record 1 d1 failed"]
        #expect(world.finish("d1", [1], .failed) == next)
        #expect(world.finish("d1", [1], .failed, by: "mail") == ["record 1 d1 failed"])
        #expect(world.machine.pendingCount == 0)
        #expect(world.pass(.seconds(600)) == [])

        world.channels = ["d1", "d2"]
        _ = world.announce(world.subject(2))
        #expect(world.finish("d1", [2], .failed).contains("push d1 [2] by mail"))
        #expect(
            world.finish("d1", [2], .failed, by: "mail")
                == ["2 d2: push device_dead", "push d2 [2]", "record 2 d1 failed"])
        #expect(world.finish("d2", [2], .pushed) == ["record 2 d2 pushed"])
        #expect(world.machine.pendingCount == 0)
    }

    @Test("the next channel when nobody acknowledged in time, once")
    func notAcknowledged() {
        var world = world()
        #expect(world.pass(.seconds(59)) == [])
        #expect(world.pass(.seconds(1)) == ["1 d1: push escalated", "push d1 [1] by mail"])
        #expect(world.finish("d1", [1], .pushed, by: "mail") == ["record 1 d1 pushed"])
        #expect(world.pass(.seconds(600)) == [])
        #expect(world.machine.pendingCount == 0)
        #expect(world.machine.settled([key(1)]).flatMap(\.shown).count == 1, "taken back once")
    }

    @Test("acknowledged, tapped or read in time: no further channel", arguments: 0..<3)
    func acknowledged(how: Int) {
        var world = world()
        _ = world.pass(.seconds(30))
        switch how {
        case 0: #expect(world.texts(world.machine.acknowledged("d1", upTo: 1)) == [])
        case 1: world.machine.tapped(key(1))
        default: #expect(world.machine.settled([key(1)]).flatMap(\.shown).count == 1)
        }
        #expect(world.machine.pendingCount == 0)
        #expect(world.pass(.seconds(600)) == [])
    }

    @Test("another device's acknowledgement counts as well")
    func acknowledgedElsewhere() {
        var world = World()
        world.further = ["d1": ["mail"], "d2": ["mail"]]
        let subject = world.subject(1, targets: .all)
        _ = world.announce(subject)
        _ = world.finish("d1", [1], .pushed)
        _ = world.finish("d2", [1], .pushed)
        #expect(world.texts(world.machine.acknowledged("d2", upTo: 1)) == [])
        #expect(world.pass(.seconds(600)) == [])
        _ = world.announce(world.subject(2, targets: .all))
        _ = world.finish("d1", [2], .pushed)
        _ = world.finish("d2", [2], .pushed)
        #expect(
            world.pass(.seconds(60)).filter { $0.hasPrefix("push") } == ["push d1 [2] by mail", "push d2 [2] by mail"])
    }

    @Test("a service that is down for longer: the next channel is used, and the late push changes nothing")
    func serviceDown() {
        var world = world(isAccepted: false)
        #expect(world.pass(.seconds(60)) == ["1 d1: push escalated", "push d1 [1] by mail"])
        #expect(world.finish("d1", [1], .pushed, by: "phone") == [])
        #expect(world.finish("d1", [1], .pushed, by: "mail") == ["record 1 d1 pushed"])
        #expect(world.machine.pendingCount == 0)
    }

    @Test("time counts from when the first channel rang: what is held or grouped is not overtaken")
    func notBeforeItRang() {
        var world = World()
        world.channels = ["d1"]
        world.further = ["d1": ["mail"]]
        _ = world.announce(world.subject(1, group: .seconds(90)), devices: ["d1"])
        _ = world.finish("d1", [1], .pushed)
        _ = world.announce(world.subject(2, group: .seconds(90)), devices: ["d1"])
        #expect(world.pass(.seconds(60)) == ["1 d1: push escalated", "push d1 [1] by mail"])
        #expect(world.pass(.seconds(30)).last == "push d1 [2]")
        _ = world.finish("d1", [2], .pushed)
        #expect(world.pass(.seconds(59)) == [])
        #expect(world.pass(.seconds(1)).last == "push d1 [2] by mail")
    }

    @Test("what nobody acknowledged goes on as one digest, and a failed digest as one")
    func digest() {
        var world = world([1, 2, 3])
        #expect(world.pass(.seconds(60)) == ["3 d1: push escalated", "push d1 [1, 2, 3] by mail"])
        #expect(world.finish("d1", [1, 2, 3], .pushed, by: "mail").count == 3)
        let shown = world.machine.settled([key(1), key(3)]).flatMap(\.shown)
        #expect(shown.map(\.representative) == [key(1), key(3)], "what the first channel showed is taken back")
        var second = World()
        second.channels = ["d1"]
        second.further = ["d1": ["mail"]]
        for seq in Int64(1)...4 { _ = second.announce(second.subject(seq, group: .seconds(30)), devices: ["d1"]) }
        #expect(second.pass(.seconds(30)).last == "push d1 [2, 3, 4]")
        #expect(second.finish("d1", [2, 3, 4], .failed).contains("push d1 [2, 3, 4] by mail"))
    }

    @Test("devices before further channels; a device that is connected hears it on its stream instead")
    func order() {
        var world = World()
        world.channels = ["d1", "d2"]
        world.further = ["d1": ["mail"], "d2": ["mail"]]
        let targets = NotifyPreferences.Targets.escalate(["d1", "d2"], after: .seconds(20))
        _ = world.announce(world.subject(1, targets: targets))
        _ = world.finish("d1", [1], .pushed)
        #expect(world.pass(.seconds(20)).last == "push d2 [1]")
        _ = world.finish("d2", [1], .pushed)
        #expect(world.pass(.seconds(20)).last == "push d1 [1] by mail")
        _ = world.finish("d1", [1], .pushed, by: "mail")
        world.live = ["d2"]
        #expect(world.pass(.seconds(20)) == ["1 d2: notify escalated", "notify d2 [1]"])
        #expect(world.pass(.seconds(10)).last == "push d2 [1] by mail")
        _ = world.finish("d2", [1], .pushed, by: "mail")
        #expect(world.machine.pendingCount == 0)
    }

    @Test("after a restart: goes on behind the channel that is recorded, after the time again")
    func restart() {
        func again(
            _ targets: NotifyPreferences.Targets, _ done: [DeviceID: NotifierMachine.Told]
        ) -> (at: [String], later: [String]) {
            var fresh = World()
            fresh.further = ["d1": ["mail", "hook"]]
            let actions = fresh.machine.announce(
                fresh.subject(1, targets: targets), devices: ["d1", "d2"], done: done, fresh.view)
            return (fresh.texts(actions).filter { $0.hasPrefix("push") }, fresh.pass(.seconds(60)))
        }
        for targets in [NotifyPreferences.Targets.latest, .devices(["d1"])] {
            var found = again(targets, ["d1": .init(.pushed, channel: "phone")])
            #expect(found.at == [] && found.later.last == "push d1 [1] by mail")
            found = again(targets, ["d1": .init(.pushed, channel: "mail")])
            #expect(found.at == [] && found.later.last == "push d1 [1] by hook")
            found = again(targets, ["d1": .init(.pushed, channel: "hook")])
            #expect(found.at == [] && found.later == [])
            found = again(targets, ["d1": .init(.failed, channel: "phone")])
            #expect(found.at == ["push d1 [1] by mail"])
            // The dead channel was taken away: what is left comes after it.
            found = again(targets, ["d1": .init(.failed, channel: "gone")])
            #expect(found.at == ["push d1 [1]"])
            found = again(targets, ["d1": .init(.notified, channel: nil)])
            #expect(found.at == [] && found.later == [])
        }
        #expect(again(.latest, ["d1": .init(.failed, channel: "hook")]).at == ["push d2 [1]"])
        var fresh = World()
        fresh.further = ["d1": ["mail"]]
        _ = fresh.machine.announce(
            fresh.subject(1), devices: ["d1"], done: ["d1": .init(.pushed, channel: "phone")], fresh.view)
        #expect(fresh.texts(fresh.machine.acknowledged("d1", upTo: 1)) == [])
        #expect(fresh.machine.pendingCount == 0 && fresh.pass(.seconds(60)) == [])
    }

    @Test("a removed channel is skipped, a removed device forgotten")
    func removed() {
        var world = world([1, 2])
        world.further = [:]
        #expect(world.pass(.seconds(60)) == [])
        #expect(world.machine.pendingCount == 0)
        world = self.world()
        world.machine.removed("d1")
        #expect(world.machine.pendingCount == 0)
        #expect(world.pass(.seconds(600)) == [])
    }

    @Test("a device is rung so often in a minute; the rest is one digest as soon as it may be, high priority has more")
    func deviceRate() {
        var world = World()
        world.machine = NotifierMachine(devicePerMinute: 6)
        for seq in Int64(1)...6 { #expect(world.announce(world.subject(seq)).last == "push d1 [\(seq)]") }
        for seq in Int64(7)...9 { #expect(world.announce(world.subject(seq)) == ["\(seq) d1: hold device_rate"]) }
        // Others have their own.
        #expect(world.announce(world.subject(10, targets: .devices(["d2"]))).last == "push d2 [10]")
        #expect(world.announce(world.subject(11, priority: .high)).last == "push d1 [11]")
        #expect(world.pass(.seconds(9)) == [])
        // The high one was an advance that must be made good first.
        #expect(world.pass(.seconds(1)).allSatisfy { $0.contains("hold device_rate") })
        #expect(world.pass(.seconds(10)) == ["9 d1: push no_connection", "push d1 [7, 8, 9]"])
        var high = 0
        for seq in Int64(20)...60
        where world.announce(world.subject(seq, priority: .high)).last?.hasPrefix("push") == true {
            high += 1
        }
        #expect(high == 12, "three times six in a minute, and no more")
        var rung: [String] = []
        for _ in 0..<600 { rung += world.pass(.seconds(1)).filter { $0.hasPrefix("push") } }
        #expect(rung == ["push d1 \(Array(32...60))"], "nothing is lost: one digest of the rest")
    }

    @Test("at the end of the quiet hours one digest for an app, not a bell for each message")
    func quietDigest() {
        let quiet = NotifyPreferences.QuietHours(fromMinute: 11 * 60, toMinute: 13 * 60, timeZone: "UTC")
        var world = World()
        for seq in Int64(1)...4 {
            let subject = world.subject(seq, quiet: quiet, group: .seconds(30))
            #expect(world.announce(subject) == ["\(seq) d1: hold quiet_hours"])
            _ = world.pass(.milliseconds(1300))
        }
        _ = world.machine.settled([key(2)])
        #expect(world.pass(.seconds(3600)).filter { $0.hasPrefix("push") } == ["push d1 [1, 3, 4]"])
        #expect(world.pass(.seconds(60)) == [])
    }
}
