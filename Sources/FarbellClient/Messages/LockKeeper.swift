internal import Foundation

/// Keeps the lock of one message: renews it in time, and settles the message once.
///
/// A renewal may bring a new token, and one that overtakes the settlement would make its token stale. So before a
/// settlement is sent, the renewal that is under way is waited for, and no other begins.
final class LockKeeper: Sendable {
    private struct State {
        var token: String?
        var schedule: RenewalSchedule
        var renewal: Task<Void, Never>?
        var settled: (settlement: Settlement, state: MessageState)?
    }

    private struct SettleRequest: Encodable {
        let token: String
        var delaySeconds: Int?
        var lockSeconds: Int?
        var reason: String?
    }

    private struct SettleAnswer: Decodable {
        let state: MessageState
        let receipt: ReceiptAnswer?
    }

    /// Renewing must leave time for another try before the lock is over.
    private static let shortestSilence = Duration.seconds(1)

    let id: String
    private let lock: Duration
    private let renewsItself: Bool
    private let wire: Wire
    private let state: Guarded<State>

    /// - Parameters:
    ///   - receipt: nil for a message that was settled when it was handed over.
    ///   - lock: asked for with each renewal.
    init(id: String, _ receipt: ReceiptAnswer?, lock: Duration, renewsItself: Bool, wire: Wire) {
        (self.id, self.lock, self.renewsItself, self.wire) = (id, lock, renewsItself, wire)
        let deadline = wire.clock.elapsed + .milliseconds(receipt?.remainingMilliseconds ?? 0)
        state = Guarded(
            State(
                token: receipt?.token, schedule: RenewalSchedule(deadline: deadline),
                settled: receipt == nil ? (.complete, .done) : nil))
        startRenewing()
    }

    var token: String? { state.withLock { $0.token } }
    var remaining: Duration { state.withLock { $0.schedule.remaining(at: wire.clock.elapsed) } }
    var isLost: Bool { state.withLock { $0.schedule.isLost } }
    var isSettled: Bool { state.withLock { $0.settled != nil } }

    // MARK: Renewing

    private func startRenewing() {
        guard renewsItself else { return }
        state.withLock { state in
            guard state.settled == nil, state.renewal == nil else { return }
            // Kept here, and ended by `stopRenewing`, which the receipt calls when it goes.
            state.renewal = Task { await self.keepLock() }
        }
    }

    /// No renewal begins from now on.
    func stopRenewing() {
        let renewal = state.withLock { state in
            defer { state.renewal = nil }
            return state.renewal
        }
        renewal?.cancel()
    }

    /// The same, and none is under way when this returns.
    private func finishRenewing() async {
        let renewal = state.withLock { state in
            defer { state.renewal = nil }
            return state.renewal
        }
        renewal?.cancel()
        await renewal?.value
    }

    private func keepLock() async {
        while case .wait(let pause) = state.withLock({ $0.schedule.step(at: wire.clock.elapsed) }) {
            do {
                try await wire.clock.sleep(for: pause)
                // Shielded: a request that is cut off may have changed the token all the same.
                try await shielded { try await self.renewOnce(for: self.lock) }
            } catch let error as FarbellError {
                state.withLock { $0.schedule.failed(error) }
            } catch {
                return
            }
            if Task.isCancelled { return }
        }
    }

    private func renewOnce(for lock: Duration) async throws {
        let asked = wire.clock.elapsed
        guard let token else { return }
        let silence = max(Self.shortestSilence, remaining / 3)
        let call = try Call("POST", "messages", id, "renew")
            .with(SettleRequest(token: token, lockSeconds: lock.wholeSecondsUp)).silent(for: silence)
        let answer = try Codec.decode(SettleAnswer.self, from: try await wire.performOnce(call).body)
        guard let receipt = answer.receipt else {
            throw FarbellError(.invalidAnswer, "The answer to a renewal holds no receipt.")
        }
        state.withLock { state in
            state.token = receipt.token
            // Counted from the question: the answer was on its way for some of that time.
            state.schedule.renewed(until: asked + .milliseconds(receipt.remainingMilliseconds))
        }
    }

    /// Renews now, at the caller's wish.
    func renew(for lock: Duration?) async throws {
        await finishRenewing()
        try checkHeld()
        do {
            try await shielded { try await self.renewOnce(for: lock ?? self.lock) }
        } catch let error as FarbellError {
            state.withLock { $0.schedule.failed(error) }
            startRenewing()
            throw error
        }
        startRenewing()
    }

    // MARK: Settling

    private func checkHeld() throws(FarbellError) {
        let (isSettled, isLost) = state.withLock { ($0.settled != nil, $0.schedule.isLost) }
        if isSettled { throw FarbellError(.lockLost, "The message has been settled.") }
        if isLost { throw FarbellError(.lockLost, "The lock of the message was lost.", status: 409) }
    }

    /// What is needed to settle the message, once no renewal can interfere.
    /// - Returns: nil when it has been settled in this very way.
    /// - Throws: `lock_lost`.
    func prepare(_ settlement: Settlement) async throws -> String? {
        await finishRenewing()
        if state.withLock({ $0.settled?.settlement == settlement }) { return nil }
        try checkHeld()
        return token
    }

    /// The gateway has said what became of a settlement.
    func conclude(_ settlement: Settlement, _ result: Result<MessageState, FarbellError>) {
        state.withLock { state in
            switch result {
            case .success(let new): state.settled = (settlement, new)
            case .failure(let error): if error.code == .lockLost { state.schedule.failed(error) }
            }
        }
    }

    /// Settles the message; again in the same way: the same answer.
    /// - Throws: `lock_lost`.
    func settle(_ settlement: Settlement) async throws -> MessageState {
        guard let token = try await prepare(settlement) else {
            return state.withLock { $0.settled?.state } ?? .done
        }
        let request = SettleRequest(token: token, delaySeconds: settlement.delaySeconds, reason: settlement.reason)
        let call = try Call("POST", "messages", id, settlement.verb).with(request)
        let wire = wire
        do {
            let answer: SettleAnswer = try await shielded { try await wire.call(call) }
            conclude(settlement, .success(answer.state))
            return answer.state
        } catch let error as FarbellError {
            conclude(settlement, .failure(error))
            throw error
        }
    }
}

/// The part of an answer that a receipt is made of.
struct ReceiptAnswer: Decodable, Sendable {
    let token: String
    let remainingMilliseconds: Int64
    let delivery: Int?
}
