import Base
import Gateway
import GatewayTestKit
import Testing
import XMPPTools

@testable import XMPPBridge

@Suite struct BridgeConfigTests {
    static func read(_ text: String, secret: String? = "mellon") -> Result<XMPPBridge, ConfigError> {
        let context = PluginContext(transport: NoTransport(), time: SystemTime(), log: Log(sink: NullLogSink()))
        let document = ConfigDocument(
            file: "/etc/farbell/config.json", text: Array(text.utf8), environment: secret.map { ["SECRET": $0] } ?? [:])
        return Result { () throws(ConfigError) -> XMPPBridge in
            let bridge = try document.read { reader in
                reader.ignore(["kind"])
                return XMPPBridgePlugin().configure(bridge: "chat", reader, context) as? XMPPBridge
            }
            guard let bridge else { throw ConfigError(problems: []) }
            return bridge
        }
    }

    private static let base = #""component":"farbell.x","secret":{"env":"SECRET"}"#

    @Test("the example configuration is valid but for its secret, which is a file of the reader's")
    func example() throws {
        let file = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let bytes = try #require(FileSystem.contents(of: "/\(file)/config.example.json", limit: 10_000))
        let text = String(decoding: bytes, as: UTF8.self).replacing(
            #"{"file": "xmpp.secret"}"#, with: #"{"env": "SECRET"}"#)
        let bridge = try Self.read(text).get()
        #expect(bridge.settings.component == "farbell.example.org" && bridge.settings.secret == Secret("mellon"))
        #expect(bridge.settings.server.port == 5347 && bridge.settings.users.domain == "example.org")
    }

    @Test("IM-7 single addresses are accounts, whatever their case")
    func accounts() throws {
        let text = "{\"url\":\"xmpp://[::1]:15347\",\(Self.base),\"users\":{\"accounts\":{\"Al@X\":\"alice\"}}}"
        let bridge = try Self.read(text).get()
        #expect(bridge.settings.users.address(of: "alice")?.text == "al@x" && bridge.settings.server.host == "::1")
        #expect(JID("al@x/p").flatMap(bridge.settings.users.account) == "alice")
    }

    @Test(
        "faults are reported with their cure",
        arguments: [
            (#""url":"xmpp://127.0.0.1","users":{"domain":"x"},"component":"f.x""#, "the key 'secret' is missing"),
            (#""url":"http://127.0.0.1","users":{"domain":"x"},"# + base, "not one of xmpp, xmpps"),
            (#""url":"xmpp://chat.x","users":{"domain":"x"},"# + base, "in the clear"),
            (#""url":"xmpp://127.0.0.1/a","users":{"domain":"x"},"# + base, "no path"),
            (#""url":"xmpp://127.0.0.1","# + base, "which addresses are which accounts"),
            (#""url":"xmpp://127.0.0.1","users":{},"# + base, "name a domain, or accounts"),
            (#""url":"xmpp://127.0.0.1","users":{"domain":"a@x"},"# + base, "expected a domain"),
            (#""url":"xmpp://127.0.0.1","users":{"domain":"farbell.x"},"# + base, "no domain of users"),
            (#""url":"xmpp://127.0.0.1","users":{"accounts":{"x":"alice"}},"# + base, "no address such as"),
            (#""url":"xmpp://127.0.0.1","users":{"accounts":{"a@x":"al","b@x":"al"}},"# + base, "two addresses"),
            (#""url":"xmpp://127.0.0.1","users":{"domain":"x"},"messageBytes":1,"# + base, "out of range"),
            (#""url":"xmpp://127.0.0.1","users":{"domain":"x"},"pingSecond":60,"# + base, "'pingSeconds'?"),
        ])
    func faults(keys: String, message: String) {
        guard case .failure(let error) = Self.read("{\(keys)}") else {
            Issue.record("accepted")
            return
        }
        #expect(error.description.contains(message), "\(error)")
        #expect(!error.description.contains("mellon"))
    }

    @Test("plain text on purpose, TLS, and without a client, as in `farbell check`, nothing crashes")
    func others() async throws {
        let users = #""users":{"domain":"x"}"#
        let plain = try Self.read("{\"url\":\"xmpp://chat.x\",\"allowPlaintext\":true,\(users),\(Self.base)}").get()
        #expect(!plain.settings.server.isEncrypted)
        let tls = try Self.read("{\"url\":\"xmpps://chat.x:5348\",\(users),\(Self.base)}").get()
        #expect(tls.settings.server.isEncrypted && tls.settings.server.port == 5348)
        await #expect(throws: BridgeFailure.self) { try await tls.run(RecordingBridgeHost()) }
    }
}
