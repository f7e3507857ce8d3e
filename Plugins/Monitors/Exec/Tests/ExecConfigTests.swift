import Base
import Gateway
import GatewayTestKit
import Testing

@testable import ExecMonitor

@Suite struct ExecConfigTests {
    static let folder = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/")

    static func read(_ text: String) throws(ConfigError) -> ExecMonitor {
        try ExecMonitor.configured(by: ExecMonitorPlugin(), text, folder: folder)
    }

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try ExecMonitorPlugin().example())
        #expect(monitor.settings.contract == .stream && monitor.settings.heartbeat == .seconds(60))
        #expect(monitor.credentialFields == [CredentialField("password", isSecret: true)])
        #expect(monitor.settings.command.limits == .init(memoryBytes: 256 << 20, openFiles: 256))
    }

    @Test("what is not configured is bounded")
    func defaults() throws {
        let monitor = try Self.read(#"{"monitor":{"program":"/bin/true","contract":"once"}}"#)
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
        #expect { try Self.read(text) } throws: { "\($0)".contains(message) }
    }

    @Test("a credential of two lines is refused without starting anything")
    func twoLines() async throws {
        let monitor = try Self.read(#"{"monitor":{"program":"/bin/true"}}"#)
        let host = RecordingMonitorHost()
        let credentials = ["username": Secret("a\nsecret.password=x"), "password": Secret("b")]
        try await MonitorRun.during(monitor, credentials: credentials, host: host) { try await host.waitForFailures() }
        #expect(host.failures.map(\.code) == [.authFailed] && monitor.hub.processID == nil)
    }
}
