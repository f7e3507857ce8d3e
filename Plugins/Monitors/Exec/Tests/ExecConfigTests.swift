import Base
import Gateway
import GatewayTestKit
import Testing

@testable import ExecMonitor

@Suite struct ExecConfigTests {
    static let folder = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/")

    static func read(_ text: String) -> Result<ExecMonitor, ConfigError> {
        let context = PluginContext(transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))
        let document = ConfigDocument(file: "\(folder)/config.json", text: Array(text.utf8), environment: [:])
        return Result { () throws(ConfigError) -> ExecMonitor in
            let monitor = try document.read { reader in
                reader.ignore(["name", "farm"])
                return reader.object("monitor") { reader in
                    reader.ignore(["kind"])
                    return ExecMonitorPlugin().configure(app: "tickets", reader, context) as? ExecMonitor
                }
            }
            guard let monitor = monitor ?? nil else { throw ConfigError(problems: []) }
            return monitor
        }
    }

    @Test("the example configuration is valid")
    func example() throws {
        let text = try #require(FileSystem.contents(of: "\(Self.folder)/config.example.json", limit: 10_000))
        let monitor = try Self.read(String(decoding: text, as: UTF8.self)).get()
        #expect(monitor.settings.contract == .stream && monitor.settings.heartbeat == .seconds(60))
        #expect(monitor.credentialFields == [CredentialField("password", isSecret: true)])
        #expect(monitor.settings.command.limits == .init(memoryBytes: 256 << 20, openFiles: 256))
    }

    @Test("what is not configured is bounded")
    func defaults() throws {
        let monitor = try Self.read(#"{"monitor":{"program":"/bin/true","contract":"once"}}"#).get()
        #expect(monitor.settings.command.limits == .init(memoryBytes: 1 << 30, openFiles: 1024))
        #expect(monitor.credentialFields.map(\.name) == ["username", "password"])
        #expect(monitor.settings.poll == .seconds(60) && monitor.settings.limits.lineBytes == 262_144)
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#"{"monitor":{}}"#, "the key 'program' is missing"),
            (#"{"monitor":{"program":"/nonexistent"}}"#, "there is no file"),
            (#"{"monitor":{"program":"/etc/passwd"}}"#, "is not executable"),
            (#"{"monitor":{"program":"/bin/true","fields":["a b"]}}"#, "letters, digits and '_'"),
            (#"{"monitor":{"program":"/bin/true","fields":["a"],"secretFields":["a"]}}"#, "named twice"),
            (#"{"monitor":{"program":"/bin/true","config":{"a":"b\nc"}}}"#, "a value has one line"),
            (#"{"monitor":{"program":"/bin/true","heartbeatSeconds":1}}"#, "out of range"),
            (#"{"monitor":{"program":"/bin/true","limits":{"memoryMegabyte":5}}}"#, "did you mean 'memoryMegabytes'?"),
        ])
    func faults(text: String, message: String) {
        guard case .failure(let error) = Self.read(text) else {
            Issue.record("accepted")
            return
        }
        #expect(error.description.contains(message), "\(error)")
    }

    @Test("a credential of two lines is refused without starting anything")
    func twoLines() async throws {
        let monitor = try Self.read(#"{"monitor":{"program":"/bin/true"}}"#).get()
        let host = RecordingMonitorHost()
        let credentials = ["username": Secret("a\nsecret.password=x"), "password": Secret("b")]
        try await MonitorRun.during(monitor, credentials: credentials, host: host) { try await host.waitForFailures() }
        #expect(host.failures.map(\.code) == [.authFailed] && monitor.hub.processID == nil)
    }
}
