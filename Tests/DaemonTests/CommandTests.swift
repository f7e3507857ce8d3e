import Base
import GatewayTestKit
import Testing

/// The command line of the built program, where no gateway runs.
@Suite(.timeLimit(.minutes(2))) struct CommandTests {
    private typealias Result = (exit: ChildProcess.Exit, output: [String], errors: [String])

    private func farbell(_ arguments: String..., input: String? = nil) async throws -> Result {
        try await ChildProcess.run(GatewayProcess.program, arguments, input: input)
    }

    @Test("--version names the version")
    func version() async throws {
        let result = try await farbell("--version")
        #expect(result.exit == .code(0))
        #expect(result.output.count == 1 && result.output[0].wholeMatch(of: #/farbell \d+\.\d+\.\d+/#) != nil)
    }

    @Test("help lists the commands")
    func help() async throws {
        let result = try await farbell("help")
        #expect(result.exit == .code(0))
        for command in ["serve", "check", "account add", "push test", "sessions", "status", "demo"] {
            #expect(result.output.contains { $0.contains("farbell \(command)") }, "\(command)")
        }
    }

    @Test(
        "a command line that cannot be meant ends with 64 and says what was expected",
        arguments: [
            [], ["chek"], ["serve"], ["serve", "--confg", "x"], ["account"], ["account", "ad", "x"], ["push", "test"],
            ["account", "add"], ["serve", "extra", "--config", "x"], ["check", "--config"], ["check", "--="],
        ])
    func usage(arguments: [String]) async throws {
        let result = try await ChildProcess.run(GatewayProcess.program, arguments)
        #expect(result.exit == .code(64))
        #expect(result.output == [] && !result.errors.isEmpty)
        if arguments == ["chek"] { #expect(result.errors.joined().contains("did you mean 'check'")) }
        if arguments.contains("--confg") { #expect(result.errors.joined().contains("did you mean 'config'")) }
    }

    @Test("a configuration that cannot be read ends 'serve' with 78 and 'check' with 1, naming line and column")
    func unreadable() async throws {
        let folder = try TemporaryFolder()
        let broken = try folder.write("{\n  \"listen\": {\"port\": }\n}", to: "broken.json")
        let missing = folder.file("none.json")
        for (file, place) in [(broken, ":2:22:"), (missing, ":1:1:")] {
            let serve = try await farbell("serve", "--config", file)
            #expect(serve.exit == .code(78))
            #expect(serve.errors.contains { $0.hasPrefix(file + place) }, "\(serve.errors)")
            let check = try await farbell("check", "--config", file)
            #expect(check.exit == .code(1) && check.errors == serve.errors)
            #expect(try await farbell("--config", file, "check").exit == .code(1), "options may come first")
        }
    }

    @Test("'check' names every problem, with place, path and what was probably meant")
    func problems() async throws {
        let folder = try TemporaryFolder()
        let text = """
            {
              "listn": {},
              "keyFile": "a.key",
              "log": {"level": "verbose", "format": "json"},
              "farms": {"web": {"kind": "lnk", "url": "https://x.example/{app}"}},
              "apps": {"mail": {"farm": "wep", "monitor": {"kind": "imap"}}},
              "push": {"apple": {"kind": "apns", "keyFile": "missing.p8", "teamId": "T", "keyId": "K", "topic": "t"}},
              "limits": {"bodyBytes": "many"}
            }
            """
        let file = try folder.write(text, to: "farbell.json")
        let check = try await farbell("check", "--config", file)
        #expect(check.exit == .code(1))
        let said = check.errors
        for (place, words) in [
            (":2:3: listn:", "did you mean 'listen'"), (":4:20: log.level:", "verbose"),
            (":5:29: farms.web.kind:", "did you mean 'link'"),
            (":6:47: apps.mail.monitor:", "url"), (":7:49: push.apple.keyFile:", "missing.p8"),
            (":7:73: push.apple.teamId:", "ten letters"), (":8:27: limits.bodyBytes:", "integer"),
        ] {
            #expect(
                said.contains { $0.hasPrefix(file + place) && $0.contains(words) },
                "\(place) \(words) is not in:\n\(said.joined(separator: "\n"))")
        }
        // Nothing was made by looking.
        #expect(!FileSystem.exists(folder.file("a.key")))
    }

    @Test("a key that is given twice is refused")
    func duplicateKey() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write(#"{"keyFile": "a.key", "keyFile": "b.key"}"#, to: "farbell.json")
        let check = try await farbell("check", "--config", file)
        #expect(check.exit == .code(1))
        #expect(check.errors.contains { $0.hasPrefix("\(file):1:22:") && $0.contains("keyFile") }, "\(check.errors)")
    }

    @Test("a key file that cannot be made is named, and the gateway does not start without it")
    func keyFile() async throws {
        let gateway = try GatewayProcess()
        try gateway.folder.write("no folder", to: "plain")
        try gateway.configure(["keyFile": "plain/farbell.key"])
        let result = try await gateway.run("serve")
        #expect(result.exit == .code(78))
        #expect(result.errors.joined().contains(gateway.folder.file("plain/farbell.key")), "\(result.errors)")
    }

    @Test("commands for a running gateway say so when none runs")
    func notRunning() async throws {
        let gateway = try GatewayProcess()
        try gateway.configure([:])
        let added = try await gateway.run("account", "add", "alice", input: "tea with milk\n")
        #expect(added.exit == .code(0), "\(added.errors)")
        let short = try await gateway.run("account", "add", "bob", input: "x\n")
        #expect(short.exit == .code(65) && short.errors.joined().contains("password"), "\(short.errors)")
        let none = try await gateway.run("account", "add", "bob", input: "")
        #expect(none.exit == .code(64), "\(none.errors)")
        #expect(try await gateway.run("account", "disable", "nobody").exit == .code(67))
        #expect(try await gateway.run("account", "list").output == ["alice\tperson"])
        for command in ["status", "sessions"] {
            let result = try await gateway.run(command)
            #expect(result.exit != .code(0) && !result.errors.isEmpty, "\(command)")
        }
    }

    @Test("the demonstration tells its story to the end")
    func demo() async throws {
        let start = ContinuousClock.now
        let result = try await ChildProcess.run(GatewayProcess.program, ["demo"], deadline: .seconds(60))
        print("demo: \(ContinuousClock.now - start)")
        #expect(result.exit == .code(0), "\(result.errors)")
        for step in 1...10 { #expect(result.output.contains { $0.hasPrefix("\(step). ") }, "step \(step)") }
        for event in ["gateway.started", "monitor.item", "notification.sent", "launch.confirmed"] {
            #expect(result.output.contains { $0.contains(" \(event) ") }, "\(event)")
        }
    }
}
