import Base
import ExecPush
import Gateway
import GatewayTestKit
import SMTPPush

// E-mail and programs, which have faults of their own.
extension Site {
    static func smtp(_ authority: TestCertificateAuthority, isImpatient: Bool) throws -> Site {
        var configuration = FakeSMTPServer.Configuration(users: ["farbell": "hush hush"])
        configuration.security = .implicit
        let fake = try FakeSMTPServer(configuration, identity: authority.localhost)
        let mailboxes = (0..<addressCount).map { "person\($0)@example.net" }
        let place = places(mailboxes)
        return Site(
            plugin: SMTPPlugin(),
            keys: [
                "url": .string(fake.url), "from": "farbell@example.org", "clientName": "gateway.example.org",
                "username": "farbell", "password": ["env": "PASSWORD"], "caFile": .string(authority.caFile),
            ], secrets: ["PASSWORD": "hush hush"], addresses: mailboxes.map { .token($0) },
            time: isImpatient ? HurriedTime() : SystemTime(),
            arrivals: { fake.messages.all.map { Arrival(device: place($0.recipient), mail: $0) } },
            arrivalCount: { fake.messages.count },
            strike: { fault in
                let faults = mailFaults(fault)
                for (step, fault) in faults { fake.script(step, fault) }
                return faults.count
            }, bury: { device, _ in fake.close(mailbox: mailboxes[device]) }, stop: { fake.stop() },
            folder: try TemporaryFolder())
    }

    private static func mailFaults(_ fault: Fault) -> [(FakeSMTPServer.Step, FakeSMTPServer.Fault)] {
        switch fault {
        case .tooMany: [(.recipient, .reply("452 4.2.2 over quota")), (.recipient, .reply("450 4.7.1 greylisted"))]
        case .unavailable:
            [
                (.greeting, .farewell("421 4.3.2 going down")), (.hello, .farewell("421 4.3.2 going down")),
                (.sender, .reply("451 4.3.0 later")), (.data, .reply("451 4.3.0 later")),
                (.content, .reply("451 4.3.0 later")), (.content, .farewell("421 4.3.2 going down")),
                (.greeting, .farewell("554 5.3.2 closed")),
            ]
        case .hang: [(.recipient, .hang), (.content, .hang)]
        case .resetBefore: [(.sender, .reset), (.recipient, .reset), (.data, .reset), (.content, .reset)]
        case .resetAfter: [(.content, .acceptThenReset), (.content, .acceptThenReset)]
        case .garbage: [(.sender, .reply("SSH-2.0-surprise")), (.content, .farewell("\u{1}\u{2} oops"))]
        case .nothing, .goneNew, .goneOld, .goneReplaced, .goAway, .refusedStream, .streamLimit, .emptyData: []
        }
    }

    /// The program takes what files in its folder tell it to misdo, one for each request.
    static func exec(isImpatient: Bool) throws -> Site {
        let folder = try TemporaryFolder()
        try folder.write(program, to: "program.py")
        try folder.write("", to: "arrivals")
        // `python3` may be anywhere in the tests' own path, but a program's path is a fixed one.
        let python = ["/usr/bin/python3", "/usr/local/bin/python3"].first(where: FileSystem.exists) ?? "/usr/bin/env"
        let arguments = (python.hasSuffix("env") ? ["python3"] : []) + [folder.file("program.py"), folder.path]
        let tokens = (0..<addressCount).map { "person-\($0)" }
        let place = places(tokens)
        let lines: @Sendable () -> [[UInt8]] = {
            let bytes = FileSystem.contents(of: folder.file("arrivals"), limit: 1 << 20) ?? []
            let end = bytes.lastIndex(of: 0x0A) ?? 0
            return bytes[..<end].split(separator: 0x0A).map(Array.init)
        }
        return Site(
            plugin: ExecPlugin(),
            keys: [
                "program": .string(python), "arguments": .strings(arguments),
                "timeoutSeconds": isImpatient ? 2 : 20,
            ], addresses: tokens.map { .token($0) }, time: SystemTime(),
            arrivals: {
                lines().map { line in
                    let push = try? JSONParser.parse(line)
                    return Arrival(
                        device: place(push?["token"]?.string ?? ""), id: push?["id"]?.string,
                        collapse: push?["collapse"]?.string ?? "")
                }
            }, arrivalCount: { lines().count },
            strike: { fault in
                let faults = programFaults(fault)
                for (number, fault) in faults.enumerated() {
                    _ = FileSystem.writePrivate(Array(fault.utf8), to: folder.file("fault-\(number)"))
                }
                return faults.count
            },
            bury: { device, since in
                let text = Array(String(since.milliseconds).utf8)
                _ = FileSystem.writePrivate(text, to: folder.file("dead-\(tokens[device])"), replacing: true)
            }, stop: {}, folder: folder)
    }

