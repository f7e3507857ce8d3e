internal import Base
internal import GatewayTestKit

/// The end: every client takes what is left, dead letters are looked at and half of them brought back, receipts are
/// collected, and the gateway is asked what became of each message.
struct Drain {
    let place: ProofPlace
    let journal: Journal
    let boot: Int

    func run(consumers: Int) async throws {
        // Those that were not answered are sent again first: the last life counts like the others.
        let (journal, port, keys) = (journal, place.gateway.port, place.keys)
        let life = Life(boot: boot)
        life.end()
        for (index, kind) in [Producer.Kind.silent, .listening, .device].enumerated() {
            try await onThread {
                let key = [keys.shop, keys.shop, keys.device][index]
                var producer = Producer(
                    number: index, kind: kind, caller: try Caller(port: port, key: key), journal: journal, life: life,
                    random: ManualRandom(seed: 0))
                producer.run()
            }
        }
        try await takeAll(consumers, life)
        try await redrive()
        try await takeAll(consumers, life)
        try await ask()
        try await collect()
        do {
            try await listen()
        } catch {
            // A device that was forgotten is for the checker to judge: its receipts are missing.
            journal.noteStrange("stream: \(error)")
        }
    }

    /// Until nothing is open any more, also what is deferred or not due yet.
    private func takeAll(_ consumers: Int, _ life: Life) async throws {
        let (journal, port, key) = (journal, place.gateway.port, place.keys.store)
        let end = ContinuousClock.now + .seconds(120)
        while ContinuousClock.now < end {
            let open = try await onThread { try Self.pages("/v1/messages", port, key) }
            if open.isEmpty { return }
            let deferred = open.filter { $0["state"]?.string == "deferred" }.compactMap { $0["id"]?.string }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<consumers {
                    let own = Array(
                        deferred.enumerated().filter { $0.offset % consumers == number }.map(\.element).prefix(100))
                    group.addTask {
                        try await onThread {
                            let consumer = Consumer(
                                number: number, caller: try Caller(port: port, key: key), journal: journal, life: life,
                                random: ManualRandom(seed: 1))
                            if !own.isEmpty { _ = try consumer.drain(deferred: own) }
                            while try consumer.drain() > 0 {}
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
    }

    private func redrive() async throws {
        let (journal, port, key) = (journal, place.gateway.port, place.keys.store)
        try await onThread {
            let caller = try Caller(port: port, key: key)
            for (index, dead) in try Self.pages("/v1/dead", port, key).enumerated() where index % 2 == 0 {
                guard let id = dead["id"]?.string else { continue }
                journal.with { _ = $0.history.redriven.insert(id) }
                let response = try caller.call("POST", "/v1/dead/\(id)/redrive")
                if response.status != 200 { journal.noteStrange("redrive: \(response.status) \(response.text)") }
            }
        }
    }

    /// What became of each message that is known to anybody.
    private func ask() async throws {
        let (journal, port, key) = (journal, place.gateway.port, place.keys.store)
        let messages = journal.with { state in
            var all = Set(state.history.deliveries.map(\.message))
            for put in state.history.puts { if case .accepted(let message) = put.answer { all.insert(message) } }
            return all
        }
        try await onThread {
            let caller = try Caller(port: port, key: key)
            for message in messages {
                let response = try caller.call("GET", "/v1/messages/\(message)")
                guard response.status == 200, let state = response.json["state"]?.string else { continue }
                journal.with { $0.history.finals[message] = state }
            }
        }
    }

    /// The receipts in the application's queue.
    private func collect() async throws {
        let (journal, port, key) = (journal, place.gateway.port, place.keys.shop)
        try await onThread {
            let caller = try Caller(port: port, key: key)
            while true {
                let response = try caller.call("POST", "/v1/messages/receive", ["max": 100, "mode": "delete"])
                guard response.status == 200, let messages = response.json["messages"]?.array, !messages.isEmpty else {
                    break
                }
                for message in messages where message["header"]?["type"]?.string == "receipt" {
                    note(message["header"] ?? .null, number: message["id"]?.string, journal)
                }
            }
        }
    }

    /// The receipts on the device's stream, from its first event on.
    private func listen() async throws {
        let stream = try await StreamReader(port: place.gateway.port, token: place.keys.device, lastEventID: "0")
        var count = -1
        // Two seconds without an event: that was all.
        while count < stream.events.all.count {
            count = stream.events.all.count
            try await Task.sleep(for: .seconds(2))
        }
        if stream.isEnded { journal.noteStrange("the stream ended") }
        for event in stream.events.all where event.name == "receipt" { note(event.data, number: event.id, journal) }
        stream.close()
    }

    private func note(_ receipt: JSON, number: String?, _ journal: Journal) {
        let receipt = QueueHistory.Receipt(
            message: receipt["message"]?.string ?? "", state: receipt["state"]?.string ?? "", number: number ?? "")
        journal.with { $0.history.receipts.append(receipt) }
    }

    /// All pages of a list.
    static func pages(_ path: String, _ port: Int, _ key: String) throws -> [JSON] {
        let caller = try Caller(port: port, key: key)
        var (all, after) = ([JSON](), "")
        while true {
            let response = try caller.call("GET", "\(path)?limit=100\(after)")
            guard response.status == 200 else { throw ProofError("\(path): \(response.status) \(response.text)") }
            all += response.json["items"]?.array ?? []
            guard let next = response.json["next"]?.string else { return all }
            after = "&after=\(next)"
        }
    }
}
