import Base
import Gateway
import Testing

@Suite("the notifier's decisions")
struct NotifierMachineTests {
    @Test("SG-9 a visible session: the stream and nothing else")
    func visible() {
        var world = World()
        world.front["d1"] = world.now + .seconds(15)
        world.live = ["d1"]
        #expect(world.announce(world.subject(1)) == ["1 d1: stream visible_session"])
        for _ in 0..<3 {
            world.front["d1"] = world.now + .seconds(15)
            #expect(world.pass(.seconds(5)) == [])
        }
        world.front["d1"] = world.now + .seconds(15)
        #expect(world.pass(.seconds(6)) == ["suppressed 1 d1", "record 1 d1 streamed"])
        #expect(world.machine.pendingCount == 0)
    }

    @Test("SG-9 acknowledged by the client in front: done at once")
    func acknowledged() {
        var world = World()
        world.front["d1"] = world.now + .seconds(15)
        _ = world.announce(world.subject(1))
        #expect(world.texts(world.machine.acknowledged("d1", upTo: 1)) == ["record 1 d1 streamed"])
        #expect(world.pass(.seconds(60)) == [])
    }

    @Test("SG-7 in front but without a connection for the whole time: doubt notifies")
    func frontWithoutConnection() {
        var world = World()
        world.front["d1"] = world.now + .seconds(100)
        _ = world.announce(world.subject(1))
        #expect(world.pass(.seconds(20)) == ["1 d1: push not_acknowledged", "push d1 [1]"])
    }

    @Test("SG-7 SG-8 hidden before it acknowledged: notify at first, push when it was silent for long")
    func hidden() {
        for (after, expected) in [
            (Duration.seconds(2), ["1 d1: notify session_hidden", "notify d1 [1]"]),
            (.seconds(12), ["1 d1: push session_hidden", "push d1 [1]"]),
        ] {
            var world = World()
            world.live = ["d1"]
            world.front["d1"] = world.now + .seconds(15)
            _ = world.announce(world.subject(1))
            _ = world.pass(after)
            world.front = [:]
            #expect(world.texts(world.machine.presenceChanged("d1", app: "mail", world.view)) == expected)
            #expect(world.texts(world.machine.presenceChanged("d1", app: "mail", world.view)) == [])
        }
    }

    @Test("SG-7 the lease ends in silence: push")
    func leaseEnds() {
        var world = World()
        world.front["d1"] = world.now + .seconds(15)
        world.live = ["d1"]
        _ = world.announce(world.subject(1))
        #expect(world.pass(.seconds(14)) == [])
        #expect(world.pass(.seconds(1)) == ["1 d1: push lease_ended", "push d1 [1]"])
    }