    private static func programFaults(_ fault: Fault) -> [String] {
        switch fault {
        case .tooMany: ["busy", "", "busy"]
        case .unavailable: Array(repeating: "unavailable", count: 9)
        case .hang: ["hang"]
        case .resetBefore: ["die", "", "", "die"]
        case .resetAfter: ["", "take and die", "", "take and die"]
        case .garbage: ["", "garbage", "", "garbage"]
        case .nothing, .goneNew, .goneOld, .goneReplaced, .goAway, .refusedStream, .streamLimit, .emptyData: []
        }
    }

    private static let program = """
        import json, os, sys, time
        folder = sys.argv[1]
        def say(text):
            print(text, flush=True)
        def contents(name):
            path = os.path.join(folder, name)
            if not os.path.exists(path): return None
            with open(path) as file: return file.read()
        def fault():
            for name in sorted(os.listdir(folder)):
                # One that is still being written has a longer name.
                if name.startswith("fault-") and name[6:].isdigit():
                    text = contents(name)
                    os.unlink(os.path.join(folder, name))
                    return text
        def take(request):
            line = json.dumps({"id": request["push"], "token": request["to"]["token"],
                "collapse": request["document"]["collapse"]})
            with open(os.path.join(folder, "arrivals"), "a") as file: file.write(line + "\\n")
        for line in sys.stdin:
            request = json.loads(line)
            def answer(**members): say(json.dumps({"id": request["id"], **members}))
            dead = contents("dead-" + request["to"]["token"])
            if dead is not None:
                answer(outcome="gone", sinceMilliseconds=int(dead))
                continue
            word = fault()
            if word == "busy": answer(outcome="retry", afterSeconds=30, blame="device")
            elif word == "unavailable": answer(outcome="retry")
            elif word == "hang": time.sleep(3600)
            elif word == "die": os._exit(9)
            elif word == "take and die":
                take(request)
                os._exit(9)
            elif word == "garbage":
                say("\\x01 no JSON at all")
                answer(outcome="perhaps")
            else:
                take(request)
                answer(outcome="delivered", status=200)

        """
}

/// The clock of an adapter whose time-outs are nearly over when they begin: 28 seconds of its time are 1.5 s.
private struct HurriedTime: TimeSource {
    private let time = SystemTime()
    var now: Moment { time.now + .milliseconds(-26_500) }
    var timestamp: Timestamp { time.timestamp }
    func sleep(until moment: Moment) async throws { try await time.sleep(until: moment) }
}

extension Arrival {
    /// A mail has its id in `Message-ID` and the collapse value in the thread it belongs to.
    init(device: Int, mail: FakeSMTPServer.Message) {
        func local(_ header: String) -> String? {
            mail.header(header)?.dropFirst().split(separator: "@").first.map(String.init)
        }
        let thread = local("references").flatMap { [UInt8](base64URL: String($0.dropFirst(7))) } ?? []
        let collapse = String(decoding: thread, as: UTF8.self).split(separator: "/").last.map(String.init)
        self.init(device: device, id: local("message-id"), collapse: collapse ?? "")
    }
}
