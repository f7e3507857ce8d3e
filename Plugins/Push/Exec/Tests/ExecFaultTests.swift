import Base
import ExecPush
import Gateway
import GatewayTestKit
import Outbound
import Testing

@Suite("exec: faults", .timeLimit(.minutes(2))) struct ExecFaultTests {
    private static func trouble(_ reason: String) -> PushReport {
        PushReport(.retry(after: nil, .service), reason: reason, hop: .service)
    }

    @Test("a program that dies owes its answers; it is started again after a pause, which is told and grows")
    func dies() async throws {
        let time = ManualTime()
        let subject = try ExecSubject(python: "ask()\nsys.exit(9)", time: time)
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            #expect(await subject.send() == Self.trouble("program_ended"))
            let told = PushReport(.retry(after: .seconds(pause), .service), reason: "program_ended", hop: .service)
            #expect(await subject.send() == told)
            time.advance(by: .seconds(pause))
        }
        let ended = subject.log.records(of: "push.program_ended")
        #expect(ended.count == 8 && subject.log.records(of: "push.program_started").count == 8)
        #expect(ended.first?.level == .warning)
        #expect(ended.first?.fields["exit"] == "exit status 9")
    }

    @Test("an answer proves that the program works: the next pause is the first one again")
    func works() async throws {
        let time = ManualTime()
        let subject = try ExecSubject(
            python: """
                r = ask()
                if r["push"] == "good":
                    answer(r, outcome="delivered")
                    ask()
                sys.exit(9)
                """, time: time)
        for _ in 0..<3 {
            _ = await subject.send("bad")
            time.advance(by: .seconds(60))
        }
        #expect(await subject.send("good") == PushReport(.delivered))
        #expect(await subject.send("bad") == Self.trouble("program_ended"))
        #expect(await subject.send().outcome == .retry(after: .seconds(1), .service))
    }

    @Test("a program that leaves in order after its answer is started again at once")
    func regularEnd() async throws {
        let subject = try ExecSubject(python: "answer(ask(), outcome='delivered')")
        for number in 1...3 {
            #expect(await subject.send().outcome == .delivered)
            try await Eventually.wait("its end", for: .seconds(60)) {
                subject.log.records(of: "push.program_ended").count == number
            }
        }
        #expect(subject.log.records(of: "push.program_ended").allSatisfy { $0.level == .info })
    }

    @Test("no answer in time is tried again; a program that answers others goes on, a hung one is killed")
    func timeouts() async throws {
        let time = ManualTime()
        let subject = try ExecSubject(
            python: """
                while True:
                    r = ask()
                    if r["push"] == "hang": time.sleep(600)
                    if r["push"] != "slow": answer(r, outcome="delivered")
                """, more: ["timeoutSeconds": 10], time: time)
        async let slow = subject.send("slow")
        try await time.waitForSleepers(1, deadline: .seconds(60))
        #expect(await subject.send("quick").outcome == .delivered)
        time.advance(by: .seconds(6))
        #expect(await subject.send("quick").outcome == .delivered)
        time.advance(by: .seconds(4))
        #expect(await slow == Self.trouble("timeout"))
        #expect(await subject.send("quick").outcome == .delivered)
        #expect(subject.log.records(of: "push.program_started").count == 1)
        async let hung = subject.send("hang")
        try await time.waitForSleepers(1, deadline: .seconds(60))
        time.advance(by: .seconds(10))
        #expect(await hung == Self.trouble("timeout"))
        try await Eventually.wait("the end of the hung one", for: .seconds(60)) {
            subject.log.records(of: "push.program_ended").contains { $0.fields["exit"] == "signal 9" }
        }
    }

    @Test("a line above 64 KiB is the program's end")
    func longLine() async throws {
        let subject = try ExecSubject(python: "r = ask()\nprint('x' * 70000, flush=True)\ntime.sleep(60)")
        #expect(await subject.send() == Self.trouble("program_ended"))
        #expect(subject.log.records(of: "push.program_misspoke").first?.fields["error"] == "line_too_long")
    }

    @Test("standard error is logged at debug only, bounded, without secrets")
    func standardError() async throws {
        let subject = try ExecSubject(
            python: """
                for n in range(500): print("key is", os.environ["KEY"], "y" * 3000, file=sys.stderr)
                while True: answer(ask(), outcome="delivered", reason=str(sorted(os.environ.keys())).replace(" ", ""))
                """, more: ["secrets": ["KEY": ["env": "PAGER"]], "environment": ["REGION": "eu"]],
            environment: ["PAGER": "top-secret-1", "OTHER": "not for it"])
        let report = await subject.send()
        #expect(report.outcome == .delivered)
        let variables = report.reason ?? ""
        #expect(variables.contains("'KEY'") && variables.contains("'REGION'") && !variables.contains("OTHER"))
        try await Eventually.wait("60 lines", for: .seconds(60)) {
            subject.log.records(of: "push.program_said").count >= 60
        }
        let said = subject.log.records(of: "push.program_said")
        #expect(said.count == 60)
        for record in said {
            #expect(record.level == .debug)
            guard case .personal(let text) = record.fields["text"] else {
                Issue.record("not marked as personal")
                continue
            }
            #expect(text.hasPrefix("key is *** ") && text.utf8.count <= 1000)
        }
        await subject.adapter.stop()
    }

    @Test("stopping ends the input, waits for the program and starts it no more")
    func stop() async throws {
        let subject = try ExecSubject(
            python: """
                try:
                    while True: answer(ask(), outcome="delivered")
                finally:
                    time.sleep(0.3)
                    open('farewell', 'w').write('done')
                """, more: ["folder": "."])
        #expect(await subject.send().outcome == .delivered)
        await subject.adapter.stop()
        #expect(FileSystem.exists(subject.folder.file("farewell")))
        #expect(subject.log.records(of: "push.program_ended").count == 1)
        #expect(await subject.send() == PushReport(.retry(after: nil, .device), reason: "stopped", hop: .service))
        #expect(subject.log.records(of: "push.program_started").count == 1)
    }

    @Test("a cancelled push returns at once")
    func cancel() async throws {
        let subject = try ExecSubject(python: "while True: ask()")
        let task = Task { await subject.send() }
        try await Eventually.wait("the start", for: .seconds(60)) {
            subject.log.records(of: "push.program_started").count == 1
        }
        task.cancel()
        let began = ContinuousClock.now
        #expect(await task.value == PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service))
        // Its time-out would be 20 s.
        #expect(ContinuousClock.now - began < .seconds(15))
        await subject.adapter.stop()
    }

    @Test("the example configuration is read; a program that is not there is a fault")
    func configuration() throws {
        let folder = try TemporaryFolder()
        try folder.write("key\n", to: "pager.key")
        let plugin = FileSystem.folder(of: FileSystem.folder(of: #filePath))
        var example = try #require(ExecPlugin().example("pager").object)
        example["program"] = .string("\(plugin)/\(example["program"]?.string ?? "")")
        let adapter = try ExecPlugin().adapter(
            JSON.object(example).serialized, folder: folder.path, http: HTTPClient(), time: SystemTime())
        #expect(adapter.concurrency == ExecPlugin.defaultConcurrency && adapter.canClear)
        #expect(adapter.fault(in: .token("7")) == nil && adapter.fault(in: .url("tel:7")) == nil)
        #expect(adapter.fault(in: .token("")) != nil && adapter.fault(in: .token("a\nb")) != nil)
        #expect(adapter.fault(in: .token(String(repeating: "x", count: 5000))) != nil)
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            ("{}", "program"), (#"{"program":"nothing-here"}"#, "there is no file"),
            (#"{"program":"/etc/passwd"}"#, "not executable"),
            (#"{"program":"/bin/cat","environment":{"A B":"x"}}"#, "a variable's name"),
            (#"{"program":"/bin/cat","secrets":{"KEY":"hush"}}"#, "never as the value itself"),
            (#"{"program":"/bin/cat","secrets":{"A-B":{"env":"KEY"}}}"#, "a variable's name"),
            (#"{"program":"/bin/cat","arguments":["a\u0000b"]}"#, "NUL"),
            (#"{"program":"/bin/cat","timeoutSeconds":26}"#, "out of range"),
            (#"{"program":"/bin/cat","argument":["x"]}"#, "did you mean 'arguments'?"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try ExecPlugin().adapter(
                text, folder: ".", http: HTTPClient(), time: SystemTime(), environment: ["KEY": "hush"])
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
            #expect(!error.description.contains("hush"))
        }
    }
}
