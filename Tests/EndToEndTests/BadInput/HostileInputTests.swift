import Base
import GatewayTestKit
import Testing

/// What strangers and broken servers send to the running program.
@Suite(.timeLimit(.minutes(3))) struct HostileInputTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        return options
    }

    @Test("SG-16 requests that are wrong get a clear answer, and the gateway goes on")
    func requests() async throws {
        try await Scenario.run(Self.options) { world in
            func send(
                _ method: String, _ path: String, _ authorization: String?, _ body: [UInt8]? = nil
            ) async throws -> PlainResponse {
                var headers: HTTPFields = ["Content-Type": "application/json"]
                if let authorization { headers.append("Authorization", authorization) }
                return try await PlainHTTP.send(
                    method, path, port: world.gateway.port, headers: headers, body: body)
            }
            let wrong = try await send("GET", "/v1/admin/accounts", "Bearer fba_wrong-but-long-enough-token")
            #expect(wrong.status == 401)
            #expect(try await send("GET", "/v1/admin/accounts", nil).status == 401)
            #expect(try await send("GET", "/v1/devices", "Bearer fbd_nothing").status == 401)
            // What a proxy that signs people in puts into the header must have room.
            let long = "Bearer fbd_" + String(repeating: "x", count: 6500)
            #expect(try await send("GET", "/v1/devices", long).status == 401)

            let basic = TerminalClient.basic("alice", Scenario.accountPassword)
            let large = [UInt8](repeating: UInt8(ascii: " "), count: 3 << 20)
            #expect(try await send("POST", "/v1/devices", basic, large).status == 413)
            let broken = try await send("POST", "/v1/devices", basic, [0x7B, 0x22, 0xFF, 0xFE, 0x22, 0x3A, 0x31, 0x7D])
            #expect(broken.status == 400)
            #expect(broken.headers["Content-Type"]?.hasPrefix("application/problem+json") == true)
            #expect(broken.json["code"]?.string?.isEmpty == false)
            let unknown = try await send(
                "POST", "/v1/devices", basic,
                Array(#"{"installation":"x","name":"x","platform":"ios","instalation":"y"}"#.utf8))
            #expect(unknown.status == 400 && unknown.json["field"]?.string == "instalation")
            #expect(try await send("GET", "/no/such/path", nil).status == 404)
            #expect(try await send("DELETE", "/v1/stream", nil).status == 405)
            #expect(try await send("GET", "/healthz", nil).status == 200)
            #expect(try await send("GET", "/readyz", nil).headers["Farbell-Request-Id"]?.isEmpty == false)
        }
    }

    @Test("a mail server that sends a header line of 50 MB: its mailbox rings or backs off, memory stays bounded")
    func hugeHeaderLine() async throws {
        let authority = try TestCertificateAuthority()
        let server = try SyntheticIMAPServer(identity: authority.localhost)
        defer { server.stop() }
        var options = Self.options
        let (victim, neighbour) = (SyntheticIMAPServer.user(1), SyntheticIMAPServer.user(2))
        options.users = [victim, neighbour]
        let monitor: JSON = [
            "kind": "imap", "url": .string("imaps://localhost:\(server.port)"), "caFile": .string(authority.caFile),
        ]
        options.sections = ["apps": ["mail": ["name": "Mail", "farm": "web", "monitor": monitor]]]
        try await Scenario.run(options) { world in
            var phones: [Phone] = []
            for user in [victim, neighbour] {
                let phone = try await world.phone(user)
                let registration = try await phone.client.register("mail", username: user, password: "secret")
                let session = try await phone.client.open("mail")
                try await phone.client.waitUntilWatching(registration)
                try await phone.client.report(session, 1, "hidden")
                phones.append(phone)
            }
            let before = try #require(world.gateway.peakMemory)
            try await server.deliver(to: victim, bytes: SyntheticIMAPServer.hugeHeader(subjectBytes: 50 << 20))
            // It shows, one way or the other: as an item with a cut subject, or as a fault of the server.
            try await Eventually.wait("the huge header to be noticed", for: .seconds(60)) {
                world.log.lines.contains {
                    ($0.event == "monitor.item" || $0.event == "monitor.backing_off") && $0["account"] != neighbour
                }
            }
            try await server.deliver(
                to: neighbour,
                header: "From: Li Na <li@example.org>\r\nSubject: Unharmed\r\nMessage-ID: <u@example.org>")
            #expect(try await phones[1].wait(1).map(\.body) == ["Unharmed"])
            let after = try #require(world.gateway.peakMemory)
            #expect(after - before < 40 << 20, "the line was kept in memory: \((after - before) >> 20) MiB more")
            #expect(world.log.texts.allSatisfy { $0.utf8.count < 20_000 })
        }
    }

    @Test("a full disk: new items are refused and the log says so, the API goes on answering; room ends it")
    func fullDisk() async throws {
        guard await Disk.canMount else {
            print("skipped: a file system of a test's own needs root and the right to mount")
            return
        }
        var options = Self.options
        options.startsGateway = false
        options.sections = ["limits": ["diskReserveBytes": .integer(4 << 20)]]
        // The mount belongs to the gateway's own view of the file system and ends with it.
        options.wrapper = Disk.wrapper
        try await Scenario.run(options) { world in
            try await world.gateway.start()
            let process = try #require(world.gateway.process)
            let data = "/proc/\(process.processID)/root\(world.gateway.folder.path)/data"
            let token = try #require(FileSystem.contents(of: "\(data)/admin.token", limit: 4096))
            let made = try await TerminalClient.send(
                world.gateway, "POST", "/v1/admin/accounts",
                authorization: "Bearer \(String(decoding: token, as: UTF8.self).trimmingSpace)",
                ["name": "alice", "password": .string(Scenario.accountPassword)])
            #expect(made.status == 201)
            let box = "\(world.gateway.folder.path)/maildirs/alice"
            for part in ["tmp", "new", "cur"] { #expect(FileSystem.createFolder("\(box)/\(part)")) }
            let phone = try await world.phone()
            let registration = try await phone.client.register("local")
            let session = try await phone.client.open("local")
            try await phone.client.waitUntilWatching(registration)
            try await phone.client.report(session, 1, "hidden")

            let free = try #require(FileSystem.freeBytes(at: data))
            try Files.overwrite("\(data)/ballast", with: [UInt8](repeating: 1, count: Int(free) - (2 << 20)))
            try await world.log.wait(for: "storage.low")
            try Files.overwrite("\(box)/tmp/1.host", with: Scenario.message("No room for me"))
            try Files.move("\(box)/tmp/1.host", to: "\(box)/new/1.host")
            let refused = try await world.log.wait(for: "monitor.backing_off")
            #expect(refused["error"]?.contains("diskReserveBytes") == true)
            #expect(world.log.lines("monitor.item").isEmpty)
            #expect(try await phone.client.report(session, 2, "hidden") == "hidden")
            #expect(try await phone.client.send("GET", "/v1/devices").status == 200)

            try Files.overwrite("\(data)/ballast", with: [1])
            #expect(try await phone.wait(1, deadline: .seconds(60)).map(\.body) == ["No room for me"])
            #expect(world.log.lines("storage.low").count == 1)
        }
    }
}

/// A small file system of a gateway's own.
enum Disk {
    /// Mounts 16 MB on the data folder, which is the last argument's folder with `data` in it, then becomes the
    /// program.
    static let wrapper = [
        "unshare", "--mount", "sh", "-c",
        #"d=$(dirname "$4")/data; mkdir -p "$d" && mount -t tmpfs -o size=16m tmpfs "$d" && exec "$@""#, "sh",
    ]

    static var canMount: Bool {
        get async {
            guard let folder = try? TemporaryFolder(),
                let result = try? await ChildProcess.run(
                    "unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", folder.path])
            else { return false }
            return result.exit == .code(0)
        }
    }
}