    @Test("MN-12 a live stream: notify; unacknowledged: push after ackSeconds; connection lost: push at once")
    func notify() {
        var world = World()
        world.live = ["d1"]
        #expect(world.announce(world.subject(1)) == ["1 d1: notify live_stream", "notify d1 [1]"])
        #expect(world.machine.notified([key(1)], "d1", number: 2, world.view) == [])
        #expect(world.texts(world.machine.acknowledged("d1", upTo: 1)) == [])
        #expect(world.pass(.seconds(9)) == [])
        #expect(world.pass(.seconds(1)) == ["1 d1: push not_acknowledged", "push d1 [1]"])
        #expect(world.announce(world.subject(3)) == ["3 d1: notify live_stream", "notify d1 [3]"])
        world.live = []
        #expect(
            world.texts(world.machine.connectionLost("d1", world.view)) == [
                "3 d1: push connection_lost", "push d1 [3]",
            ])
    }

    @Test("an acknowledgement that comes before the event's number is known counts")
    func quickAcknowledgement() {
        var world = World()
        world.live = ["d1"]
        _ = world.announce(world.subject(1))
        world.cursors["d1"] = 2
        #expect(world.texts(world.machine.acknowledged("d1", upTo: 2)) == [])
        #expect(world.texts(world.machine.notified([key(1)], "d1", number: 2, world.view)) == ["record 1 d1 notified"])
        #expect(world.pass(.seconds(60)) == [])
    }

    @Test("no device, no channel: hold; a channel that vanished before the push: hold")
    func hold() {
        var world = World()
        #expect(world.announce(world.subject(1), devices: []) == ["1 -: hold no_device"])
        world.channels = []
        #expect(world.announce(world.subject(2)) == ["2 d1: hold no_channel"])
        world.channels = ["d1"]
        _ = world.announce(world.subject(3))
        #expect(
            world.texts(world.machine.pushImpossible("d1", messages: [key(3)], world.view)) == ["3 d1: hold no_channel"]
        )
        #expect(
            world.texts(world.machine.acknowledged("d1", upTo: 9)).sorted() == [
                "record 2 d1 streamed", "record 3 d1 streamed",
            ])
        #expect(world.machine.pendingCount == 0)
    }

    @Test("quiet hours hold normal and low, also what was grouped or streamed before; high rings")
    func quiet() {
        let quiet = NotifyPreferences.QuietHours(fromMinute: 12 * 60 + 1, toMinute: 13 * 60, timeZone: "UTC")
        var world = World()
        #expect(world.announce(world.subject(1, quiet: quiet, group: .seconds(90))).last == "push d1 [1]")
        #expect(world.announce(world.subject(2, quiet: quiet, group: .seconds(90))) == ["2 d1: hold grouped"])
        #expect(world.pass(.seconds(90)) == ["2 d1: hold quiet_hours"])
        #expect(world.announce(world.subject(3, priority: .low, quiet: quiet)) == ["3 d1: hold quiet_hours"])
        #expect(world.announce(world.subject(4, priority: .high, quiet: quiet)).last == "push d1 [4]")
        world.front["d1"] = world.now + .seconds(12)
        _ = world.announce(world.subject(5, quiet: quiet))
        #expect(world.pass(.seconds(12)) == ["5 d1: hold quiet_hours"])
        let rung = world.pass(.seconds(3600))
        #expect(rung.filter { $0.hasPrefix("push") }.sorted() == ["push d1 [2]", "push d1 [3]", "push d1 [5]"])
    }

    @Test("a reader elsewhere: waits, rings when nobody read it, and not at all when somebody did")
    func reader() {
        var world = World()
        #expect(world.announce(world.subject(1, hold: .seconds(5))) == ["1 d1: hold waiting_for_reader"])
        #expect(world.announce(world.subject(2, hold: .seconds(5))) == ["2 d1: hold waiting_for_reader"])
        #expect(world.machine.settled([key(1)]).flatMap(\.shown).isEmpty)
        #expect(world.pass(.seconds(5)) == ["2 d1: push no_connection", "push d1 [2]"])
    }

    @Test("a burst: the first at once, then one digest of the right ones each groupSeconds")
    func burst() {
        var world = World()
        #expect(world.announce(world.subject(1, group: .seconds(30))).last == "push d1 [1]")
        for seq in Int64(2)...5 {
            #expect(world.announce(world.subject(seq, group: .seconds(30))) == ["\(seq) d1: hold grouped"])
        }
        _ = world.machine.settled([key(3)])
        #expect(world.pass(.seconds(29)) == [])
        #expect(world.pass(.seconds(1)) == ["5 d1: push no_connection", "push d1 [2, 4, 5]"])
        #expect(world.announce(world.subject(6, group: .seconds(30))) == ["6 d1: hold grouped"])
        #expect(world.pass(.seconds(30)).last == "push d1 [6]")
        #expect(world.pass(.seconds(31)) == [])
        #expect(world.announce(world.subject(7, group: .seconds(30))).last == "push d1 [7]")
    }

    @Test("a digest is taken back when the last of its messages is settled")
    func digestSettled() {
        var world = World()
        _ = world.announce(world.subject(1, group: .seconds(30)))
        _ = world.announce(world.subject(2, group: .seconds(30)))
        _ = world.announce(world.subject(3, group: .seconds(30)))
        _ = world.pass(.seconds(30))
        #expect(
            world.texts(
                world.machine.pushFinished(
                    "d1", representative: key(3), messages: [key(2), key(3)], outcome: .pushed, detail: nil, world.view)
            )
                == ["record 2 d1 pushed", "record 3 d1 pushed"])
        #expect(world.machine.settled([key(3)]).flatMap(\.shown).isEmpty)
        let shown = world.machine.settled([key(2)]).flatMap(\.shown)
        #expect(shown == [NotifierMachine.Shown(device: "d1", representative: key(3), pushed: true)])
    }

    @Test("read while the push is under way: cleared when it came through, not when it failed")
    func orphans() {
        for (outcome, expected) in [(DeliveryRecord.Outcome.pushed, ["clear d1 1"]), (.failed, [])] {
            var world = World()
            _ = world.announce(world.subject(1))
            let shown = world.machine.settled([key(1)]).flatMap(\.shown)
            #expect(shown.count == 1 && world.machine.isOrphan(shown[0]))
            #expect(
                world.texts(
                    world.machine.pushFinished(
                        "d1", representative: key(1), messages: [key(1)], outcome: outcome, detail: nil, world.view))
                    == expected)
            #expect(!world.machine.isOrphan(shown[0]))
        }
    }

    @Test("SG-12 targets: latest that can be reached, all, a list, and the next one when the chosen is dead")
    func targets() {
        var world = World()
        world.channels = ["d2", "d3"]
        #expect(world.announce(world.subject(1), devices: ["d1", "d2", "d3"]).last == "push d2 [1]")
        let all = world.announce(world.subject(2, targets: .all), devices: ["d1", "d2", "d3"])
        #expect(all.filter { $0.hasPrefix("push") } == ["push d2 [2]", "push d3 [2]"])
        #expect(
            world.announce(world.subject(3, targets: .devices(["d3", "gone"])), devices: ["d1", "d2", "d3"]).last
                == "push d3 [3]")
        #expect(
            world.texts(
                world.machine.pushFinished(
                    "d2", representative: key(1), messages: [key(1)], outcome: .failed, detail: nil, world.view))
                == ["1 d3: push device_dead", "push d3 [1]", "record 1 d2 failed"])
        world.front["d3"] = world.now + .seconds(15)
        _ = world.announce(world.subject(4), devices: ["d2", "d3"])
        #expect(
            world.texts(
                world.machine.pushFinished(
                    "d2", representative: key(4), messages: [key(4)], outcome: .failed, detail: nil, world.view))
                == ["4 d3: stream visible_session", "record 4 d2 failed"], "the next device's client is in front")
    }

    @Test("SG-12 escalation: the next when nobody acknowledged, at once where one cannot be told")
    func escalation() {
        var world = World()
        world.channels = ["d2", "d3"]
        let subject = world.subject(1, targets: .escalate(["d1", "d2", "d3"], after: .seconds(60)))
        #expect(
            world.announce(subject, devices: ["d1", "d2", "d3"])
                == ["1 d1: hold no_channel", "1 d2: push no_connection", "push d2 [1]"])
        #expect(world.pass(.seconds(59)) == [])
        #expect(world.pass(.seconds(1)) == ["1 d3: push no_connection", "push d3 [1]"])
        _ = world.announce(world.subject(2, targets: .escalate([], after: .seconds(60))), devices: ["d2", "d3"])
        world.machine.tapped(key(2))
        #expect(world.pass(.seconds(120)) == [])
    }

    @Test("restart: what is recorded does not ring again, and an escalation goes on unless acknowledged")
    func restart() {
        var world = World()
        func again(_ targets: NotifyPreferences.Targets, _ done: [DeviceID: DeliveryRecord.Outcome]) -> [String] {
            var fresh = World()
            let actions = fresh.machine.announce(
                fresh.subject(1, targets: targets), devices: ["d1", "d2"], done: done.mapValues { .init($0) },
                fresh.view)
            return fresh.texts(actions) + fresh.pass(.seconds(60))
        }
        #expect(again(.latest, ["d1": .pushed]) == [])
        #expect(again(.latest, ["d1": .failed]) == ["1 d2: push no_connection", "push d2 [1]"])
        #expect(again(.latest, ["d1": .failed, "d2": .pushed]) == [])
        #expect(again(.latest, ["d1": .failed, "d2": .failed]) == [])
        #expect(again(.all, ["d1": .pushed]) == ["1 d2: push no_connection", "push d2 [1]"])
        let escalate = NotifyPreferences.Targets.escalate([], after: .seconds(60))
        #expect(again(escalate, ["d1": .pushed]) == ["1 d2: push no_connection", "push d2 [1]"])
        #expect(again(escalate, ["d1": .notified]) == [])
        world.machine.restore(key(1), .init(device: "d1", representative: key(2), pushed: true))
        world.machine.restore(key(2), .init(device: "d1", representative: key(2), pushed: true))
        #expect(world.machine.settled([key(2)]).flatMap(\.shown).isEmpty)
        #expect(world.machine.settled([key(1)]).flatMap(\.shown).count == 1)
    }

    @Test("a full lane: held and looked at anew; a removed device leaves nothing behind")
    func laneFull() {
        var world = World()
        _ = world.announce(world.subject(1))
        #expect(
            world.texts(world.machine.pushRefused("d1", messages: [key(1)], world.view)) == ["1 d1: hold lane_full"])
        #expect(world.pass(.seconds(30)) == ["1 d1: push no_connection", "push d1 [1]"])
        world.machine.removed("d1")
        #expect(world.machine.pendingCount == 0)
        #expect(world.pass(.seconds(60)) == [])
    }
}
