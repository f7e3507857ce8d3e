import Base
import Gateway
import GatewayTestKit
import Testing

@testable import APNsPush

@Suite("one stream until the first success")
struct StreamGateTests {
    private func pass(_ entry: StreamGate.Entry) throws -> StreamGate.Pass {
        guard case .proceed(let pass) = entry else { throw PeerError(.stopped, "not let through") }
        return pass
    }

    @Test("the second push waits, and a success lets everybody through")
    func success() throws {
        var gate = StreamGate()
        let probe = try pass(gate.enter())
        #expect(gate.enter() == .wait(1))
        #expect(gate.enter() == .wait(2))
        #expect(gate.leave(probe, .success).count == 2)
        _ = try pass(gate.enter())
    }

    @Test("an answer that is no success hands the one place on")
    func answer() throws {
        var gate = StreamGate()
        let probe = try pass(gate.enter())
        #expect(gate.enter() == .wait(1))
        #expect(gate.enter() == .wait(2))
        let actions = gate.leave(probe, .answer)
        #expect(actions.count == 1)
        guard case .admit(1, let next) = actions.first else {
            Issue.record("not the first in line: \(actions)")
            return
        }
        #expect(gate.leave(next, .success).count == 1)
    }

    @Test("a broken credential or connection refuses all who wait and closes the gate")
    func broken() throws {
        var gate = StreamGate()
        let first = try pass(gate.enter())
        _ = gate.leave(first, .success)
        let (a, b) = (try pass(gate.enter()), try pass(gate.enter()))
        #expect(gate.leave(a, .broken) == [])
        let probe = try pass(gate.enter())
        #expect(gate.enter() == .wait(1))
        #expect(gate.leave(b, .success) == [], "a success of the old connection proves nothing of the new one")
        #expect(gate.leave(b, .broken) == [])
        #expect(gate.leave(probe, .broken) == [.refuse(1)])
        _ = try pass(gate.enter())
    }

    @Test("who gave up is not let in")
    func giveUp() throws {
        var gate = StreamGate()
        let probe = try pass(gate.enter())
        #expect(gate.enter() == .wait(1))
        gate.giveUp(1)
        #expect(gate.leave(probe, .answer) == [])
        _ = try pass(gate.enter())
    }

    /// Holds answers back until told.
    private final class Held: Sendable {
        let signal = ShutdownSignal()
        let running = Locked((now: 0, most: 0))
    }

    @Test("the adapter sends one push until the first 200, then many")
    func adapter() async throws {
        let held = Held()
        let http = StubTransport { _, number in
            held.running.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            defer { held.running.withLock { $0.now -= 1 } }
            if number == 1 { await held.signal.wait() }
            if number > 1 { try await Eventually.wait("many at once") { held.running.withLock { $0.most >= 5 } } }
            return apple(200)
        }
        let adapter = try #require(Rig(http).adapter as? APNsAdapter)
        try await withThrowingTaskGroup(of: PushReport.self) { group in
            for _ in 0..<20 { group.addTask { await adapter.send(push()) } }
            try await Eventually.wait("19 in line") { adapter.gate.waitingCount == 19 }
            #expect(http.requests.count == 1)
            held.signal.raise()
            for try await report in group { #expect(report.outcome == .delivered) }
        }
        #expect(http.requests.count == 20)
    }

    @Test("a refused credential answers all who wait, without a request of theirs")
    func credential() async throws {
        let held = Held()
        let http = StubTransport { _, _ in
            await held.signal.wait()
            return apple(403, "InvalidProviderToken")
        }
        let adapter = try #require(Rig(http).adapter as? APNsAdapter)
        try await withThrowingTaskGroup(of: PushReport.self) { group in
            for _ in 0..<10 { group.addTask { await adapter.send(push()) } }
            try await Eventually.wait("9 in line") { adapter.gate.waitingCount == 9 }
            held.signal.raise()
            for try await report in group { #expect(report.outcome == .credential) }
        }
        #expect(http.requests.count == 1)
    }

    @Test("a cancelled push leaves the line")
    func cancelled() async throws {
        let held = Held()
        let http = StubTransport { _, _ in
            await held.signal.wait()
            return apple(200)
        }
        let adapter = try #require(Rig(http).adapter as? APNsAdapter)
        async let probe = adapter.send(push())
        _ = try await http.requests.wait(count: 1)
        let waiting = Task { await adapter.send(push()) }
        try await Eventually.wait("one in line") { adapter.gate.waitingCount == 1 }
        waiting.cancel()
        #expect(await waiting.value == PushReport(transportError: CancellationError(), blame: .service))
        held.signal.raise()
        #expect(await probe.outcome == .delivered)
        #expect(http.requests.count == 1)
    }
}
