internal import Base
internal import Gateway
internal import Inbound

/// What a consumer says of one message it has locked.
struct SettleRequest: Sendable {
    enum Verb: String, Sendable, CaseIterable {
        case complete
        case abandon
        case renew
        case `defer`
        case deadLetter = "dead-letter"
    }

    static let delaySeconds = 0...31_536_000
    static let reasonLimit = 256
    /// Where the consumer gives none.
    static let defaultReason = "rejected"
    private static let defaultLock: Duration = .seconds(30)

    let verb: Verb
    /// Nil for what cannot be the receipt of a lock.
    let token: ReceiptToken?
    private var delay: Duration = .zero
    private var reason = Self.defaultReason
    /// How long a renewed lock holds.
    private(set) var lock = Self.defaultLock

    /// Reads the fields that belong to the verb.
    init(_ verb: Verb, _ reader: inout FieldReader) throws(Problem) {
        self.verb = verb
        token = ReceiptToken(try reader.string("token"))
        switch verb {
        case .complete, .defer: break
        case .abandon:
            if let seconds = try reader.optionalInteger("delaySeconds", in: Self.delaySeconds) {
                delay = .seconds(seconds)
            }
        case .renew:
            if let seconds = try reader.optionalInteger("lockSeconds", in: ReceiveOrder.lockSeconds) {
                lock = .seconds(seconds)
            }
        case .deadLetter:
            if let text = try reader.optionalString("reason") {
                guard (1...Self.reasonLimit).contains(text.utf8.count) else {
                    throw reader.fault("reason", "expected 1 to \(Self.reasonLimit) bytes")
                }
                reason = text
            }
        }
    }

    /// What the queue is told; nil for a renewal, which settles nothing.
    var settlement: QueueMachine.Settlement? {
        switch verb {
        case .complete: .complete
        case .abandon: .abandon(delay: delay)
        case .defer: .defer
        case .deadLetter: .deadLetter(reason: reason)
        case .renew: nil
        }
    }
}

/// What consumers are told of their settlements.
enum SettleCodec {
    static func settled(_ key: MessageKey, _ state: Message.State) -> [UInt8] {
        var text = JSONText(capacity: 48)
        text.object { write(key, state, to: &$0) }
        return text.bytes
    }

    static func write(_ key: MessageKey, _ state: Message.State, to text: inout JSONText) {
        text.add("id", write: key.write)
        text.add("state", state.rawValue)
    }

    static func renewed(_ key: MessageKey, _ renewal: Settlements.Renewal) -> [UInt8] {
        var text = JSONText(capacity: 128)
        text.object { write(key, renewal, to: &$0) }
        return text.bytes
    }

    static func write(_ key: MessageKey, _ renewal: Settlements.Renewal, to text: inout JSONText) {
        write(key, .locked, to: &text)
        ReceiptToken(renewal.lock).write(remaining: renewal.remaining, to: &text)
    }

    /// One result for each settlement of a request; its id is the text that was sent.
    static func results(_ outcomes: [(key: MessageKey?, outcome: Settlements.Outcome)], ids: [String]) -> [UInt8] {
        var text = JSONText(capacity: 24 + outcomes.count * 48)
        text.object { text in
            text.array("results") { text in
                for ((key, outcome), id) in zip(outcomes, ids) {
                    text.object { text in
                        switch (key, outcome) {
                        case (let key?, .settled(let state)): write(key, state, to: &text)
                        case (let key?, .renewed(let renewal)): write(key, renewal, to: &text)
                        case (_, .refused(let error)):
                            text.add("id", id)
                            text.add("code", error.code.name)
                            text.add("detail", error.message)
                        // What names no message is refused.
                        case (nil, .settled), (nil, .renewed): break
                        }
                    }
                }
            }
        }
        return text.bytes
    }
}
