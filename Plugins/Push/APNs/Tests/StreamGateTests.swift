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

    /// Answers from a script and keeps which pools were given up.
    private struct Retiring: HTTPTransport {
        let answers: StubTransport
        let retired = Recorder<String>()

        func send(_ request: HTTPRequest) async throws -> HTTPResponse { try await answers.send(request) }
        func retireConnections(ofPool name: String) { retired.append(name) }
    }

    @Test(
        "a refused credential, a failing service and a lost connection end the use of the connections, once an era",
        arguments: [
            (403, "UnrelatedKeyIdInToken", 1), (403, "InvalidProviderToken", 1), (503, "ServiceUnavailable", 1),
            (0, "", 1), (429, "TooManyRequests", 0), (410, "Unregistered", 0), (400, "BadDeviceToken", 0),
        ])
    func retires(status: Int, reason: String, count: Int) async throws {
        let signal = ShutdownSignal()
        let http = Retiring(
            answers: StubTransport { _, number in
                if number == 1 { return apple(200) }
                if number < 5 {
                    await signal.wait()
                    guard status > 0 else {
                        throw HTTPTransportError(.timeout, "no", surelyNotProcessed: false)
                    }
                    return apple(status, reason)
                }
                return apple(200)
            })
        let adapter = try Rig(http).adapter
        #expect(await adapter.send(push()).outcome == .delivered)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 { group.addTask { _ = await adapter.send(push()) } }
            try await http.answers.requests.wait(count: 4)
            signal.raise()
            try await group.waitForAll()
        }
        #expect(http.retired.all == Array(repeating: "apns:tested:\(Rig.keyID)", count: count))
        #expect(await adapter.send(push()).outcome == .delivered)
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
