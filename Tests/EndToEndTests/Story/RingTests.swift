import Base
import GatewayTestKit
import Testing

/// Real mail becomes news for the running client or a notification, whichever is right.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(3))) struct RingTests {
    @Test("SG-1 SG-2 SG-3 SG-4 SG-9 with the app in front, mail goes to the running client only; no push at all")
    func foreground() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (registration, session) = try await world.logIn(phone.client)
            let stream = try await phone.client.stream()
            _ = try await stream.first("hello")
            try await world.deliver("Ward round at nine")
            let message = try await stream.first("message")
            #expect(message.data["subject"]?.string == "Ward round at nine")
            #expect(message.data["app"]?.string == "mail")
            try await world.decided("stream")
            try await phone.client.acknowledge(message.number)

            // Another login with the same registration (SG-2): still no second account data.
            let second = try await phone.client.call("POST", "/v1/sessions", ["app": "mail", "instance": "two"])
            #expect(second["registration"]?.string == registration)

            // The next mail is pushed, so whatever was on the way to the push service came before it.
            for (id, seq) in [(session, 1), (second["id"]?.string ?? "", 1)] {
                try await phone.client.report(id, seq, "hidden")
            }
            stream.close()
            try await world.log.wait(for: "stream.closed")
            try await world.deliver("Lunch is late")
            let pushes = try await phone.wait(1)
            #expect(pushes.map(\.body) == ["Lunch is late"])
            #expect(world.apns.requests.count == 1)
            #expect(world.webPush.requests.count == 0)
            #expect(stream.events.all.filter { $0.name == "notify" }.isEmpty)
        }
    }

    @Test(
        "SG-6 SG-7 SG-8 SG-10 MN-12 with the app hidden, mail is one push with the digest, whatever charset it has",
        arguments: [false, true])
    func hidden(usesStartTLS: Bool) async throws {
        var options = Scenario.Options()
        options.usesStartTLS = usesStartTLS
        try await Scenario.run(options) { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            #expect(try await phone.client.report(session, 1, "hidden") == "hidden")
            for text in ["王伟", "护士排班讨论", "山田太郎", "会議は三時です"] { world.gateway.keepSecret(text) }
            try await world.deliver(
                "=?GB18030?B?u6TKv8XFsODM1sLb?=", from: "=?GB18030?B?zfXOsA==?= <wang@example.org>")
            try await phone.wait(1)
            try await world.deliver(
                "=?ISO-2022-JP?B?GyRCMnE1RCRPOzA7fiRHJDkbKEI=?=",
                from: "=?ISO-2022-JP?B?GyRCOzNFREJATzobKEI=?= <yamada@example.org>")
            let pushes = try await phone.wait(2)
            #expect(pushes.map(\.title) == ["New message from 王伟", "New message from 山田太郎"])
            #expect(pushes.map(\.body) == ["护士排班讨论", "会議は三時です"])
            #expect(pushes.map { $0.payload["aps"]?["badge"]?.integer } == [1, 2])
            #expect(pushes.allSatisfy { $0.headers["apns-push-type"] == "alert" })
            #expect(world.apns.requests.count == 2)
            let sent = try await world.log.wait(for: "notification.sent", after: 1)
            #expect(sent["push"] == "apple" && sent["attempts"] == "1")
        }
    }

    @Test("SG-10 the policies: a bare hint, a digest, the full text")
    func policies() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (registration, session) = try await world.logIn(phone.client, notify: ["summary": "hint"])
            try await phone.client.report(session, 1, "hidden")
            try await world.deliver("Not for the lock screen", from: "Secret Sender <s@example.org>")
            let hint = try await phone.wait(1)[0]
            #expect(hint.title == "Mail" && hint.body == "You have a message")
            let path = "/v1/registrations/\(registration)"
            try await phone.client.call("PATCH", path, ["notify": ["summary": "full", "groupSeconds": 0]])
            try await world.deliver("All of it")
            let full = try await phone.wait(2)[1]
            #expect(full.title == "Li Na" && full.body?.hasPrefix("All of it") == true)
        }
    }

    @Test("SG-7 a client that froze in front does not count once its lease is over: its mail is pushed")
    func frozen() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            #expect(try await phone.client.report(session, 1, "visible") == "visible")
            try await world.deliver("Anybody there")
            try await world.decided("stream")
            #expect(phone.pushes.isEmpty)
            // No beats: the lease of 15 s runs out.
            let pushes = try await phone.wait(1, deadline: .seconds(40))
            #expect(pushes.map(\.body) == ["Anybody there"])
            try await world.log.wait(for: "session.expired")
            let push = try await world.decided("push")
            #expect(push["reason"] == "lease_ended")
            #expect(try await phone.client.report(session, 2, "visible") == "visible")
        }
    }

    @Test("SG-7 SG-15 a client that exited is not running; the switch of the registration ends and resumes watching")
    func switchOff() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (registration, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "gone")
            try await world.deliver("After the exit")
            try await phone.wait(1)

            let path = "/v1/registrations/\(registration)"
            try await phone.client.call("PATCH", path, ["enabled": false])
            try await world.log.wait(for: "monitor.stopped")
            try await world.deliver("While switched off")
            try await phone.client.call("PATCH", path, ["enabled": true])
            try await phone.client.waitUntilWatching(registration)
            try await world.deliver("Switched on again")
            let pushes = try await phone.wait(3)
            // What came meanwhile is news all the same: the switch was off, nobody has read it.
            #expect(Set(pushes.compactMap(\.body)) == ["After the exit", "While switched off", "Switched on again"])
        }
    }

    @Test("SG-12 the device seen last gets the notification; all of them where the registration says so")
    func targets() async throws {
        try await Scenario.run { world in
            let old = try await world.phone()
            let (registration, session) = try await world.logIn(old.client)
            try await old.client.report(session, 1, "hidden")
            let new = try await world.browser()
            let other = try await new.client.open("mail")
            try await new.client.report(other, 1, "hidden")
            try await world.deliver("For the last one")
            try await new.wait(1)
            #expect(old.pushes.isEmpty)
            try await old.client.call(
                "PATCH", "/v1/registrations/\(registration)", ["notify": ["targets": "all", "groupSeconds": 0]])
            try await world.deliver("For everybody")
            #expect(try await new.wait(2).last?["body"]?.string == "For everybody")
            #expect(try await old.wait(1).map(\.body) == ["For everybody"])
        }
    }

    @Test("SG-5 nothing rings for mail that was there before, nor for mail that comes read")
    func baseline() async throws {
        try await Scenario.run { world in
            for number in 1...5 { try await world.deliver("Old mail \(number)") }
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client)
            try await phone.client.report(session, 1, "hidden")
            try await world.deliver("New mail")
            let pushes = try await phone.wait(1)
            #expect(pushes.map(\.body) == ["New mail"])
            #expect(pushes[0].payload["aps"]?["badge"]?.integer == 1)
            #expect(world.log.lines("monitor.item").count == 1)
        }
    }

    @Test("MN-13 SG-13 a browser gets an encrypted push; a device that wants to be woken only gets no text")
    func webPush() async throws {
        try await Scenario.run { world in
            let browser = try await world.browser()
            let (_, session) = try await world.logIn(browser.client, notify: ["targets": "all", "groupSeconds": 0])
            try await browser.client.report(session, 1, "hidden")
            let quiet = try await world.browser(extra: ["payload": "wakeup"])
            let silent = try await world.phone(extra: ["payload": "wakeup"])
            try await world.deliver("Room 12 needs you")
            let push = try await browser.wait(1)[0]
            #expect(push["title"]?.string == "New message from Li Na")
            #expect(push["body"]?.string == "Room 12 needs you")
            #expect(push["tap"]?.string?.isEmpty == false)
            let bare = try await quiet.wait(1)[0]
            #expect(bare["title"] == nil && bare["body"] == nil && bare["tap"] != nil)
            let woken = try await silent.wait(1)[0]
            #expect(woken.title == nil && woken.payload["aps"]?["content-available"]?.integer == 1)
        }
    }
}
