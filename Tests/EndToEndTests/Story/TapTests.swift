import Base
import GatewayTestKit
import Testing

/// A tap comes back as a launch, and what was read is cleared everywhere.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(3))) struct TapTests {
    @Test("SG-11 a tap is answered with a launch; the app in front confirms it and clears the other device")
    func tap() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client, notify: ["targets": "all", "groupSeconds": 0])
            try await phone.client.report(session, 1, "hidden")
            let browser = try await world.browser()
            let stream = try await browser.client.stream()
            _ = try await stream.first("hello")
            try await world.deliver("Come to room 12")
            let push = try await phone.wait(1)[0]
            let notify = try await stream.first("notify")
            #expect(notify.data["title"]?.string == "New message from Li Na")
            try await browser.client.acknowledge(notify.number)

            let first = try await phone.client.tap(push.tap)
            #expect(first.status == 201)
            let action = first.json["action"]
            #expect(action?["kind"]?.string == "url")
            let url = action?["url"]?.string ?? ""
            #expect(url.hasPrefix("https://apps.example.org/mail?user=alice&ticket="))
            world.gateway.keepSecret(String(url.split(separator: "=").last ?? "none"))
            let again = try await phone.client.tap(push.tap)
            #expect(again.status == 200 && again.json["id"] == first.json["id"])
            // Another device must not use it.
            #expect(try await browser.client.tap(push.tap).status == 410)

            try await phone.client.report(session, 2, "visible")
            let confirmed = try await world.log.wait(for: "launch.confirmed")
            #expect(confirmed["launch"] == first.json["id"]?.string)
            let clear = try await stream.first("clear")
            let cleared = clear.data["notifications"]?.array?.compactMap(\.string) ?? []
            #expect(cleared.contains(notify.data["notification"]?.string ?? "none"))
            #expect(cleared.contains(push.notification))
            let used = try await phone.client.tap(push.tap)
            #expect(used.status == 410 && used.json["code"]?.string == "launch_expired")
        }
    }

    @Test("SG-11 mail read in another client takes its notification back, on streams and through push services")
    func readElsewhere() async throws {
        try await Scenario.run { world in
            let phone = try await world.phone()
            let (_, session) = try await world.logIn(phone.client, notify: ["targets": "all", "groupSeconds": 0])
            try await phone.client.report(session, 1, "hidden")
            let browser = try await world.browser()
            let stream = try await browser.client.stream()
            try await world.deliver("Read me at the desk")
            let push = try await phone.wait(1)[0]
            let notify = try await stream.first("notify")
            try await browser.client.acknowledge(notify.number)
            try await world.log.wait(for: "notification.sent")

            try await world.dovecot().markSeen(["ALL"], of: "alice")
            let clear = try await stream.first("clear")
            let cleared = clear.data["notifications"]?.array?.compactMap(\.string) ?? []
            #expect(cleared.contains(notify.data["notification"]?.string ?? "none"))
            let withdrawn = try await world.apns.pushes.first { !$0.isAlert }
            #expect(withdrawn.ours["clear"]?.array?.compactMap(\.string) == [push.notification])
            #expect(withdrawn.headers["apns-push-type"] == "background")
            try await world.log.wait(for: "message.completed") { $0["reason"] == "read" }
            // Nothing is left to open.
            #expect(phone.pushes.count == 1)
        }
    }

    @Test("SG-11 an RDP farm answers with a file, or on a phone with a URI; a link farm with a URL")
    func actions() async throws {
        try await Scenario.run { world in
            var desktop = TerminalClient(world.gateway, account: "alice")
            try await desktop.bind(password: Scenario.accountPassword, installation: "desktop", platform: "windows")
            let file = try await desktop.call("POST", "/v1/launches", ["app": "outlook"])["action"]
            #expect(file?["kind"]?.string == "file")
            #expect(file?["contentType"]?.string == "application/x-rdp")
            #expect(file?["name"]?.string == "outlook.rdp")
            // The bytes of the file in base64: Windows reads UTF-16 with a mark.
            let bytes = try #require(file?["body"]?.string.flatMap { [UInt8](base64: $0) })
            #expect(bytes.prefix(2) == [0xFF, 0xFE])
            let units = stride(from: 2, to: bytes.count - 1, by: 2).map {
                UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8
            }
            let body = String(decoding: units, as: UTF16.self)
            #expect(body.contains("full address:s:rds.example.org"))
            #expect(body.contains("remoteapplicationprogram:s:||OUTLOOK"))
            #expect(body.contains("gatewayhostname:s:rdgw.example.org"))

            let phone = try await world.phone()
            let uri = try await phone.client.call("POST", "/v1/launches", ["app": "outlook"])["action"]
            #expect(uri?["kind"]?.string == "url")
            #expect(uri?["url"]?.string?.hasPrefix("rdp://full%20address=s:rds.example.org") == true)
            let link = try await phone.client.call("POST", "/v1/launches", ["app": "mail"])["action"]
            #expect(link?["url"]?.string?.hasPrefix("https://apps.example.org/mail?user=alice&ticket=") == true)
            let unknown = try await phone.client.send("POST", "/v1/launches", ["app": "nothing"])
            #expect(unknown.json["code"]?.string == "unknown_app")
        }
    }

    @Test("SG-4 SG-11 a Maildir on the same machine: mail in new/ is pushed, moving it to cur/ clears it")
    func maildir() async throws {
        var options = Scenario.Options()
        options.hasMailServer = false
        try await Scenario.run(options) { world in
            let folder = "\(world.gateway.folder.path)/maildirs/alice"
            for part in ["tmp", "new", "cur"] { #expect(FileSystem.createFolder("\(folder)/\(part)")) }
            let phone = try await world.phone()
            let registration = try await phone.client.register("local", username: "alice")
            let session = try await phone.client.open("local")
            try await phone.client.waitUntilWatching(registration)
            try await phone.client.report(session, 1, "hidden")
            let stream = try await phone.client.stream()
            let name = "1795224039.M1P1.host"
            #expect(FileSystem.writePrivate(Scenario.message("In the box"), to: "\(folder)/tmp/\(name)"))
            try Files.move("\(folder)/tmp/\(name)", to: "\(folder)/new/\(name)")
            world.gateway.keepSecret("In the box")
            // Connected but not reading: after notify.ackSeconds the push follows.
            let notify = try await stream.first("notify")
            #expect(notify.data["body"]?.string == "In the box")
            let push = try await phone.wait(1)[0]
            #expect(push.body == "In the box")
            try Files.move("\(folder)/new/\(name)", to: "\(folder)/cur/\(name):2,S")
            let clear = try await stream.first("clear")
            #expect(clear.data["notifications"]?.array?.compactMap(\.string) == [push.notification])
        }
    }
}
