internal import Base
internal import GatewayTestKit

/// Sends messages, each with a value of its own, until the gateway dies.
struct Producer {
    enum Kind {
        /// An application that wants no receipts.
        case silent
        /// An application that gets its receipts in its own queue.
        case listening
        /// A device, which gets them on its stream.
        case device
    }

    /// More messages than that are not left open.
    private static let openLimit = 400
    private static let groups = 5

    let number: Int
    let kind: Kind
    let caller: Caller
    let journal: Journal
    let life: Life
    var random: ManualRandom

    mutating func run() {
        while let pending = journal.with({ $0.pending[number]?.first }) {
            guard send(pending.put, pending.order) else { return }
            journal.with { _ = $0.pending[number]?.removeFirst() }
        }
        if let named = journal.with({ $0.named[number] }), !send(named.put, named.order) { return }
        while !life.isOver {
            guard journal.with({ $0.accepted - $0.ended }) < Self.openLimit else {
                SystemThread.pause(milliseconds: 5)
                continue
            }
            let (put, order) = draw()
            guard send(put, order) else {
                // Only with an id can it be sent again without becoming another message.
                if order["id"] != nil {
                    journal.with { $0.pending[number, default: []].append(Journal.Pending(put: put, order: order)) }
                }
                return
            }
            // A sender that did not trust its eyes: the same id means the same message (G7).
            guard order["id"] != nil else { continue }
            if chance(5), !send(put, order) { return }
            journal.with { $0.named[number] = Journal.Pending(put: put, order: order) }
        }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

    private mutating func draw() -> (QueueHistory.Put, JSON) {
        let number = journal.with { state in
            state.nextValue += 1
            return state.nextValue
        }
        var put = QueueHistory.Put("value-\(self.number)-\(number)", .unknown)
        var order: JSONObject = ["to": ["app": "store"], "body": .string(put.value)]
        if chance(60) { order.append("id", .string("id-\(number)")) }
        switch kind {
        case .silent: break
        case .listening, .device:
            put.wantsReceipt = true
            order.append("receipts", "final")
        }
        if chance(20) { order.append("priority", .string(["high", "low"][Int.random(in: 0..<2, using: &random)])) }
        // The order of a group is promised among messages that are due and stay: no times with it.
        if chance(40) {
            order.append("group", .string("group-\(Int.random(in: 0..<Self.groups, using: &random))"))
        } else if chance(10) {
            put.mayExpire = true
            order.append("ttlSeconds", .integer(Int.random(in: 1...2, using: &random)))
        } else if chance(15) {
            put.mayExpire = true
            order.append("collapse", .string("collapse-\(Int.random(in: 0..<3, using: &random))"))
        } else if chance(10) {
            let due = SystemTime().timestamp + .milliseconds(Int64.random(in: 200...1500, using: &random))
            order.append("notBefore", .timestamp(due))
        }
        return (put, .object(order))
    }

    /// - Returns: false when the answer was not seen: this life is over.
    private func send(_ put: QueueHistory.Put, _ order: JSON) -> Bool {
        var put = put
        guard let response = try? caller.call("POST", "/v1/messages", order) else {
            journal.note(put)
            return false
        }
        switch (response.status, response.json["messages"]?[0]?["id"]?.string) {
        case (202, let id?): put.answer = .accepted(message: id)
        case (400..<500, _), (507, _):
            put.answer = .refused
            journal.noteStrange("send: \(response.status) \(response.text.prefix(200))")
        default: journal.noteStrange("send: \(response.status)")
        }
        journal.note(put)
        return true
    }
}
