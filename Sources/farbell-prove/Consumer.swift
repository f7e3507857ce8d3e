internal import Base
internal import GatewayTestKit

/// Takes messages in competition with others, and does with them all that a consumer may do.
struct Consumer {
    typealias Verb = QueueHistory.Settlement.Verb

    let number: Int
    let caller: Caller
    let journal: Journal
    let life: Life
    var random: ManualRandom

    /// Works until the gateway dies.
    mutating func run() {
        do {
            try repeatOld()
            while !life.isOver {
                let lock = [1, 2, 5, 5][draw(4)]
                var order: JSONObject = ["lockSeconds": .integer(lock)]
                if draw(8) == 0, let id = journal.with({ $0.deferred.popLast() }) {
                    order.append("deferred", [.string(id)])
                } else {
                    order.append("max", .integer(1 + draw(4)))
                    order.append("waitSeconds", .integer(draw(2)))
                }
                for delivery in try receive(.object(order), seconds: lock) { try handle(delivery) }
            }
        } catch {
            // The connection is gone, and the gateway with it.
        }
    }

    /// Takes and completes everything, whatever it was.
    /// - Returns: how many it got.
    func drain(deferred: [String] = []) throws -> Int {
        var order: JSONObject = ["lockSeconds": 60]
        if deferred.isEmpty {
            order.append("max", 20)
            order.append("waitSeconds", 1)
        } else {
            order.append("deferred", .array(deferred.map { .string($0) }))
        }
        let got = try receive(.object(order), seconds: 60)
        for delivery in got { try settle(delivery, .complete) }
        return got.count
    }

    private mutating func draw(_ count: Int) -> Int { Int.random(in: 0..<count, using: &random) }

    /// What was answered in an earlier life is answered the same in this one (G5).
    private mutating func repeatOld() throws {
        let old = journal.with { state in
            let done = state.done.suffix(200)
            return done.indices.isEmpty ? [] : [done.first, done.last].compactMap { $0 }
        }
        for settled in old { try settle(settled.message, settled.token, .complete) }
    }

    private func receive(_ order: JSON, seconds: Int) throws -> [QueueHistory.Delivery] {
        let asked = journal.now
        let response = try caller.call("POST", "/v1/messages/receive", order)
        let received = journal.now
        guard response.status == 200, let messages = response.json["messages"]?.array else {
            journal.noteStrange("receive: \(response.status) \(response.text.prefix(200))")
            return []
        }
        let deliveries = messages.map { message in
            var delivery = QueueHistory.Delivery(
                message: message["id"]?.string ?? "", value: message["body"]?.string ?? "",
                seq: message["seq"]?.integer ?? 0, group: message["group"]?.string,
                token: message["receipt"]?["token"]?.string ?? "",
                delivery: Int(message["receipt"]?["delivery"]?.integer ?? 0), boot: life.boot, consumer: number,
                asked: asked, received: received, lock: Int64(seconds) * 1_000_000_000)
            delivery.wasDeferred = order["deferred"] != nil
            return delivery
        }
        journal.with { $0.history.deliveries += deliveries }
        return deliveries
    }

    private mutating func handle(_ delivery: QueueHistory.Delivery) throws {
        switch draw(100) {
        case 0..<52: try settle(delivery, .complete)
        case 52..<60:
            // The answer might have been lost: it is asked for again.
            try settle(delivery, .complete)
            try settle(delivery, .complete)
        case 60..<68: try settle(delivery, .abandon)
        case 68..<74: try settle(delivery, .abandon, ["delaySeconds": 1])
        case 74..<79: try settle(delivery, .defer)
        case 79..<83: try settle(delivery, .deadLetter, ["reason": "by chance"])
        case 83..<88:
            try settle(delivery, .renew, ["lockSeconds": 3], lock: 3)
            try settle(delivery, .complete)
        case 88..<92:
            // Longer than the shortest locks hold: some of these come too late.
            SystemThread.pause(milliseconds: 900 + draw(300))
            try settle(delivery, .complete)
        case 92..<94:
            // Two that believe to have it.
            try settle(delivery, .abandon)
            try settle(delivery, .complete)
        default: break  // Forgotten: its lock ends.
        }
    }

    private func settle(_ delivery: QueueHistory.Delivery, _ verb: Verb, _ more: JSON = [:], lock: Int64 = 0) throws {
        try settle(delivery.message, delivery.token, verb, more, lock: lock)
    }

    private func settle(
        _ message: String, _ token: String, _ verb: Verb, _ more: JSON = [:], lock: Int64 = 0
    ) throws {
        var order: JSONObject = ["token": .string(token)]
        for member in more.object?.members ?? [] { order.append(member.key, member.value) }
        var settlement = QueueHistory.Settlement(
            message: message, token: token, verb, .unknown, boot: life.boot, sent: journal.now, answered: .max,
            lock: lock * 1_000_000_000)
        defer { journal.note(settlement) }
        let response = try caller.call("POST", "/v1/messages/\(message)/\(verb.rawValue)", .object(order))
        settlement.answered = journal.now
        switch (response.status, response.json["state"]?.string) {
        case (200, let state?): settlement.answer = .taken(state: state)
        case (409, _) where response.json["code"]?.string == "lock_lost": settlement.answer = .lost
        default: journal.noteStrange("\(verb.rawValue): \(response.status) \(response.text.prefix(200))")
        }
    }
}
