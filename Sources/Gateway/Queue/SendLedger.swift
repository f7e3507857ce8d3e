package import Base

/// Remembers what senders called their messages, for the time in which the same id means the same message (G7).
package struct SendLedger: Sendable {
    /// A sender's id in one queue.
    package struct Key: Sendable, Hashable {
        let queue: Int64
        let sender: QueueAddress
        let id: String

        package init(queue: Int64, sender: QueueAddress, id: String) {
            (self.queue, self.sender, self.id) = (queue, sender, id)
        }
    }

    private let limit: Int
    private var numbers: [Key: Int64] = [:]
    /// In the order in which they end, which is that of their coming.
    private var order: [(key: Key, ends: Moment)] = []
    private var head = 0

    /// - Parameter limit: ids at once; beyond it nothing with an id is taken.
    package init(limit: Int) { self.limit = limit }

    package var count: Int { numbers.count }

    /// The number of the message with this id.
    package subscript(_ key: Key) -> Int64? { numbers[key] }

    /// Whether so many more fit, once those whose time is over are forgotten.
    package mutating func hasRoom(for count: Int, at now: Moment) -> Bool {
        while head < order.count, order[head].ends <= now {
            numbers[order[head].key] = nil
            head += 1
        }
        if head > 4096, head > order.count / 2 {
            order.removeFirst(head)
            head = 0
        }
        return numbers.count + count <= limit
    }

    package mutating func insert(_ key: Key, _ number: Int64, ends: Moment) {
        numbers[key] = number
        order.append((key, ends))
    }
}
