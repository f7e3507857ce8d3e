import Base
import Gateway
import GatewayTestKit
import Testing

@testable import HookMonitor

/// A sender that keeps what was not taken and tries again, and a gateway's part between it and the monitor.
final class SenderSubject: MonitorSubject {
    private struct State {
        var outbox: [JSON] = []
        var host: (any MonitorHost)?
        var isArmed = false
        var number = 0
    }

    /// Stands for the gateway: only who logged in to the app once is told.
    private struct Desk: InboundDesk {
        let host: (any MonitorHost)?
        let isArmed: Bool

        func accept(_ batch: MonitorBatch, for account: AccountID) async throws {
            guard isArmed, account == "alice" else { return }
            guard let host else { throw GatewayError(.stopping, "not now") }
            try await host.emit(batch)
        }
    }

    /// Notes whom the monitor would tell.
    private struct Watched: Monitor {
        let inner: HookMonitor
        let subject: SenderSubject
        var credentialFields: [CredentialField] { inner.credentialFields }
        var upstream: String { inner.upstream }

        func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
            defer { subject.state.withLock { $0.host = nil } }
            subject.state.withLock { ($0.host, $0.isArmed) = (host, true) }
            try await inner.watch(target, host: host)
        }
    }

    private let state = Locked(State())
    private let inner: HookMonitor
    private let sender: SignedSender

    init() throws {
        sender = SignedSender(time: SystemTime())
        inner = try HookMonitor.configured(
            by: HookMonitorPlugin(), SignedSender.configuration, environment: SignedSender.environment)
    }

    var monitor: any Monitor { Watched(inner: inner, subject: self) }
    let credentials: [String: Secret] = [:]
    let wrongCredentials: [String: Secret]? = nil
    /// There is no server to ask: it calls.
    let abilities = Set(MonitorAbility.allCases).subtracting([.server, .silence, .throttling, .nonsense])

    private func tell(_ event: JSON) async throws {
        state.withLock { $0.outbox.append(["user": "alice", "events": .array([event])]) }
        // Later ones go with the next flush: a slow host must not hold the test up.
        if !state.withLock({ $0.isArmed }) { try await flush() }
    }

    /// Sends what was not taken yet, in order.
    private func flush() async throws {
        while let document = state.withLock({ $0.outbox.first }) {
            let (host, isArmed, number) = state.withLock { state in
                state.number += 1
                return (state.host, state.isArmed, state.number)
            }
            do {
                let call = sender.call(document, id: "call-\(number)")
                try await inner.receive(call, desk: Desk(host: host, isArmed: isArmed))
            } catch is SimulatedCrash {
                return
            } catch is GatewayError {
                return
            }
            state.withLock { _ = $0.outbox.removeFirst() }
        }
    }

    func deliver(_ news: TestNews) async throws {
        try await tell([
            "type": "new", "id": .string(news.id), "title": .string(news.subject), "sender": .string(news.sender),
            "senderAddress": .string(news.senderAddress), "time": .string(news.time),
            "content": .string("\(news.id)@example.org"),
        ])
    }
    func markRead(_ key: String) async throws { try await tell(["type": "seen", "id": .string(key)]) }
    func remove(_ key: String) async throws { try await tell(["type": "gone", "id": .string(key)]) }
    /// The same news again.
    func wakeWithoutNews() async throws { try await tell(["type": "new", "id": "one", "title": "one"]) }
    /// Nothing is ever told at once.
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws { try await flush() }
    func setServerRunning(_ running: Bool) async throws {}
    func loginAttempts() async throws -> Int { 0 }
}

@Suite(.timeLimit(.minutes(2))) struct HookConformanceTests {
    @Test("the hook monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        try await MonitorConformance.run(check, SenderSubject())
    }
}
