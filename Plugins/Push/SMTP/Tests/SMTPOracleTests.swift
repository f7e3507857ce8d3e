import Base
import Gateway
import GatewayTestKit
import Outbound
import SMTPPush
import Testing

/// Against aiosmtpd, and what it took as Python's `email` library reads it.
@Suite(
    "e-mail against aiosmtpd", .enabled("aiosmtpd is installed") { await SMTPOracle.isAvailable() },
    .timeLimit(.minutes(3)))
struct SMTPOracleTests {
    @Test("another server takes the mail, and another library reads what was meant")
    func letters() async throws {
        let oracle = try await SMTPOracle()
        let adapter = try oracle.adapter()
        let bodies = [
            "New mail from Bob", "Zeile 1\n.\n..\n.Zeile 4 mit Umlauten: äöü\nFrom here\n",
            String(repeating: "你好，世界 ", count: 900),
            String(repeating: "x", count: 3000), "🧑‍🚒 emergency\ttab",
        ]
        for (number, body) in bodies.enumerated() {
            let title = "标题 \(number) — “quoted” " + String(repeating: "lang ", count: number * 10)
            let push = Push.sample(
                to: .token("alice@example.net"), id: "push-\(number)", title: title, body: body, priority: .high)
            #expect(await adapter.send(push) == PushReport(.delivered, status: 250))
            let read = try await oracle.letter(number)
            #expect(read["subject"]?.string == title.trimmingSpace)
            #expect(read["from"]?.string == "Farbell Östlich <farbell@example.org>")
            #expect(read["to"]?.string == "alice@example.net")
            #expect(read["message-id"]?.string == "<push-\(number)@example.org>")
            #expect(read["references"]?.string == read["in-reply-to"]?.string)
            #expect(read["auto-submitted"]?.string == "auto-generated")
            #expect(read["type"]?.string == "text/plain" && read["charset"]?.string == "utf-8")
            #expect(read["defects"]?.array == [])
            #expect(read["text"]?.string == "\(body)\n\nhttps://farbell.example.org/l/tap1\n", "\(number)")
            #expect(read["sender"]?.string == "farbell@example.org")
            #expect(read["receivers"] == ["alice@example.net"])
            #expect(read["encrypted"]?.bool == true && read["authenticated"]?.bool == true)
            let names = read["names"]?.array?.compactMap { $0.string?.lowercased() } ?? []
            #expect(Set(names).count == names.count, "a field stands there twice: \(names)")
            let seconds = read["timestamp"]?.integer ?? 0
            #expect(abs(seconds - SystemTime().timestamp.seconds) < 60)
        }
    }

    @Test("what replaces one another is one thread; another device's or another matter is not")
    func threads() async throws {
        let oracle = try await SMTPOracle()
        let adapter = try oracle.adapter()
        for (number, collapse) in ["mail/alice", "mail/alice", "chat \"x\" <y>"].enumerated() {
            let push = Push.sample(to: .token("alice@example.net"), id: "push-\(number)", collapse: collapse)
            #expect(await adapter.send(push).outcome == .delivered)
        }
        let roots = [
            try await oracle.letter(0)["references"], try await oracle.letter(1)["references"],
            try await oracle.letter(2)["references"],
        ]
        #expect(roots[0] == roots[1] && roots[1] != roots[2])
    }

    @Test("its refusals are understood: receiver, password")
    func refusals() async throws {
        let oracle = try await SMTPOracle()
        #expect(
            await (try oracle.adapter()).send(.sample(to: .token("nobody@example.net")))
                == PushReport(.gone(since: nil), status: 550, reason: "5.1.1", hop: .token))
        #expect(
            await (try oracle.adapter(password: "wrong")).send(.sample(to: .token("alice@example.net")))
                == PushReport(.credential, reason: "login_refused", hop: .credential))
    }
}

/// The server of `Scripts/oracle/smtp_server.py`, which `Scripts/oracle/setup` makes ready.
private final class SMTPOracle: Sendable {
    private static let root = (0..<5).reduce(#filePath) { path, _ in FileSystem.folder(of: path) }
    private static let python = "\(root)/.venv/bin/python"

    /// Whether `Scripts/oracle/setup` has installed it.
    static func isAvailable() async -> Bool {
        let tried = try? await ChildProcess.run(python, ["-c", "import aiosmtpd"])
        return tried?.exit == .code(0)
    }

    private let authority: TestCertificateAuthority
    private let server: ChildProcess
    private let port: Int

    init() async throws {
        authority = try TestCertificateAuthority()
        let identity = authority.localhost
        server = try await ChildProcess(
            Self.python,
            [
                "\(Self.root)/Scripts/oracle/smtp_server.py", identity.certificateFile, identity.keyFile, "farbell",
                "hush hush",
            ])
        port = Int(try await server.waitForLine("its port", deadline: .seconds(30)) { Int($0) != nil }) ?? 0
    }

    func adapter(password: String = "hush hush") throws -> any PushAdapter {
        let keys: JSON = [
            "url": .string("smtp://localhost:\(port)"), "startTLS": "required", "caFile": .string(authority.caFile),
            "username": "farbell", "password": ["env": "PASSWORD"], "from": "farbell@example.org",
            "fromName": "Farbell Östlich",
        ]
        return try SMTPPlugin().adapter(
            keys.serialized, folder: ".", http: HTTPClient(), time: SystemTime(), environment: ["PASSWORD": password],
            tapPage: "https://farbell.example.org/l/")
    }

    /// The letter of that number, counted from 0, as it was read.
    func letter(_ number: Int) async throws -> JSON {
        let line = try await Eventually.value("letter \(number): \(server.errors)", for: .seconds(40)) {
            server.output.count > number + 1 ? server.output[number + 1] : nil
        }
        return try JSONParser.parse(Array(line.utf8))
    }
}
