import Base
import Daemon
import Gateway
import GatewayTestKit
import Outbound
import Testing

/// `config.example.json` is what people start from: it must hold every key of the core and be right.
@Suite(.timeLimit(.minutes(1))) struct ExampleTests {
    private static var file: String {
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/config.example.json"
    }

    private static func example() throws -> JSON {
        try JSONParser.parse(try #require(FileSystem.contents(of: file, limit: 1 << 20)))
    }

    @Test("the example passes 'farbell check' with the plugins the program has")
    func check() async throws {
        let folder = try TemporaryFolder()
        let copy = try folder.write(
            try #require(FileSystem.contents(of: Self.file, limit: 1 << 20)), to: "farbell.json")
        let result = try await ChildProcess.run(GatewayProcess.program, ["check", "--config", copy])
        #expect(result.exit == .code(0), "\(result.errors)")
        #expect(!FileSystem.exists(folder.file("data")), "looking at a configuration makes nothing")
    }

    @Test("the example holds every limit there is")
    func limits() throws {
        let properties = Mirror(reflecting: Limits()).children.compactMap(\.label)
        #expect(properties.count > 10)
        #expect(try #require(Self.example()["limits"]?.object).keys.sorted() == properties.sorted())
    }

    /// The key of the file for each property; a property without one is a key nobody can learn of.
    private static let notify = [
        "summary": "summary", "targets": "targets", "ack": "ackSeconds", "group": "groupSeconds",
        "hold": "holdSeconds", "itemTTL": "itemTTLSeconds", "quietHours": "quietHours",
        "escalation": "escalateSeconds", "devicePerMinute": "devicePerMinute", "templates": "templates",
    ]
    private static let gateway = [
        "notify": "notify", "limits": "limits", "farms": "farms", "apps": "apps", "pushes": "push",
        "contacts": "people",
        "history": "history",
    ]
    /// The last word of each path; `gateway` is the core's own part of the file.
    private static let daemon = [
        "listen": "listen", "publicURL": "publicURL", "filesURL": "portal.filesURL", "databaseFile": "data.sqlite.path",
        "keyFile": "keyFile",
        "adminTokenFile": "admin.tokenFile", "logFormat": "log.format", "logLevel": "log.level",
        "statsInterval": "log.statsSeconds", "gateway": "notify",
    ]

    @Test("the example holds every key of 'notify'")
    func notifyKeys() throws {
        let properties = Mirror(reflecting: NotifyDefaults()).children.compactMap(\.label)
        #expect(properties.sorted() == Self.notify.keys.sorted())
        #expect(
            try #require(Self.example()["notify"]?.object).keys.sorted() == (Self.notify.values + ["locale"]).sorted())
    }

    @Test("the portal's files go to an https address without a query, or nowhere")
    func filesURL() throws {
        let folder = try TemporaryFolder()
        func load(_ portal: String) throws -> DaemonConfiguration {
            try DaemonConfiguration.load(
                try folder.write("{\"keyFile\": \"a.key\", \"portal\": \(portal)}", to: "farbell.json"),
                environment: [:],
                plugins: PluginCatalog(monitors: [], pushes: [], farms: []),
                context: PluginContext(transport: HTTPClient(), time: SystemTime(), log: Log(sink: NullLogSink())))
        }
        #expect(try load("{}").filesURL == nil)
        #expect(try load(#"{"filesURL": "https://files.example:8443/a/"}"#).filesURL == "https://files.example:8443/a")
        for url in ["http://files.example", "https://files.example/?a=b", "https://user@files.example", "files", ""] {
            let error = #expect(throws: ConfigError.self, "\(url)") { try load("{\"filesURL\": \"\(url)\"}") }
            #expect(error?.problems.map(\.path) == ["portal.filesURL"], "\(url)")
        }
    }

    @Test("the example holds every other key of the core and of the daemon, but listen.tls")
    func otherKeys() throws {
        let example = try Self.example()
        #expect(
            Mirror(reflecting: GatewayConfiguration()).children.compactMap(\.label).sorted()
                // A bridge's secret is a file, which an example cannot have.
                == (Self.gateway.keys + ["bridges"]).sorted())
        for key in Self.gateway.values { #expect(example[key]?.object?.members.isEmpty == false, "\(key)") }

        let folder = try TemporaryFolder()
        let configuration = try DaemonConfiguration.load(
            try folder.write(#"{"keyFile": "a.key"}"#, to: "farbell.json"), environment: [:],
            plugins: PluginCatalog(monitors: [], pushes: [], farms: []),
            context: PluginContext(transport: HTTPClient(), time: SystemTime(), log: Log(sink: NullLogSink())))
        #expect(
            Mirror(reflecting: configuration).children.compactMap(\.label).sorted() == Self.daemon.keys.sorted())
        for path in Self.daemon.values {
            let value = path.split(separator: ".").reduce(Optional(example)) { $0?[String($1)] }
            #expect(value != nil, "\(path)")
        }
        // `listen.tls` names files, which an example cannot have.
        let listen = Mirror(reflecting: configuration.listen).children.compactMap(\.label)
        #expect(Set(["certificate", "key"]).isSubset(of: listen))
        #expect(
            try #require(example["listen"]?.object).keys.sorted()
                == listen.filter { !["certificate", "key"].contains($0) }.sorted())
    }
}
