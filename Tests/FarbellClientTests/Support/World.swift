import Base
import Foundation
import GatewayTestKit

@testable import FarbellClient

/// The manual clock as the client takes it.
struct TestClock: ClientClock {
    let time: ManualTime
    var elapsed: Duration { .nanoseconds(time.now.nanoseconds) }
    func sleep(for duration: Duration) async throws { try await time.sleep(until: time.now + duration) }
}

/// A client whose server is a script and whose clock is moved by hand.
struct World: Sendable {
    let time = ManualTime()
    let transport: ScriptedTransport
    let client: FarbellClient

    init(_ script: @escaping ScriptedTransport.Script) {
        transport = ScriptedTransport(script)
        client = FarbellClient(
            server: URL(string: "http://gateway.test") ?? URL(fileURLWithPath: "/"), token: "secret-token",
            deviceID: "dev_1", transport: transport, clock: TestClock(time: time), random: { 0 })
    }

    /// Waits until so many requests with a line have been made.
    func wait(for line: String, _ count: Int = 1) async throws {
        try await Eventually.wait(
            "\(count) of \(line) in \(transport.requests.map(\.line))", every: .milliseconds(1)
        ) { transport.requests(line).count >= count }
    }

    /// Moves the clock to the next thing somebody waits for, once somebody does.
    func pass() async throws {
        try await time.waitForSleepers(1)
        time.advanceToNextDeadline()
    }

    /// A message as the gateway writes it.
    static func message(_ id: String, remaining: Int = 30_000) -> String {
        """
        {"id":"\(id)","seq":7,"header":{"type":"note"},"subject":null,"body":"text of \(id)","sender":"account/li",\
        "enqueued":"2026-11-21T08:00:00.123Z",\
        "receipt":{"token":"token-\(id)","remainingMilliseconds":\(remaining),"delivery":1}}
        """
    }

    static func messages(_ ids: String...) -> ScriptedAnswer {
        ScriptedAnswer(200, #"{"messages":[\#(ids.map { message($0) }.joined(separator: ","))]}"#)
    }
}

/// Opens once; whoever comes before waits.
final class Gate: Sendable {
    private let signal = ShutdownSignal()
    func open() { signal.raise() }
    func pass() async { await signal.wait() }
}
