internal import Base
internal import GatewayTestKit
internal import Outbound

/// The others that send pushes, each with its own way of being given them.
struct PushPeers: Sendable {
    let devices: Int
    let fakes: PushFakes
    let http: HTTPClient

    static let alertmanager = "prometheus-alertmanager"

    /// Whether the private Python environment has a library.
    static func has(_ module: String) async -> Bool {
        guard FileSystem.exists(BenchPaths.python) else { return false }
        let result = try? await ChildProcess.run(BenchPaths.python, ["-c", "import \(module)"], deadline: .seconds(60))
        return result?.exit == .code(0)
    }

    // MARK: Libraries

    /// - Parameters:
    ///   - window: requests under way at once.
    ///   - perSecond: a steady rate; nil: as many as go.
    ///   - besideDead: with as many requests under way at a service that hangs.
    func aioapns(_ count: Int, window: Int, perSecond: Int? = nil, besideDead: Bool = false) async throws -> PushFigure
    {
        var config: JSONObject = [
            "url": .string(fakes.apns), "key": .string(fakes.keyFile), "keyId": .string(GatewayProcess.keyID),
            "teamId": .string(GatewayProcess.teamID), "topic": .string(GatewayProcess.topic),
            "window": .integer(window),
        ]
        if let perSecond { config.append("rate", .integer(perSecond)) }
        if besideDead { config.append("deadUrl", .string(fakes.dead)) }
        return try await library("aioapns", "aioapns 4.0", .apns, count, config)
    }

    func pywebpush(_ count: Int) async throws -> PushFigure {
        try await library(
            "pywebpush", "pywebpush 2.5", .webPush, count, ["subscriptions": .string(fakes.subscriptionsFile)])
    }

    /// - Parameter fan: addresses of one notification, which the library sends to at once.
    func apprise(_ count: Int, fan: Int) async throws -> PushFigure {
        var figure = try await library(
            "apprise", "apprise 2.2", .hook, count, ["url": .string(fakes.hook), "fan": .integer(fan)])
        // Each of the fan says the same.
        figure.doubled = 0
        figure.remark = "\(fan) addresses in a notification"
        return figure
    }

    private func library(
        _ name: String, _ title: String, _ service: PushService, _ count: Int, _ settings: JSONObject
    ) async throws -> PushFigure {
        let folder = try TemporaryFolder()
        var config = settings
        for (key, value) in [
            ("count", JSON.integer(count + 1)), ("devices", .integer(devices)), ("ca", .string(fakes.caFile)),
            ("sent", .string(folder.file("sent"))),
        ] {
            config.append(key, value)
        }
        try await fakes.clear()
        let result = try await ChildProcess.run(
            BenchPaths.python, [BenchPaths.script("push_peer.py"), name, JSON.object(config).serialized],
            deadline: .seconds(900))
        guard result.exit == .code(0), let line = result.output.first(where: { $0.hasPrefix("RESULT ") }) else {
            throw BenchError("\(title) failed: \((result.errors + result.output).suffix(5).joined(separator: " "))")
        }
        let json = try JSONParser.parse(String(line.dropFirst(7)))
        let begin = Int64(json["begin"]?.number ?? 0)
        var figure = PushFigure(who: title, source: "its memory", sent: Int(json["count"]?.number ?? 0))
        let times = FileSystem.contents(of: folder.file("sent"), limit: 1 << 28).map { bytes in
            var times = PushLoad.Times(count: count + 1)
            for row in PushFakes.numbers(bytes, columns: 2) where times.offered.indices.contains(Int(row[0])) {
                times.offered[Int(row[0])] = row[1]
            }
            times.accepted = times.offered
            return times
        }
        figure.count(try await fakes.arrivals(service).filter { $0.at >= begin }, begin: begin, times: times)
        figure.processor = (json["cpuSeconds"]?.number ?? 0) * 1e6 / Double(max(1, figure.arrived))
        figure.memory = Int(json["kib"]?.number ?? 0)
        let failed = Int(json["failed"]?.number ?? 0)
        if failed > 0 { figure.remark = "\(failed) failed" }
        return figure
    }

    // MARK: Alertmanager

    /// One alert is a group and a webhook call of its own.
    func alertmanager(_ count: Int, perSecond: Int? = nil) async throws -> PushFigure {
        let (folder, port) = (try TemporaryFolder(), try ServerPort.next())
        try folder.write(
            """
            route:
              receiver: hook
              group_by: ['...']
              group_wait: 0s
              group_interval: 1h
              repeat_interval: 1h
            receivers:
              - name: hook
                webhook_configs:
                  - url: \(fakes.hook)/alert
                    send_resolved: false

            """, to: "alertmanager.yml")
        let child = try await ChildProcess(
            Self.alertmanager,
            [
                "--config.file=\(folder.file("alertmanager.yml"))", "--storage.path=\(folder.file("data"))",
                "--web.listen-address=127.0.0.1:\(port)", "--cluster.listen-address=", "--log.level=error",
            ])
        defer { child.kill() }
        let url = "http://127.0.0.1:\(port)"
        try await Eventually.wait("Alertmanager is ready", for: .seconds(60), every: .milliseconds(50)) {
            if let exit = child.exit { throw BenchError("Alertmanager ended (\(exit)): \(child.errors.suffix(3))") }
            return await ready(url)
        }
        try await fakes.clear()
        let meter = try PushMeter(child.processID)
        let begin = MonotonicClock.nanoseconds
        let times = try await alerts(count, url, perSecond)
        _ = try await fakes.wait(.hook, count: count)
        var figure = PushFigure(who: "Alertmanager 0.25", source: "HTTP, its memory", sent: count)
        figure.count(try await fakes.arrivals(.hook), begin: begin, times: times)
        try meter.read(into: &figure)
        return figure
    }

    private func ready(_ url: String) async -> Bool {
        do {
            return try await http.send(HTTPRequest("GET", "\(url)/-/ready")).status == 200
        } catch {
            // It does not listen yet.
            return false
        }
    }

    private func alerts(_ count: Int, _ url: String, _ perSecond: Int?) async throws -> PushLoad.Times {
        let times = Locked(PushLoad.Times(count: count))
        let size = perSecond == nil ? PushLoad.batch : 1
        let (time, start) = (SystemTime(), SystemTime().now)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, first) in stride(from: 0, to: count, by: size).enumerated() {
                if let perSecond {
                    let due = start + .nanoseconds(Int64(first) * 1_000_000_000 / Int64(perSecond))
                    if due > time.now { try await time.sleep(until: due) }
                } else if index >= 4 {
                    try await group.next()
                }
                group.addTask {
                    let numbers = first..<min(count, first + size)
                    let alerts = JSON.array(
                        numbers.map { ["labels": ["alertname": .string(PushMark.text($0))]] })
                    let offered = MonotonicClock.nanoseconds
                    let response = try await http.send(
                        HTTPRequest(
                            "POST", "\(url)/api/v2/alerts", headers: ["Content-Type": "application/json"],
                            body: alerts.serializedBytes))
                    let accepted = MonotonicClock.nanoseconds
                    guard response.status == 200 else { throw BenchError("Alertmanager answers \(response.status)") }
                    times.withLock { times in
                        for number in numbers { (times.offered[number], times.accepted[number]) = (offered, accepted) }
                    }
                }
            }
            try await group.waitForAll()
        }
        return times.withLock { $0 }
    }
}
