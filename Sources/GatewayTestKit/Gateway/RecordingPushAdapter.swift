internal import Base
package import Gateway

/// A push service that keeps what it is sent and answers what a test tells it to.
package final class RecordingPushAdapter: PushAdapter {
    private struct State {
        var script: [PushReport] = []
        var always = PushReport(.delivered, status: 200)
        var fault: String?
        var isHolding = false
        var subscriptionKey: String?
        var most = 0
        var underWay = 0
    }

    package let concurrency: Int
    package let canClear: Bool
    /// Every attempt, in the order the service saw them.
    package let pushes = Recorder<Push>()
    private let state = Locked(State())

    package init(concurrency: Int = 8, canClear: Bool = true) {
        (self.concurrency, self.canClear) = (concurrency, canClear)
    }

    // MARK: What tests control

    /// What the next pushes are answered, one after another; then `always` again.
    package func answer(_ reports: PushReport...) { state.withLock { $0.script += reports } }
    package func answerAlways(_ report: PushReport) { state.withLock { $0.always = report } }
    /// Keeps answers back until `release`; what is sent meanwhile is recorded at once.
    package func hold() { state.withLock { $0.isHolding = true } }
    package func release() { state.withLock { $0.isHolding = false } }
    /// What `fault(in:)` says of every address; nil: nothing is wrong.
    package func setFault(_ fault: String?) { state.withLock { $0.fault = fault } }
    package func setSubscriptionKey(_ key: String?) { state.withLock { $0.subscriptionKey = key } }

    // MARK: What tests ask

    /// The notifications of all attempts, oldest first.
    package var alerts: [Notification] {
        pushes.all.compactMap { if case .alert(let notification) = $0.content { notification } else { nil } }
    }
    /// The notifications taken back, one list for each push.
    package var clears: [[NotificationID]] {
        pushes.all.compactMap { if case .clear(let ids, _, _) = $0.content { ids } else { nil } }
    }
    package var underWay: Int { state.withLock { $0.underWay } }
    /// The most pushes that were under way at once.
    package var mostUnderWay: Int { state.withLock { $0.most } }

    // MARK: PushAdapter

    package func subscriptionKey() throws -> String? { state.withLock { $0.subscriptionKey } }
    package func fault(in address: Channel.Address) -> String? { state.withLock { $0.fault } }

    package func send(_ push: Push) async -> PushReport {
        state.withLock { state in
            state.underWay += 1
            state.most = max(state.most, state.underWay)
        }
        pushes.append(push)
        defer { state.withLock { $0.underWay -= 1 } }
        while state.withLock({ $0.isHolding }) {
            do {
                try await Task.sleep(for: .milliseconds(1))
            } catch {
                return PushReport(.retry(after: nil, .service), reason: "cancelled")
            }
        }
        return state.withLock { state in state.script.isEmpty ? state.always : state.script.removeFirst() }
    }
}

/// One gateway's way to an adapter. When that gateway has crashed, nothing of what its tasks still do arrives.
final class PushLink: PushAdapter {
    private let adapter: RecordingPushAdapter
    private let isCut: @Sendable () -> Bool

    init(_ adapter: RecordingPushAdapter, isCut: @escaping @Sendable () -> Bool) {
        (self.adapter, self.isCut) = (adapter, isCut)
    }

    var concurrency: Int { adapter.concurrency }
    var canClear: Bool { adapter.canClear }
    func subscriptionKey() throws -> String? { try adapter.subscriptionKey() }
    func fault(in address: Channel.Address) -> String? { adapter.fault(in: address) }
    func send(_ push: Push) async -> PushReport {
        if isCut() { return PushReport(.retry(after: .seconds(86_400), .device), reason: "crashed") }
        return await adapter.send(push)
    }
}
