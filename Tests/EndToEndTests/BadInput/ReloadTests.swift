import Base
import GatewayTestKit
import Glibc
import Testing

/// Reading the configuration again, and two gateways in each other's way.
@Suite(.timeLimit(.minutes(3))) struct ReloadTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        return options
    }

    @Test(
        "SIGHUP with a bad file keeps the running configuration and says why; with a good one it changes, sessions stay"
    )
    func reload() async throws {
        try await Scenario.run(Self.options) { world in
            let box = "\(world.gateway.folder.path)/maildirs/alice"
            for part in ["tmp", "new", "cur"] { #expect(FileSystem.createFolder("\(box)/\(part)")) }
            let phone = try await world.phone()
            let registration = try await phone.client.register("local")
            let session = try await phone.client.open("local")
            try await phone.client.waitUntilWatching(registration)
            #expect(try await phone.client.report(session, 1, "visible") == "visible")

            let good = try #require(FileSystem.contents(of: world.gateway.configuration, limit: 1 << 20))
            try Files.overwrite(world.gateway.configuration, with: Array(#"{"listen": {"prot": 1}}"#.utf8))
            world.gateway.process?.send(SIGHUP)
            let invalid = try await world.log.wait(for: "config.invalid")
            #expect(invalid["problems"]?.contains("farbell.json:1:13: listen.prot: unknown key") == true)
            #expect(try await phone.client.report(session, 2, "visible") == "visible")

            var sections = world.configuration.object ?? [:]
            sections["apps"]?.value = .object([
                "local": [
                    "name": "Renamed", "farm": "web", "monitor": ["kind": "maildir", "path": "maildirs/{username}"],
                ]
            ])
            try world.gateway.configure(.object(sections))
            for round in 1...2 {
                if round == 1 {
                    world.gateway.process?.send(SIGHUP)
                } else {
                    // The same through the API.
                    try await Self.askForReload(world)
                }
                try await world.log.wait(for: "config.reloaded", after: round - 1)
                try await world.log.wait(for: "gateway.started", after: round)
                try await world.gateway.waitUntilReady()
                let apps = try await phone.client.call("GET", "/v1/apps")["items"]?.array ?? []
                #expect(apps.map { $0["name"]?.string } == ["Renamed"])
                let kept = try await phone.client.call("GET", "/v1/sessions")["items"]?.array ?? []
                #expect(kept.map { $0["id"]?.string } == [session])
                #expect(try await phone.client.report(session, round + 2, "visible") == "visible")
                try await phone.client.waitUntilWatching(registration)
            }
            #expect(world.gateway.process?.exit == nil)
            try Files.overwrite(world.gateway.configuration, with: good)
        }
    }

    private static func askForReload(_ world: Scenario) async throws {
        let answer = try await world.administrator()("POST", "reload", [:])
        #expect((200..<300).contains(answer.status), "\(answer.text)")
    }

    @Test("a second gateway is refused: on the same data, and on the same port")
    func second() async throws {
        try await Scenario.run(Self.options) { world in
            let sameData = try await world.gateway.run("serve")
            #expect(sameData.exit == .code(75))
            #expect(sameData.errors.joined().contains("in_use"), "\(sameData.errors)")

            let other = try GatewayProcess()
            try other.configure([
                "listen": ["address": "127.0.0.1", "port": .integer(world.gateway.port)]
            ])
            let samePort = try await other.run("serve")
            // EX_UNAVAILABLE of sysexits.h.
            #expect(samePort.exit == .code(69))
            let said = samePort.errors.joined(separator: "\n")
            #expect(said.contains("127.0.0.1:\(world.gateway.port): another program uses this port"), "\(said)")
        }
    }

    @Test("a damaged database and one of a newer Farbell are refused with a clear word, and left as they are")
    func database() async throws {
        var options = Self.options
        options.startsGateway = false
        try await Scenario.run(options) { world in
            let file = world.gateway.folder.file("data/farbell.sqlite")
            let good = try #require(FileSystem.contents(of: file, limit: 64 << 20))

            // The schema's version is a number of four bytes in the file's header.
            try Files.patch(file, at: 60, with: [0, 0, 3, 0xE7])
            let newer = try await world.gateway.run("serve")
            #expect(newer.exit == .code(65))
            #expect(newer.errors.joined().contains("newer"), "\(newer.errors)")

            let junk = [UInt8](repeating: 0xA5, count: good.count)
            try Files.overwrite(file, with: junk)
            let damaged = try await world.gateway.run("serve")
            #expect(damaged.exit == .code(65))
            #expect(damaged.errors.joined().contains("corrupt"), "\(damaged.errors)")
            #expect(FileSystem.contents(of: file, limit: 64 << 20) == junk)

            try Files.overwrite(file, with: good)
            try await world.gateway.start()
        }
    }
}
