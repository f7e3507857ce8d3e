internal import Base
internal import GatewayTestKit

/// What all clients together know: the history, and what they hand on to one another and to their next lives.
final class Journal: Sendable {
    /// A message that has an id, so that it can be sent again: mostly because its sending was not answered.
    struct Pending: Sendable {
        let put: QueueHistory.Put
        let order: JSON
    }

    /// A settlement that was answered; the same must be answered again.
    struct Settled: Sendable {
        let message: String
        let token: String
    }

    struct State: Sendable {
        var history = QueueHistory()
        /// By producer.
        var pending: [Int: [Pending]] = [:]
        /// What was accepted last with an id, by producer: sent again it is the same message (G7).
        var named: [Int: Pending] = [:]
        var deferred: [String] = []
        var done: [Settled] = []
        var nextValue = 0
        var accepted = 0
        var ended = 0
        /// Answers that are neither a success nor foreseen.
        var strange: [String: Int] = [:]
    }

    private let state = Locked(State())
    private let time = SystemTime()

    var now: Int64 { time.now.nanoseconds }

    func with<Result: Sendable>(_ body: (inout State) -> Result) -> Result { state.withLock { body(&$0) } }

    func note(_ put: QueueHistory.Put) {
        with { state in
            state.history.puts.append(put)
            if case .accepted = put.answer { state.accepted += 1 }
        }
    }

    func note(_ settlement: QueueHistory.Settlement) {
        with { state in
            state.history.settlements.append(settlement)
            guard case .taken(let answer) = settlement.answer else { return }
            switch answer {
            case "done":
                state.ended += 1
                state.done.append(Settled(message: settlement.message, token: settlement.token))
            case "dead": state.ended += 1
            case "deferred": state.deferred.append(settlement.message)
            default: break
            }
        }
    }

    func noteStrange(_ what: String) { with { $0.strange[what, default: 0] += 1 } }
}

/// Whether this life of the gateway is over.
final class Life: Sendable {
    let boot: Int
    private let over = Locked(false)
    init(boot: Int) { self.boot = boot }
    var isOver: Bool { over.withLock { $0 } }
    func end() { over.withLock { $0 = true } }
}

/// Calls the gateway over one connection that is kept, on a thread of the caller's. It ends with the gateway.
struct Caller {
    private let client: WireClient
    private let headers: [String]

    init(port: Int, key: String) throws {
        client = try WireClient(port: UInt16(port), seconds: 60)
        headers = ["Authorization: Bearer \(key)", "Content-Type: application/json"]
    }

    /// - Throws: when the answer was not seen whole.
    func call(_ method: String, _ path: String, _ body: JSON? = nil) throws -> WireResponse {
        try client.call(method, path, headers: headers, body: body?.serializedBytes)
    }
}
