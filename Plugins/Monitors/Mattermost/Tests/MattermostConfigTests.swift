import Base
import Gateway
import GatewayTestKit
import Testing

@testable import MattermostMonitor

@Suite struct MattermostConfigTests {
    private static func monitor(_ text: String) throws -> MattermostMonitor {
        let context = PluginContext(transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))
        let document = ConfigDocument(file: "/etc/farbell/config.json", text: Array(text.utf8), environment: [:])
        let monitor = try document.read { reader in
            reader.ignore(["name", "farm"])
            return reader.object("monitor") { reader in
                reader.ignore(["kind"])
                return MattermostMonitorPlugin().configure(app: "chat", reader, context) as? MattermostMonitor
            }
        }
        return try #require(monitor ?? nil)
    }

    @Test("the example configuration is valid")
    func example() throws {
        let folder = FileSystem.folder(of: FileSystem.folder(of: #filePath))
        let text = try #require(FileSystem.contents(of: "\(folder)/config.example.json", limit: 10_000))
        let monitor = try Self.monitor(String(decoding: text, as: UTF8.self))
        #expect(monitor.upstream.hasSuffix(".example.org:443"))
        #expect(monitor.credentialFields.map(\.isSecret) == [false, true])
    }

    @Test("a password never crosses a network in the clear unless that is meant; keys are checked")
    func keys() throws {
        #expect(try Self.monitor(#"{"monitor":{"url":"http://localhost:8065"}}"#).upstream == "localhost:8065")
        #expect(throws: ConfigError.self) { try Self.monitor(#"{"monitor":{"url":"http://chat.example"}}"#) }
        let plain = #"{"monitor":{"url":"http://chat.example","allowPlaintext":true}}"#
        #expect(try Self.monitor(plain).upstream == "chat.example:80")
        #expect(throws: ConfigError.self) { try Self.monitor(#"{"monitor":{}}"#) }
        #expect(throws: ConfigError.self) { try Self.monitor(#"{"monitor":{"url":"https://chat.example","pol":1}}"#) }
        #expect(throws: ConfigError.self) {
            try Self.monitor(#"{"monitor":{"url":"https://chat.example","requestSeconds":1}}"#)
        }
    }
}
