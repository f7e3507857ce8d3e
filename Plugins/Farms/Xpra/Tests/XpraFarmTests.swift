import Base
import Gateway
import GatewayTestKit
import Testing

@testable import XpraFarm

@Suite("farm kind xpra", .timeLimit(.minutes(1)))
struct XpraFarmTests {
    private let log = RecordingLogSink()

    /// A farm whose session program and `xpra` are scripts. `xpra` writes down what it is asked and answers `info`.
    private func site(
        _ folder: TemporaryFolder, info: String, more: String = "", time: any TimeSource = SystemTime()
    ) throws -> FarmSite {
        try folder.script(
            """
            cat > \(folder.path)/order
            echo '{"display":":100","url":"https://farm.example:14500/index.html","password":"once&only"}'
            """, to: "open")
        try folder.script(
            """
            echo "$@" >> \(folder.path)/asked
            [ "$1" = info ] && cat \(folder.path)/info
            exit 0
            """, to: "xpra")
        try folder.write(info, to: "info")
        let text = #"""
            "session":["\#(folder.path)/open"],"xpra":"\#(folder.path)/xpra","pollSeconds":1,
            "origins":["https://farm.example:14500"]\#(more)
            """#
        return try FarmSite(
            XpraPlugin(), text, launch: #"{"command":["sylpheed","--compose"]}"#, time: time,
            log: Log(sink: log))
    }

    @Test(
        "SG-11 an app that does not run is started in the live session; one that runs is raised there",
        arguments: [
            ("clients=0\n", "control :100 start sylpheed --compose"),
            ("windows.3.class-instance=('sylpheed', 'Sylpheed')\n", "control :100 focus 3"),
            ("windows.3.class-instance=('mousepad', 'Mousepad')\n", "control :100 start sylpheed --compose"),
        ])
    func start(info: String, asked: String) async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, info: info)
        let request = FarmSite.request(credentials: ["password": Secret("s3cret")])
        #expect(try await site.launch(request) == .screen)
        let expected =
            "https://farm.example:14500/index.html?submit=true&sharing=true&reconnect=true&password=once%26only"
        #expect(try await site.start(request) == .frame(url: Secret(expected)))
        #expect(try folder.text(of: "asked") == "info :100\n\(asked)\n")
        #expect(try folder.text(of: "order").contains("s3cret"))
        #expect(site.farm.screenOrigins == ["https://farm.example:14500"])
    }

    @Test("SG-11 a new server is not asked; a known one is asked while the session program runs, another one anew")
    func early() async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, info: "windows.3.class-instance=('sylpheed', 'Sylpheed')\n")
        /// Answers once so many questions were asked, which would never be where they were asked afterwards.
        func open(_ display: String, started: Bool = false, after questions: Int) throws {
            try folder.script(
                """
                touch \(folder.path)/asked
                while [ "$(grep -c info \(folder.path)/asked)" -lt \(questions) ]; do sleep 0.01; done
                echo '{"display":"\(display)","url":"https://farm.example/","started":\(started)}'
                """, to: "open")
        }
        try open(":100", started: true, after: 0)
        _ = try await site.start(FarmSite.request())
        var expected = "control :100 start sylpheed --compose\n"
        #expect(try folder.text(of: "asked") == expected)
        try open(":100", after: 1)
        _ = try await site.start(FarmSite.request())
        expected += "info :100\ncontrol :100 focus 3\n"
        #expect(try folder.text(of: "asked") == expected)
        try open(":101", after: 2)
        _ = try await site.start(FarmSite.request())
        expected += "info :100\ninfo :101\ncontrol :101 focus 3\n"
        #expect(try folder.text(of: "asked") == expected)
    }

    @Test("SG-11 a known server that hangs is asked once, and the launch fails; one that is gone is asked anew")
    func hanging() async throws {
        let folder = try TemporaryFolder()
        let time = ManualTime()
        let site = try site(folder, info: "", time: time)
        _ = try await site.start(FarmSite.request())
        try folder.script("echo gone >> \(folder.path)/gone; exit 1", to: "xpra")
        await #expect(throws: GatewayError.self) { _ = try await site.start(FarmSite.request()) }
        #expect(try folder.text(of: "gone") == "gone\ngone\n")
        try folder.script("echo \"$@\" >> \(folder.path)/hung; exec sleep 60", to: "xpra")
        let start = Task { try await site.start(FarmSite.request()) }
        try await Eventually.wait("it is asked") { FileSystem.exists(folder.file("hung")) }
        try await Eventually.wait("only that is waited for") {
            time.sleeperCount == 1 && time.nextDeadline == time.now + XpraControl.limit
        }
        time.advance(by: XpraControl.limit)
        let result = await start.result
        let error = #expect(throws: GatewayError.self) { _ = try result.get() }
        #expect(error?.code == .farmUnavailable)
        #expect(try folder.text(of: "hung") == "info :100\n")
    }

    @Test(
        "SG-7 all clients together: hidden when every one is suspended",
        arguments: [
            ("clients=0", FarmFact.State.disconnected), ("client.suspended=False", .visible),
            ("client.suspended=True", .hidden), ("client.suspended=True\nclient.1.suspended=False", .visible),
            ("client.suspended=True\nclient.1.suspended=True\nclient.sound.suspended=False", .hidden),
            ("client.uuid=x=y\nnonsense\n=\nclient.=True", .disconnected),
        ])
    func states(info: String, state: FarmFact.State) {
        #expect(XpraStatus(lines: info.split(separator: "\n").map(String.init)).state == state)
    }

    @Test("SG-7 facts are asked for where a launch has shown the account's display, and only there")
    func facts() async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, info: "client.suspended=True\n")
        _ = try await site.start(FarmSite.request())
        let alice = FarmSubject(account: "alice", app: "mail")
        let facts = RecordingFacts([alice, FarmSubject(account: "bob", app: "mail")])
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do { try await site.farm.run(apps: ["mail": site.target], facts: facts) } catch is CancellationError {}
            }
            let found = try await facts.facts.wait(count: 1)
            #expect(found.first?.subject == alice && found.first?.state == .hidden)
            // The listing fails now: nothing more is said, and the operator is told.
            try folder.script("echo broken >&2; exit 1", to: "xpra")
            try await Eventually.wait("the farm is lost") { !log.records(of: .farmLost).isEmpty }
            group.cancelAll()
        }
        #expect(Set(facts.facts.all.map(\.subject)) == [alice])
    }

    @Test("a server that cannot be reached makes the launch fail, with the reason in the log and not in the answer")
    func failing() async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, info: "")
        try folder.script("echo cannot connect >&2; exit 1", to: "xpra")
        let error = await #expect(throws: GatewayError.self) { _ = try await site.start(FarmSite.request()) }
        #expect(error?.code == .farmUnavailable && error?.message.contains("cannot connect") == false)
        #expect("\(log.records(of: .launchFailed))".contains("cannot connect"))
    }

    @Test(
        "faults of the configuration are told",
        arguments: [
            (#""xpra":"/bin/true","origins":["https://a.example"]"#, "'session' is missing"),
            (#""session":["/bin/true"],"xpra":"/no/such","origins":["https://a.example"]"#, "is not a program"),
            (#""session":["/bin/true"],"xpra":"/bin/true""#, "where the HTML5 client is served"),
            (
                #""session":["/bin/true"],"xpra":"/bin/true","origins":["https://a.example; script-src *"]"#,
                "is not a scheme"
            ),
            (#""session":["/bin/true"],"xpra":"/bin/true","origins":["https://a.example/"]"#, "is not a scheme"),
        ])
    func faults(text: String, message: String) {
        let error = #expect(throws: ConfigError.self) {
            _ = try FarmSite(
                XpraPlugin(), text, launch: #"{"command":["a"]}"#, time: SystemTime(), log: Log(sink: log))
        }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test(
        "targets need a command of plain words",
        arguments: [
            #"{}"#, #"{"command":[]}"#, #"{"command":[""]}"#, #"{"command":["a b"]}"#, #"{"command":["a'b"]}"#, "null",
        ])
    func targets(launch: String) throws {
        let text = #""session":["/bin/true"],"xpra":"/bin/true","origins":["https://a.example"]"#
        #expect(throws: ConfigError.self) {
            _ = try FarmSite(XpraPlugin(), text, launch: launch, time: SystemTime(), log: Log(sink: log))
        }
    }
}
