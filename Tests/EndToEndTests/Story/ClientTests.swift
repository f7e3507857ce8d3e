import Base
import FarbellClient
import Foundation
import GatewayTestKit
import Testing

/// The client library and the shell client against the built program.
@Suite(.timeLimit(.minutes(3))) struct ClientTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.users = ["alice", "bob"]
        return options
    }

    /// Logs a device in with the library, and registers it for the app that watches a folder.
    private static func device(
        _ world: Scenario, _ account: String = "alice", tags: [String] = []
    ) async throws
        -> FarbellClient
    {
        let url = try #require(URL(string: "http://127.0.0.1:\(world.gateway.port)"))
        let client = try await FarbellClient.createDevice(
            server: url, account: account, password: Scenario.accountPassword, installation: "library-\(account)",
            name: "Test", platform: "linux", tags: tags, transport: URLSessionTransport())
        world.gateway.keepSecret(client.token)
        for part in ["tmp", "new", "cur"] {
            #expect(FileSystem.createFolder("\(world.gateway.folder.path)/maildirs/\(account)/\(part)"))
        }
        var terminal = TerminalClient(world.gateway, account: account)
        (terminal.device, terminal.token) = (client.deviceID ?? "", client.token)
        try await terminal.register("local")
        return client
    }

    private static func deliver(_ world: Scenario, _ subject: String) throws {
        world.gateway.keepSecret(subject)
        let name = "\(Int(Date.now.timeIntervalSince1970)).M\(UInt32.random(in: 1...UInt32.max))P1.host"
        let folder = "\(world.gateway.folder.path)/maildirs/alice"
        guard FileSystem.writePrivate(Scenario.message(subject), to: "\(folder)/tmp/\(name)", replacing: false) else {
            throw PeerError(.file, name)
        }
        try Files.move("\(folder)/tmp/\(name)", to: "\(folder)/new/\(name)")
    }

    @Test("MN-6 MN-9 SG-3 SG-7 SG-9 the library logs in, reports, hears what comes, over a kill -9 of the gateway too")
    func terminal() async throws {
        try await Scenario.run(Self.options) { world in
            let client = try await Self.device(world)
            let heard = Recorder<StreamEvent>()
            let stream = client.stream()
            let listening = Task {
                for try await event in stream {
                    heard.append(event)
                    if let id = event.id { try await stream.acknowledge(upTo: id) }
                }
            }
            let subjects: @Sendable () -> [String] = {
                heard.all.compactMap { if case .message(let view) = $0.content { view.subject } else { nil } }
            }
            try await client.withPresence(app: "local", instance: "one") { presence in
                try await world.log.wait(for: "monitor.watching")
                try Self.deliver(world, "First of two subjects")
                try await Eventually.wait("the first message") { subjects().count == 1 }
                // In front: no notification.
                #expect(try await world.decided("stream")["decision"] == "stream")
                try await world.gateway.kill()
                try await world.gateway.start()
                // Nobody told the reporter: it finds its session forgotten and opens it again.
                try await world.log.wait(for: "session.opened", after: 1)
                try await Eventually.wait("the state to be confirmed") { presence.confirmed == .visible }
                try Self.deliver(world, "Second of two subjects")
                try await Eventually.wait("the second message", for: .seconds(40)) { subjects().count == 2 }
            }
            let ids = heard.all.compactMap(\.id)
            #expect(ids == ids.sorted() && Set(ids).count == ids.count)
            #expect(subjects() == ["First of two subjects", "Second of two subjects"])
            try await world.log.wait(for: "session.closed")
            listening.cancel()
            await #expect(throws: CancellationError.self) { try await listening.value }
        }
    }

    @Test("SG-11 the library launches an app; a refusal is a typed error")
    func launch() async throws {
        try await Scenario.run(Self.options) { world in
            let client = try await Self.device(world)
            let launch = try await client.launch(app: "local")
            guard case .url(let url) = launch.action else { throw PeerError(.socket, "\(launch.action)") }
            #expect(url.hasPrefix("https://apps.example.org/local?user=alice&ticket="))
            let refused = await #expect(throws: FarbellError.self) { try await client.launch(tap: "made-up") }
            #expect(refused?.code == .launchExpired && refused?.status == 410 && refused?.requestID != nil)
            let foreign = FarbellClient(server: client.server, token: "made-up", transport: URLSessionTransport())
            var events = foreign.stream().makeAsyncIterator()
            let error = await #expect(throws: FarbellError.self) { _ = try await events.next() }
            #expect(error?.status == 401)
        }
    }

    // MARK: The shell client

    private static let script =
        "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
        + "/Documentation/Examples/small-device.sh"

    /// The words that start the shell client with a state of its own.
    private static func words(_ world: Scenario, _ state: String, _ arguments: [String]) -> [String] {
        [
            "FARBELL_URL=http://127.0.0.1:\(world.gateway.port)", "FARBELL_STATE=\(world.gateway.folder.file(state))",
            "sh", script,
        ] + arguments
    }

    private static func run(
        _ world: Scenario, _ state: String, _ arguments: String..., input: String? = nil
    ) async throws {
        let end = try await ChildProcess.run("env", words(world, state, arguments), input: input)
        #expect(end.exit == .code(0), "\(end.errors)")
    }

    @Test("TT-9 MN-9 a device that has curl and sed alone logs in, hears a message and acknowledges it")
    func smallDevice() async throws {
        try await Scenario.run(Self.options) { world in
            let client = try await Self.device(world)
            try await Self.run(
                world, "oven", "create", "alice", "oven-1", "kitchen", input: "\(Scenario.accountPassword)\n")
            let listener = try await ChildProcess("env", Self.words(world, "oven", ["listen"]))
            _ = try await client.openSession(app: "local", instance: "one")
            try await world.log.wait(for: "monitor.watching")
            try Self.deliver(world, "Soup is ready")
            let line = try await listener.waitForLine("the message", deadline: .seconds(30)) {
                $0.hasPrefix("message {\"id\":\"")
            }
            #expect(line.contains("\"subject\":\"Soup is ready\""))
            let terminal = try await Self.oven(world)
            try await Eventually.wait("the cursor to move") {
                let devices = try await terminal.call("GET", "/v1/devices")["items"]?.array ?? []
                return devices.contains { $0["installation"]?.string == "oven-1" && ($0["cursor"]?.integer ?? 0) > 0 }
            }
            listener.kill()
        }
    }

    /// A device that looks at the others of its account.
    private static func oven(_ world: Scenario) async throws -> TerminalClient {
        var terminal = TerminalClient(world.gateway, account: "alice")
        try await terminal.bind(password: Scenario.accountPassword, installation: "looker")
        return terminal
    }
}
