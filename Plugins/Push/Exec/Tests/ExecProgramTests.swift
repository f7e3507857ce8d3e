import Base
import Cryptography
import ExecPush
import Gateway
import GatewayTestKit
import Outbound
import Testing

@Suite("exec: programs", .timeLimit(.minutes(2))) struct ExecProgramTests {
    @Test("SG-13 the program gets one line a push, stays running, and its answers are taken")
    func delivered() async throws {
        let subject = try ExecSubject(
            python: """
                while True:
                    r = ask()
                    print(json.dumps(r), file=open('requests', 'a'))
                    answer(r, outcome="delivered", status=200)
                """, more: ["folder": "."])
        for _ in 0..<3 { #expect(await subject.send() == PushReport(.delivered, status: 200)) }
        let text = FileSystem.contents(of: subject.folder.file("requests"), limit: 65_536) ?? []
        let requests = try String(decoding: text, as: UTF8.self).split(separator: "\n").map {
            try JSONParser.parse(Array($0.utf8))
        }
        #expect(requests.map { $0["id"]?.string } == ["1", "2", "3"])
        #expect(Set(requests.map { $0["push"]?.string }) == ["11111111-2222-4333-8444-555555555555"])
        let first = try #require(requests.first)
        #expect(first["to"] == ["token": "7"] && first["device"]?.string == "d1")
        #expect(first["priority"]?.string == "normal" && first["expires"]?.string?.hasPrefix("2096-") == true)
        #expect(first["document"] == (try JSONParser.parse(Array(Push.sampleDocument.utf8))))
        #expect(first.object?.keys == ["id", "push", "device", "to", "document", "priority", "expires"])
        #expect(subject.log.records(of: "push.program_started").count == 1)
        await subject.adapter.stop()
        try await Eventually.wait("the end in the log") {
            subject.log.records(of: "push.program_ended").map(\.level) == [.info]
        }
    }

    @Test("MN-13 a wakeup has ids only, a clear names what to take away; other addresses go as they are")
    func contents() async throws {
        let subject = try ExecSubject(
            python:
                "while True:\n    r = ask()\n    print(json.dumps(r), file=sys.stderr, flush=True)\n    answer(r, outcome='delivered')"
        )
        _ = await subject.adapter.send(.sample(to: .url("https://x.example/"), payload: .wakeup, locale: "de"))
        _ = await subject.adapter.send(
            .sample(to: .subscription(endpoint: "https://y.example/", p256dh: "k", auth: "a"), clear: ["n1"]))
        let said = try await Eventually.value("both requests", for: .seconds(60)) {
            let records = subject.log.records(of: "push.program_said")
            return records.count == 2 ? records : nil
        }
        let texts = said.map { record -> String in
            if case .personal(let text) = record.fields["text"] { text } else { "" }
        }
        let requests = try texts.map { try JSONParser.parse(Array($0.utf8)) }
        #expect(requests[0]["document"] == (try JSONParser.parse(Array(Push.sampleIDs.utf8))))
        #expect(requests[0]["to"] == ["url": "https://x.example/"] && requests[0]["locale"]?.string == "de")
        #expect(requests[1]["document"] == ["clear": ["n1"], "badge": 0, "collapse": "c1"])
        #expect(requests[1]["to"] == ["endpoint": "https://y.example/", "keys": ["p256dh": "k", "auth": "a"]])
    }

    @Test("a device with keys of its own gets its document sealed, and no text in the clear")
    func sealed() async throws {
        let key = try AgreementKey.generate()
        let secret = [UInt8](repeating: 7, count: WebPushEncryption.authSize)
        let subject = try ExecSubject(
            python:
                "while True:\n    r = ask()\n    print(json.dumps(r), file=sys.stderr, flush=True)\n    answer(r, outcome='delivered')",
            more: ["timeoutSeconds": 25])
        let long = String(repeating: "你好", count: 3000)
        for body in ["New mail from Bob", long] {
            let push = Push.sample(
                to: ExecSubject.address, body: body,
                encryption: Device.Encryption(publicKey: key.publicKey, secret: secret))
            // What is said at the error output is cut at 1000 bytes: the answer is enough for the long one.
            #expect(await subject.adapter.send(push) == PushReport(.delivered))
        }
        let said = try await Eventually.value("the first request", for: .seconds(60)) {
            subject.log.records(of: "push.program_said").first
        }
        guard case .personal(let text) = said.fields["text"] else { return }
        let request = try JSONParser.parse(Array(text.utf8))
        #expect(request["document"] == nil && !text.contains("Bob") && !text.contains("Outlook"))
        let sealed = try #require(request["sealed"]?.string.flatMap { [UInt8](base64URL: $0) })
        let plain = try WebPushEncryption.decrypt(sealed, key: key, auth: secret)
        #expect(String(decoding: plain, as: UTF8.self) == Push.sampleDocument)
        let broken = Push.sample(
            to: ExecSubject.address, encryption: Device.Encryption(publicKey: [4], secret: secret))
        #expect(await subject.adapter.send(broken) == PushReport(.rejected, reason: "sealing_failed", hop: .payload))
    }

    @Test("requests are answered side by side and in any order")
    func concurrency() async throws {
        let subject = try ExecSubject(
            python: """
                while True:
                    batch = [ask() for _ in range(8)]
                    for r in reversed(batch): answer(r, outcome="rejected", reason=r["push"])
                """)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<24 {
                group.addTask {
                    let report = await subject.send("push-\(number)")
                    #expect(report == PushReport(.rejected, reason: "push-\(number)"))
                }
            }
            try await group.waitForAll()
        }
    }

    @Test(
        "each answer has its outcome",
        arguments: [
            (#"outcome="gone""#, PushReport(.gone(since: nil))),
            (
                #"outcome="gone", sinceMilliseconds=1700000000123"#,
                PushReport(.gone(since: Timestamp(milliseconds: 1_700_000_000_123)))
            ),
            (#"outcome="retry""#, PushReport(.retry(after: nil, .service))),
            (
                #"outcome="retry", afterSeconds=1.5, blame="device", status=429"#,
                PushReport(.retry(after: .milliseconds(1500), .device), status: 429)
            ),
            (
                #"outcome="rejected", reason="a b\u00e4\n", hop="token""#,
                PushReport(.rejected, reason: "a_b__", hop: .token)
            ),
            (#"outcome="credential", reason="expired""#, PushReport(.credential, reason: "expired")),
            (#"outcome="delivered", hop="tcp""#, PushReport(.delivered)),
            (#"outcome="sent""#, PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)),
            (
                #"outcome="delivered", extra=1"#,
                PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)
            ),
            (
                #"outcome="retry", afterSeconds=-1"#,
                PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)
            ),
            (
                #"outcome="retry", blame="me""#,
                PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)
            ),
            (
                #"outcome="gone", hop="moon""#,
                PushReport(.retry(after: nil, .service), reason: "bad_answer", hop: .service)
            ),
        ] as [(String, PushReport)])
    func table(members: String, report: PushReport) async throws {
        let subject = try ExecSubject(python: "while True: answer(ask(), \(members))")
        #expect(await subject.send() == report)
    }

    @Test("what is no answer is passed over")
    func garbage() async throws {
        let subject = try ExecSubject(
            python: """
                r = ask()
                print("hello", flush=True)
                print("[]", flush=True)
                print('{"outcome":"delivered"}', flush=True)
                print('{"id":"99","outcome":"delivered"}', flush=True)
                sys.stdout.buffer.write(b"\\xff\\xfe\\n"); sys.stdout.flush()
                answer(r, outcome="delivered")
                ask()
                """)
        #expect(await subject.send() == PushReport(.delivered))
        #expect(subject.log.records(of: "push.program_misspoke").count == 4)
    }

    @Test("the examples of the folder work")
    func examples() async throws {
        let examples = "\(FileSystem.folder(of: FileSystem.folder(of: #filePath)))/Examples"
        let folder = try TemporaryFolder()
        func adapter(_ keys: JSON) throws -> any PushAdapter {
            try ExecPlugin().adapter(keys.serialized, folder: folder.path, http: HTTPClient(), time: SystemTime())
        }
        let python = try adapter([
            "program": .string("\(examples)/push.py"),
            // Where python3 is not in the basic path.
            "environment": ["PATH": "/usr/local/bin:/usr/bin:/bin"],
        ])
        #expect(await python.send(.sample(to: .token("7"))) == PushReport(.delivered, status: 200))
        #expect(
            await python.send(.sample(to: .token("unknown"))) == PushReport(.gone(since: nil), reason: "no_such_pager"))
        #expect(
            await python.send(.sample(to: .token("busy")))
                == PushReport(.retry(after: .seconds(30), .device), reason: "busy"))
        let shell = try adapter([
            "program": .string("\(examples)/push.sh"), "arguments": [.string(folder.file("sheet"))],
        ])
        for _ in 0..<3 {
            #expect(await shell.send(.sample(to: .token(#"a\"b $(id)"#))) == PushReport(.delivered))
        }
        let sheet = String(decoding: FileSystem.contents(of: folder.file("sheet"), limit: 65_536) ?? [], as: UTF8.self)
        #expect(sheet.split(separator: "\n").count == 3 && sheet.contains("New mail from Bob"))
        await python.stop()
        await shell.stop()
    }
}
