/// A message that is passed from hand to hand without copying: one is many fields.
final class SharedMessage: Sendable {
    let message: Message
    init(_ message: Message) { self.message = message }
}

/// The messages stored last, whole, so that a consumer that comes soon costs no read. The oldest leave first.
struct MessageCache: Sendable {
    private let limit: Int
    private var boxes: [MessageKey: SharedMessage] = [:]
    private var order: [MessageKey] = []
    private var head = 0
    private var bytes = 0

    /// - Parameter limit: in bytes of bodies and a rough share for the rest.
    init(limit: Int) { self.limit = limit }

    private static func size(_ message: Message) -> Int { message.body.count + 512 }

    subscript(_ key: MessageKey) -> Message? { boxes[key]?.message }

    mutating func insert(_ shared: SharedMessage) {
        let size = Self.size(shared.message)
        guard size <= limit / 4 else { return }
        boxes[shared.message.key] = shared
        order.append(shared.message.key)
        bytes += size
        while bytes > limit, head < order.count {
            remove(order[head])
            head += 1
        }
        // Keys of settled messages stay in the order until they come up; they must not pile up.
        if head > 4096 && head > order.count / 2 || order.count > 4096 + 4 * boxes.count { compact() }
    }

    mutating func remove(_ key: MessageKey) {
        guard let box = boxes.removeValue(forKey: key) else { return }
        bytes -= Self.size(box.message)
    }

    private mutating func compact() {
        order = order[head...].filter { boxes[$0] != nil }
        head = 0
    }
}
