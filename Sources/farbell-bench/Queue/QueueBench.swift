internal import Base
internal import GatewayTestKit

/// `queue`: Farbell's messages beside other durable queues.
struct QueueBench: Sendable {
    static let options: Set<String> = [
        "parts", "peers", "seconds", "clients", "batch-clients", "repeats", "held", "body", "ids",
    ]

    /// Syncs of the disk before each peer's turn.
    private static let probes = 30

    private let isQuick: Bool
    private let parts: [QueuePart]
    private let peers: [QueuePeer]
    private let repeats: Int
    private let runner: QueueRunner

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        isQuick = options.isQuick
        let partNames = try options.words(
            "parts", QueuePart.allCases.map(\.rawValue), quick: QueuePart.allCases.map(\.rawValue))
        let peerNames = try options.words(
            "peers", QueuePeer.allCases.map(\.rawValue), quick: QueuePeer.allCases.map(\.rawValue))
        parts = QueuePart.allCases.filter { partNames.contains($0.rawValue) }
        peers = QueuePeer.allCases.filter { peerNames.contains($0.rawValue) }
        repeats = max(1, try options.number("repeats", 3, quick: 1))
        runner = QueueRunner(
            seconds: max(1, try options.number("seconds", 3, quick: 1)),
            clients: try options.numbers("clients", [1, 8, 64], quick: [1, 8]),
            batchClients: try options.numbers("batch-clients", [1, 8], quick: [1]),
            held: try options.number("held", 1_000_000, quick: 20_000),
            bodyBytes: max(1, try options.number("body", 512, quick: 512)),
            hasIDs: try options.number("ids", 0, quick: 0) > 0, isQuick: isQuick)
    }

    /// - Returns: whether, unless it was a quick run, Farbell met every bar and led where it has to.
    func run() async throws -> Bool {
        Report.begin("Farbell queue", isQuick: isQuick)
        let present = peers.filter { peer in
            let isHere = QueueServer.isInstalled(peer)
            if !isHere { Report.print("Not measured: \(peer.title); Scripts/install --bench installs \(peer.package)") }
            return isHere
        }
        let probe = isQuick ? nil : try await MachineProbe.run()
        var report = QueueReport(peers: present)
        for round in 1...repeats {
            // The peers take turns, so that a busy moment of the machine does not hit one of them only.
            for peer in present {
                Report.progress("queue: \(peer.rawValue), round \(round) of \(repeats)")
                do {
                    try await measure(peer, isLast: round == repeats, &report)
                } catch {
                    // What the others did still counts; the report names the failure.
                    Report.progress("queue: \(error)")
                    report.fail(peer, "\(error)")
                }
            }
        }
        report.print(settings: runner.summary(repeats: repeats), probe: probe)
        return isQuick || report.isGood
    }

    private func measure(_ peer: QueuePeer, isLast: Bool, _ report: inout QueueReport) async throws {
        let wanted = parts.filter(peer.parts.contains)
        let sync = try await MachineProbe.run(rounds: Self.probes).sync.percentile(0.5)
        report.add(
            QueueMeasure(
                title: "the machine, before each round: a sync of 4 KiB, p50", unit: .microseconds, isMachine: true),
            peer, QueueFigure(value: sync.inSeconds * 1_000_000, client: 0, server: 0))
        if wanted.contains(.put) || wanted.contains(.take) {
            try await with(peer) { server in
                try await runner.throughput(server, puts: wanted.contains(.put), takes: wanted.contains(.take), &report)
            }
        }
        if wanted.contains(.handoff) || wanted.contains(.drain) {
            try await with(peer) { server in
                if wanted.contains(.handoff) { try await runner.handoff(server, &report) }
                if wanted.contains(.drain) { try await runner.drain(server, &report) }
            }
        }
        // Once: it takes minutes to fill some of them.
        if wanted.contains(.start) && isLast {
            try await with(peer, hurries: peer.canHurry) { try await runner.start($0, &report) }
        }
    }

    private func with(
        _ peer: QueuePeer, hurries: Bool = false, _ body: (QueueServer) async throws -> Void
    ) async throws {
        let server = try await QueueServer(peer, hurries: hurries)
        do {
            try await body(server)
        } catch {
            await server.stop()
            throw error
        }
        await server.stop()
    }
}
