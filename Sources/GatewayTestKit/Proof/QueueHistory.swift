/// What the clients of a queue did and were told, over all lives of the gateway. An operation whose answer was not
/// seen is *unknown*: it may have happened or not, and counts neither as done nor as failed.
///
/// Times are nanoseconds of one monotonic clock, the clients' own.
package struct QueueHistory: Sendable {
    /// A message that somebody tried to send.
    package struct Put: Sendable {
        package enum Answer: Sendable, Hashable {
            case accepted(message: String)
            case refused
            case unknown
        }

        /// Unique among all messages; the body.
        package var value: String
        package var answer: Answer
        /// Whether the sender wants to hear the last of it.
        package var wantsReceipt = false
        /// Whether it was sent with a time to live.
        package var mayExpire = false

        package init(_ value: String, _ answer: Answer, wantsReceipt: Bool = false, mayExpire: Bool = false) {
            (self.value, self.answer) = (value, answer)
            (self.wantsReceipt, self.mayExpire) = (wantsReceipt, mayExpire)
        }
    }

    /// A hand-over that a consumer saw.
    package struct Delivery: Sendable {
        package var message: String
        package var value: String
        package var seq: Int64
        package var group: String?
        package var token: String
        /// What the gateway counted.
        package var delivery: Int
        /// Which life of the gateway.
        package var boot: Int
        package var consumer: Int
        /// When it was asked for, and when the answer was there.
        package var asked: Int64
        package var received: Int64
        /// How long the lock holds from the hand-over on.
        package var lock: Int64
        /// Had by its id after it was deferred: out of turn, whatever its group does.
        package var wasDeferred = false

        package init(
            message: String, value: String, seq: Int64, group: String? = nil, token: String, delivery: Int, boot: Int,
            consumer: Int = 0, asked: Int64, received: Int64, lock: Int64
        ) {
            (self.message, self.value, self.seq, self.group) = (message, value, seq, group)
            (self.token, self.delivery, self.boot, self.consumer) = (token, delivery, boot, consumer)
            (self.asked, self.received, self.lock) = (asked, received, lock)
        }
    }

    /// What a consumer said of a message it had.
    package struct Settlement: Sendable {
        package enum Verb: String, Sendable, CaseIterable {
            case complete
            case abandon
            case `defer`
            case deadLetter = "dead-letter"
            case renew
        }

        package enum Answer: Sendable, Hashable {
            /// The message's state by the answer.
            case taken(state: String)
            /// 409: the lock is not the consumer's.
            case lost
            case unknown
        }

        package var message: String
        package var token: String
        package var verb: Verb
        package var answer: Answer
        package var boot: Int
        package var sent: Int64
        package var answered: Int64
        /// Of a renewal: how long the lock holds from then on.
        package var lock: Int64 = 0

        package init(
            message: String, token: String, _ verb: Verb, _ answer: Answer, boot: Int, sent: Int64, answered: Int64,
            lock: Int64 = 0
        ) {
            (self.message, self.token, self.verb, self.answer) = (message, token, verb, answer)
            (self.boot, self.sent, self.answered, self.lock) = (boot, sent, answered, lock)
        }
    }

    /// What a sender was told of its message.
    package struct Receipt: Sendable, Hashable {
        package var message: String
        package var state: String
        /// The receipt's own number or id: the same one twice is one receipt.
        package var number: String

        package init(message: String, state: String, number: String) {
            (self.message, self.state, self.number) = (message, state, number)
        }
    }

    package var puts: [Put] = []
    package var deliveries: [Delivery] = []
    package var settlements: [Settlement] = []
    package var receipts: [Receipt] = []
    /// Dead messages that were brought back: their count begins anew.
    package var redriven: Set<String> = []
    /// The state of each message when everything was drained; a message the gateway does not know is missing.
    package var finals: [String: String] = [:]

    package init() {}

    /// Everything that happened to one message, in order.
    package func story(of message: String) -> [String] {
        let values = Set(
            deliveries.filter { $0.message == message }.map(\.value)
                + puts.filter { $0.answer == .accepted(message: message) }.map(\.value))
        var lines = puts.filter { values.contains($0.value) }.map { "put \($0.value): \($0.answer)" }
        var timed: [(Int64, String)] = []
        for delivery in deliveries where delivery.message == message {
            timed.append(
                (
                    delivery.received,
                    "boot \(delivery.boot): consumer \(delivery.consumer) got it, delivery \(delivery.delivery), token "
                        + "\(delivery.token), " + (delivery.wasDeferred ? "by its id, " : "")
                        + "asked \(delivery.asked), lock \(delivery.lock)"
                ))
        }
        for settlement in settlements where settlement.message == message {
            timed.append(
                (
                    settlement.sent,
                    "boot \(settlement.boot): \(settlement.verb.rawValue) with \(settlement.token): "
                        + "\(settlement.answer), answered \(settlement.answered)"
                ))
        }
        lines += timed.sorted { $0.0 < $1.0 }.map { "\($0.0) \($0.1)" }
        lines += receipts.filter { $0.message == message }.map { "receipt \($0.number): \($0.state)" }
        if redriven.contains(message) { lines.append("redriven") }
        lines.append("at the end: \(finals[message] ?? "unknown to the gateway")")
        return lines
    }
}
