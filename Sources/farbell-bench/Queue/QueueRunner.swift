internal import Base

/// Runs the measures on one server after the other.
struct QueueRunner: Sendable {
    let seconds: Int
    let clients: [Int]
    /// Clients that put or take many at once.
    let batchClients: [Int]
    /// Messages held by a server that starts.
    let held: Int
    let bodyBytes: Int
    /// Whether Farbell's messages have ids of the sender's, which it then looks up to find duplicates.
    let hasIDs: Bool
    let isQuick: Bool

    private static let putBatch = 100
    private static let takeBatch = 50
    private static let fillClients = 8
    /// Filling a queue before it is emptied takes no longer; a row then ends when the queue is empty.
    private static let fillSeconds = 20
    /// Messages a second that no server is expected to hand out: so many are put before. By clients, then in batches.
    private static let expected = [(1, 12_000), (8, 30_000)]
    private static let expectedBeyond = 90_000
    private static let expectedBatches = 200_000
    /// Nor more than so many times the best it has shown so far.
    private static let expectedGrowth = 3.0
    private static let drained = 1000

    private static let putBars = [8: 25_000.0, 64: 45_000]
    private static let takeBars = [8: 12_000.0]

    func summary(repeats: Int) -> String {
        "\(bodyBytes)-byte bodies; every put and completion is synced before its answer; \(seconds) s each, median of"
            + " \(repeats); the client and the server share the machine"
            + (hasIDs ? "; Farbell's messages with ids of the sender's" : "")
    }

    // MARK: Throughput

    func throughput(_ server: QueueServer, puts: Bool, takes: Bool, _ report: inout QueueReport) async throws {
        var inside = 0
        var best = 0.0
        for (clients, batch) in rows(Self.putBatch) where puts {
            let result = try await load(server, "put", clients, batch, ["--seconds", "\(seconds)"])
            inside += result.total
            best = max(best, result.rate.value)
            let measure = QueueMeasure(
                title: Self.title("put", clients, batch), unit: .perSecond,
                bar: batch == 1 ? Self.putBars[clients] : nil,
                leads: clients > 1 || batch > 1)
            report.add(measure, server.peer, result.rate)
        }
        for (clients, batch) in rows(Self.takeBatch) where takes {
            try await fill(server, to: needed(clients, batch, best), &inside)
            let result = try await load(server, "take", clients, batch, ["--seconds", "\(seconds)"])
            inside -= result.total
            // Without puts before, the first takes alone would promise too little.
            if puts { best = max(best, result.rate.value) }
            let measure = QueueMeasure(
                title: Self.title("receive and complete", clients, batch), unit: .perSecond,
                bar: batch == 1 ? Self.takeBars[clients] : nil, leads: clients > 1 || batch > 1)
            report.add(measure, server.peer, result.rate)
        }
    }

    private func rows(_ batch: Int) -> [(clients: Int, batch: Int)] {
        clients.map { ($0, 1) } + batchClients.map { ($0, batch) }
    }

    private static func title(_ what: String, _ clients: Int, _ batch: Int) -> String {
        what + (batch > 1 ? ", \(batch) at a time" : "") + ", \(clients) " + (clients == 1 ? "client" : "clients")
    }

    private func needed(_ clients: Int, _ batch: Int, _ best: Double) -> Int {
        let expected =
            batch > 1
            ? Self.expectedBatches : Self.expected.first { clients <= $0.0 }?.1 ?? Self.expectedBeyond
        let rate = best > 0 ? min(expected, Int(best * Self.expectedGrowth)) : expected
        return rate * (seconds + 1) / (isQuick ? 4 : 1)
    }

    private func fill(_ server: QueueServer, to count: Int, _ inside: inout Int) async throws {
        guard inside < count else { return }
        let result = try await load(
            server, "put", Self.fillClients, Self.putBatch,
            ["--count", "\(count - inside)", "--seconds", "\(Self.fillSeconds)"])
        inside += result.total
    }

    private func load(
        _ server: QueueServer, _ mode: String, _ clients: Int, _ batch: Int, _ more: [String]
    ) async throws -> QueueLoad {
        try await QueueLoad.run(
            server, mode,
            ["--clients", "\(clients)", "--batch", "\(batch)", "--ids", hasIDs ? "1" : "0"] + more,
            bodyBytes: bodyBytes)
    }

    // MARK: Times

    func handoff(_ server: QueueServer, _ report: inout QueueReport) async throws {
        let result = try await load(server, "handoff", 2, 1, ["--seconds", "\(seconds)"])
        for (name, bar) in [("p50", 300.0), ("p99", 2500)] {
            report.add(
                QueueMeasure(title: "hand-off to a waiting consumer, \(name)", unit: .microseconds, bar: bar),
                server.peer, result.time(name))
        }
    }

    func drain(_ server: QueueServer, _ report: inout QueueReport) async throws {
        let result = try await load(
            server, "drain", 1, server.peer.drainBatch,
            ["--count", "\(Self.drained)", "--rounds", isQuick ? "3" : "11"])
        for (name, title, bar) in [
            ("first", "connect to the first of 1,000 held", nil), ("all", "connect to all 1,000 received", nil),
            ("p50", "connect to all 1,000 completed", 12.0),
        ] {
            var figure = result.time(name)
            figure.value /= 1000
            report.add(QueueMeasure(title: title, unit: .milliseconds, bar: bar), server.peer, figure)
        }
    }

    /// The server hurries while it is filled and starts again in good order.
    func start(_ server: QueueServer, _ report: inout QueueReport) async throws {
        let filled = try await load(
            server, "put", Self.fillClients, Self.putBatch, ["--count", "\(held)", "--seconds", "0"])
        guard filled.total == held else { throw BenchError("only \(filled.total) of \(held) messages were taken") }
        await server.stop()
        let begin = try await server.start()
        let result = try await load(
            server, "first", 1, 1, ["--since", "\(begin)", "--seconds", "300"])
        let figure = QueueFigure(value: result.number("milliseconds") / 1000, client: 0, server: result.server)
        report.add(
            QueueMeasure(title: "start with \(held) held, to the first received", unit: .seconds, bar: 5), server.peer,
            figure)
    }
}
