import Gateway
import GatewayTestKit
import MonitorTools
import Testing

@testable import RocketChatMonitor

@Suite struct RocketChatConfigTests {
    private let plugin = RocketChatMonitorPlugin()

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try RocketChatMonitor.configured(by: plugin, try plugin.example())
        #expect(monitor.upstream.hasSuffix(".example.org:443"))
        #expect(monitor.credentialFields.map(\.isSecret) == [false, true])
    }

    @Test("a password never crosses a network in the clear unless that is meant; keys are checked")
    func keys() {
        #expect(throws: Never.self) { try plugin.verifyServiceAddress() }
    }
}
