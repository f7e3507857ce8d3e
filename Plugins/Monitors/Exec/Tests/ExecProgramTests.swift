import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import ExecMonitor

/// What programs do that they should not, and what they may rely on. The programs are lines of shell.
@Suite(.timeLimit(.minutes(5))) struct ExecProgramTests {
    /// A monitor whose program is a script of the test's; `$HOME` is a folder to leave traces in.
    struct Rig: Sendable {
        let home: TemporaryFolder
        let monitor: ExecMonitor
        let log = RecordingLogSink()
        let host = RecordingMonitorHost()
        var credentials = ["password": Secret("Zwiebelkuchen")]

        init(
            _ script: String, contract: ExecMonitor.Contract = .stream,
            _ change: (inout ExecMonitor.Settings) -> Void = { _ in }
        ) throws {
            home = try TemporaryFolder()
            try home.write("#!/bin/sh\n\(script)\n", to: "program")
            _ = unsafe chmod(home.file("program"), 0o755)
            var settings = ExecMonitor.Settings(
                command: ChildProgram.Command(
                    home.file("program"), environment: ["HOME": home.path, "PATH": "/usr/bin:/bin"]))
            settings.contract = contract
            settings.fields = [CredentialField("password", isSecret: true)]
            settings.poll = .milliseconds(50)
            settings.limits.grace = .milliseconds(200)
            change(&settings)
            monitor = ExecMonitor(settings, time: SystemTime(), log: Log(sink: log))
        }

        func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
            try await MonitorRun.during(monitor, credentials: credentials, host: host, body: body)
        }
        func trace(_ name: String = "trace") -> String {
            String(decoding: FileSystem.contents(of: home.file(name), limit: 1 << 20) ?? [], as: UTF8.self)
        }
    }

    private static let keeper = "cat >> $HOME/trace"

    @Test("hello, the secret, poll and shutdown are said as documented; the secret stands in its own line only")
    func hostLines() async throws {
        let rig = try Rig("echo '{\"ready\":{}}'; \(Self.keeper)") { $0.config = [("folder", "/x")] }
        try await rig.during {
            try await Eventually.wait("poll: \(rig.trace())") { rig.trace().contains("\"poll\"") }
        }
        let lines = rig.trace().split(separator: "\n").map { String($0) }
        let registration =
            #"{"id":"r1","config":{"folder":"/x"},"credentials":{},"secrets":["password"],"cursor":null}"#
        #expect(
            lines.first == #"{"hello":1,"registrations":["# + registration + "]}"
                || lines.prefix(2) == [#"{"hello":1,"registrations":[]}"#, #"{"add":"# + registration + "}"])
        #expect(lines.contains(#"{"secret":{"id":"r1","name":"password","value":"Zwiebelkuchen"}}"#))
        #expect(lines.contains(#"{"poll":{"id":"r1"}}"#))
        #expect(lines.last == #"{"shutdown":1}"# || lines.suffix(2).first == #"{"remove":{"id":"r1"}}"#)
        #expect(lines.filter { $0.contains("Zwiebelkuchen") }.count == 1)
    }

    @Test("a batch is acknowledged when it is stored, and comes again after a crash of the program, ringing once")
    func acknowledgement() async throws {
        let batch = #"{"batch":{"id":"b1","reg":"r1","events":[{"new":{"key":"k","title":"t"}}],"cursor":"c1"}}"#
        let rig = try Rig(
            """
            read hello; read secret; echo '\(batch)'
            while read line; do case $line in *ack*) echo "$line" >> $HOME/trace
            [ -e $HOME/once ] && sleep 100; touch $HOME/once; exit 7;; esac; done
            """)
        rig.host.cursor = ExecCursor(text: "c0").encoded
        try await rig.during {
            try await Eventually.wait("two acks") { rig.trace().split(separator: "\n").count == 2 }
        }
        #expect(rig.host.rung.map(\.key) == ["k"] && rig.host.repeated == 1)
        #expect(rig.trace() == "{\"ack\":{\"batch\":\"b1\"}}\n{\"ack\":{\"batch\":\"b1\"}}\n")
        #expect(rig.host.failures.allSatisfy { $0.code == .network })
        #expect(ExecCursor(rig.host.cursor ?? [])?.text == "c1")
    }

    @Test(
        "what a program must not say ends in a typed failure",
        arguments: [
            "no json", "[1]", #"{"batch":{"id":"b","reg":"r1","events":[{"new":{}}],"cursor":"c"}}"#,
            #"{"batch":{"id":"b","reg":"r1","events":[]}}"#, #"{"batch":{"reg":"r1","cursor":"c"}}"#,
            #"{"error":{"reg":"r1","kind":"tired"}}"#, #"{"error":{"reg":"r1"}}"#,
        ])
    func wrongLines(line: String) async throws {
        let rig = try Rig("read hello; echo '\(line)'; sleep 100")
        try await rig.during { try await rig.host.waitForFailures() }
        #expect(rig.host.failures.first?.code == .protocolViolation)
        #expect(rig.host.batches == 0)
    }

    @Test("unknown members, unknown messages and unknown registrations are ignored")
    func tolerated() async throws {
        let rig = try Rig(
            """
            read hello; echo '{"news":1}'; echo '{"batch":{"id":"x","reg":"r9","events":[],"cursor":""}}'
            echo '{"watching":{"reg":"r1","since":5},"more":[]}'; sleep 100
            """)
        try await rig.during { try await rig.host.waitForWatching() }
        #expect(rig.host.failures.isEmpty && rig.host.batches == 0)
    }

    @Test("errors are passed on by their kind, without the secret")
    func errors() async throws {
        for (kind, code) in [
            ("auth_failed", MonitorFailure.Code.authFailed), ("cursor_invalid", .cursorInvalid),
        ] {
            let rig = try Rig(
                "read hello; echo '{\"error\":{\"reg\":\"r1\",\"kind\":\"\(kind)\",\"text\":\"Zwiebelkuchen is wrong\"}}'; sleep 100"
            )
            try await rig.during { try await rig.host.waitForFailures() }
            #expect(rig.host.failures.map(\.code) == [code])
            #expect(rig.host.failures.first?.message.contains("Zwiebelkuchen") == false)
        }
    }

    @Test("a program that floods without waiting for an answer is stopped at the limit")
    func flood() async throws {
        let rig = try Rig(
            """
            read hello; n=0; while [ $n -lt 50 ]; do n=$((n+1))
            echo "{\\"batch\\":{\\"id\\":\\"$n\\",\\"reg\\":\\"r1\\",\\"events\\":[],\\"cursor\\":\\"c\\"}}"; done; sleep 100
            """)
        rig.host.isClosed = true
        try await rig.during {
            try await Eventually.wait("flooded") {
                rig.log.records.contains { "\($0)".contains("too_many_batches") }
            }
            rig.host.isClosed = false
            try await rig.host.waitForFailures()
        }
        #expect(rig.host.failures.first?.code == .protocolViolation)
    }

    @Test("a line above 256 kB is the program's end")
    func longLine() async throws {
        let rig = try Rig("read hello; head -c 300000 /dev/zero | tr '\\0' x; echo; sleep 100")
        try await rig.during { try await rig.host.waitForFailures() }
        #expect(rig.host.failures.first?.code == .network)
        #expect(rig.log.records.contains { "\($0)".contains("line_too_long") })
    }

    @Test("a program without a heartbeat is killed with its group, and started again")
    func heartbeat() async throws {
        let rig = try Rig("echo $$ >> $HOME/trace; sleep 1000 & echo $! >> $HOME/child; trap '' TERM; wait; sleep 1000")
        {
            $0.heartbeat = .milliseconds(300)
        }
        try await rig.during {
            try await Eventually.wait("two starts", for: .seconds(20)) { rig.trace().split(separator: "\n").count >= 2 }
        }
        #expect(rig.log.records.contains { "\($0)".contains("no_heartbeat") })
        try await Eventually.wait("nothing of it lives") {
            (rig.trace() + rig.trace("child")).split(separator: "\n").compactMap { Int32($0) }.allSatisfy {
                kill($0, 0) != 0
            }
        }
    }

    @Test("a program that lives by its heartbeat is left alone, and its registrations count as heard")
    func alive() async throws {
        let rig = try Rig("echo $$ >> $HOME/trace; while echo '{\"heartbeat\":1}'; do sleep 0.1; done") {
            $0.heartbeat = .milliseconds(1500)
        }
        try await rig.during { try await Eventually.wait("heard", for: .seconds(20)) { rig.host.heardCount >= 25 } }
        #expect(rig.trace().split(separator: "\n").count == 1 && rig.host.failures.isEmpty)
    }

    @Test("the system's limits hold for the program")
    func limits() async throws {
        let rig = try Rig(
            "read hello; ulimit -n >> $HOME/trace; ulimit -v >> $HOME/trace; ulimit -c >> $HOME/trace; sleep 100"
        ) {
            $0.command.limits = .init(memoryBytes: 512 << 20, openFiles: 77)
        }
        try await rig.during {
            try await Eventually.wait("limits: \(rig.trace())") { rig.trace().split(separator: "\n").count == 3 }
        }
        #expect(rig.trace() == "77\n524288\n0\n")
    }

    @Test("one program serves many registrations, and nothing starts without one")
    func many() async throws {
        let rig = try Rig(
            """
            echo start >> $HOME/trace
            while read line; do case $line in *'"id":"r1"'*cursor*) echo '{"watching":{"reg":"r1"}}';; esac
            case $line in *'"id":"r2"'*cursor*) echo '{"watching":{"reg":"r2"}}';; esac; done
            """)
        #expect(rig.monitor.hub.processID == nil)
        let second = RecordingMonitorHost()
        try await rig.during {
            try await rig.host.waitForWatching()
            let target = MonitorTarget(
                registration: "r2", account: "bob", credentials: rig.credentials, cursor: nil)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await rig.monitor.watch(target, host: second) }
                try await second.waitForWatching()
                group.cancelAll()
            }
        }
        #expect(rig.trace() == "start\n" && second.failures.isEmpty)
    }

    // MARK: The one-shot contract

    @Test(
        "exit statuses mean what Nagios made of them",
        arguments: [
            ("exit 2", MonitorFailure.Code.sourceGone), ("exit 3", .network), ("exit 77", .network),
            ("kill -9 $$", .network), ("echo nonsense; exit 1", .protocolViolation),
            (#"echo '{"new":{"key":"k"}}'; exit 0"#, .protocolViolation),
            (#"echo '{"new":{}}'; exit 1"#, .protocolViolation),
            (#"echo '{"error":{"kind":"auth_failed","text":"no"}}'; exit 2"#, .authFailed),
            (#"echo '{"error":{"kind":"source_gone"}}'; exit 3"#, .sourceGone),
        ])
    func statuses(script: String, code: MonitorFailure.Code) async throws {
        let rig = try Rig("cat > /dev/null; \(script)", contract: .once)
        try await rig.during { try await rig.host.waitForFailures() }
        #expect(rig.host.failures.first?.code == code, "\(rig.host.failures)")
        #expect(rig.host.batches == 0)
    }

    @Test("without a cursor of its own a program's events are told apart by their keys")
    func withoutCursor() async throws {
        let rig = try Rig(
            "cat > /dev/null; cat $HOME/news; [ -s $HOME/news ] && exit 1; exit 0", contract: .once)
        try rig.home.write(#"{"new":{"key":"old","title":"old"}}"# + "\n", to: "news")
        try await rig.during {
            try await rig.host.waitForWatching()
            try rig.home.write(
                #"{"new":{"key":"old","title":"old"}}"# + "\n" + #"{"new":{"key":"new","title":"new"}}"# + "\n",
                to: "news")
            try await rig.host.waitForItems(1)
        }
        #expect(rig.host.rung.map(\.key) == ["new"])
    }

    @Test("the input has everything, the secret among it, and ends")
    func oneShotInput() async throws {
        let rig = try Rig("cat > $HOME/trace; env >> $HOME/environment", contract: .once) {
            $0.config = [("folder", "/x y")]
        }
        try await rig.during { try await rig.host.waitForWatching() }
        #expect(rig.trace() == "registration=r1\ncursor=\nconfig.folder=/x y\nsecret.password=Zwiebelkuchen\n")
        #expect(!rig.trace("environment").contains("Zwiebelkuchen"))
    }

    @Test("a run that hangs is killed with its group at its time-out")
    func hangs() async throws {
        let rig = try Rig(
            "trap '' TERM; sleep 1000 & echo $! > $HOME/child; echo $$ > $HOME/trace; wait; sleep 1000", contract: .once
        ) {
            $0.timeout = .seconds(1)
        }
        try await rig.during { try await rig.host.waitForFailures() }
        #expect(rig.host.failures.first?.code == .network)
        try await Eventually.wait("nothing of it lives") {
            (rig.trace() + rig.trace("child")).split(separator: "\n").compactMap { Int32($0) }.allSatisfy {
                kill($0, 0) != 0
            }
        }
    }

    @Test("a turnstile lets its number through, in order, and forgets who left")
    func turnstile() async throws {
        let turnstile = Turnstile(2)
        let inside = Locked((now: 0, most: 0, total: 0))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    try await turnstile.pass {
                        inside.withLock {
                            ($0.now, $0.most, $0.total) = ($0.now + 1, max($0.most, $0.now + 1), $0.total + 1)
                        }
                        await Task.yield()
                        inside.withLock { $0.now -= 1 }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(inside.withLock { $0.most } == 2 && inside.withLock { $0.total } == 50)
        let cancelled = Task { try await turnstile.pass {} }
        cancelled.cancel()
        _ = await cancelled.result
        #expect(try await turnstile.pass { 7 } == 7)
    }
}
