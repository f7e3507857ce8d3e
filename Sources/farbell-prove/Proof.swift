internal import Base
internal import GatewayTestKit
internal import Glibc

/// Lets the gateway live and die under load, round after round, then drains it and judges.
final class Proof {
    private static let consumers = 5

    private let options: ProofOptions
    private let place: ProofPlace
    private let journal = Journal()
    private let deaths: [Death]
    private var random: ManualRandom
    private var tally: [String: Int] = [:]
    private var restarts: [Duration] = []

    init(_ options: ProofOptions) async throws {
        (self.options, random) = (options, ManualRandom(seed: options.seed))
        (place, deaths) = try await ProofPlace.make(options)
    }

    /// - Returns: whether nothing was found.
    func run() async throws -> Bool {
        let begin = ContinuousClock.now
        Output.say("seed \(options.seed), \(options.rounds) rounds: \(deaths.map(\.rawValue).joined(separator: ", "))")
        do {
            try await place.prepare()
            for round in 1...options.rounds { try await self.round(round) }
            try await place.start()
            let drain = Drain(place: place, journal: journal, boot: options.rounds + 1)
            try await drain.run(consumers: Self.consumers)
            _ = try await place.gateway.stop()
        } catch {
            Output.say("the proof broke off: \(error)")
            await place.end(keeping: true)
            throw error
        }
        let report = ProofReport(
            history: journal.with { $0.history }, strange: journal.with { $0.strange }, tally: tally,
            restarts: restarts, lasted: ContinuousClock.now - begin, seed: options.seed)
        report.print()
        await place.end(keeping: options.keeps || !report.faults.isEmpty)
        return report.faults.isEmpty
    }

    // MARK: One life

    private func round(_ number: Int) async throws {
        let before = journal.with { ($0.history.puts.count, $0.history.deliveries.count, $0.done.count) }
        let death = deaths[Int.random(in: 0..<deaths.count, using: &random)]
        // Pages of the log are copied all the time, so that many deaths find the store at it.
        var variables = ["FARBELL_COPY_PAGES": "16"]
        var name = death.rawValue
        if death == .failpoint {
            let point = ["write", "sync", "reply"][Int.random(in: 0..<3, using: &random)]
            // Low numbers are passes of the start itself.
            variables["FARBELL_FAILPOINT"] = "\(point):\(Int.random(in: 1...250, using: &random))"
            name = point
        }
        let milliseconds = Int.random(in: 20...options.lifeMilliseconds, using: &random)
        let begin = ContinuousClock.now
        try await place.gateway.launch(variables: variables)
        let life = Life(boot: number)
        let place = place
        async let end = place.die(death, after: .milliseconds(milliseconds), life)
        let isReady = try await place.becomesReady()
        if isReady {
            restarts.append(ContinuousClock.now - begin)
            try await count()
            await work(life)
        }
        let isForeseen = try await end
        if !isForeseen { name = "kill" }
        if !isReady { name += " in start" }
        tally[name, default: 0] += 1
        let after = journal.with { ($0.history.puts.count, $0.history.deliveries.count, $0.done.count) }
        Output.say(
            "round \(number): \(name), \(variables["FARBELL_FAILPOINT"] ?? "\(milliseconds) ms"), sent "
                + "\(after.0 - before.0), handed over \(after.1 - before.1), completed \(after.2 - before.2)")
    }

    /// How much is open is known anew after each start: what was not answered may have been done.
    private func count() async throws {
        let (journal, port, key) = (journal, place.gateway.port, place.keys.store)
        guard let open = try? await onThread({ try Drain.pages("/v1/messages", port, key).count }) else { return }
        journal.with { $0.ended = $0.accepted - open }
    }

    /// All clients work until the gateway is gone.
    private func work(_ life: Life) async {
        let (journal, port, keys) = (journal, place.gateway.port, place.keys)
        let seeds = (0..<8).map { _ in random.next() }
        await withTaskGroup(of: Void.self) { group in
            for (index, kind) in [Producer.Kind.silent, .listening, .device].enumerated() {
                group.addTask {
                    try? await onThread {
                        let key = [keys.shop, keys.shop, keys.device][index]
                        var producer = Producer(
                            number: index, kind: kind, caller: try Caller(port: port, key: key), journal: journal,
                            life: life, random: ManualRandom(seed: seeds[index]))
                        producer.run()
                    }
                }
            }
            for index in 0..<Self.consumers {
                group.addTask {
                    try? await onThread {
                        var consumer = Consumer(
                            number: index, caller: try Caller(port: port, key: keys.store), journal: journal,
                            life: life, random: ManualRandom(seed: seeds[3 + index]))
                        consumer.run()
                    }
                }
            }
        }
    }
}

/// Lines for people.
enum Output {
    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}

extension SystemThread {
    static func pause(milliseconds: Int) { usleep(UInt32(milliseconds) * 1000) }
}
