import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import Testing

@testable import POP3Monitor

/// A server that answers nobody until it is told to, and then refuses.
private final class SlowServer: MailConnector {
    let gate = ShutdownSignal()
    let now = Locked(0)
    let most = Locked(0)

    func connect(_ login: MailLogin) async throws -> any MailStream {
        let count = now.withLock { now in
            now += 1
            return now
        }
        most.withLock { $0 = max($0, count) }
        await gate.wait()
        now.withLock { $0 -= 1 }
        throw MonitorFailure(.network, "refused")
    }
}

@Suite(.timeLimit(.minutes(1))) struct POP3PlacesTests {
    @Test("a slow server is not stormed: so many mailboxes are looked at together, and the others follow")
    func looksAtOnce() async throws {
        let server = SlowServer()
        var settings = POP3Monitor.Settings(
            MailServer(.pop3, host: "localhost", port: 995, encryption: .implicit, caFile: nil))
        settings.looksAtOnce = 3
        let monitor = POP3Monitor(
            settings, connector: server, transport: NoTransport(), time: SystemTime(),
            readHeader: MessageHeader.read)
        let begun = Locked(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<20 {
                group.addTask {
                    let target = MonitorTarget(
                        registration: RegistrationID("r\(number)"), account: "a",
                        credentials: ["username": Secret("anna"), "password": Secret("secret")], cursor: nil)
                    begun.withLock { $0 += 1 }
                    await #expect(throws: MonitorFailure.self) {
                        try await monitor.watch(target, host: RecordingMonitorHost())
                    }
                }
            }
            try await Eventually.wait("all have begun, and three are there") {
                begun.withLock { $0 } == 20 && server.now.withLock { $0 } == 3
            }
            server.gate.raise()
            try await group.waitForAll()
        }
        #expect(server.most.withLock { $0 } == 3)
    }
}
