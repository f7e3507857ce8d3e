internal import Base
internal import GatewayTestKit
internal import Outbound

/// With no page open: from the sender's `POST /v1/messages` to the push that the push service has accepted (IM-12).
struct ImPushes: Sendable {
    /// Each to a person of its own.
    let messages: Int

    struct Result: Sendable {
        var answered = Distribution([])
        var pushed = Distribution([])
        var missing = 0
        var doubled = 0
    }

    /// The bar of issue 7, of the median.
    static let bar = Duration.milliseconds(10)
    /// From one message to the next.
    static let pause = Duration.milliseconds(20)
    /// Not counted: in them the gateway connects to the push service.
    private static let warmup = 10

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`, `HTTPTransportError`.
    func run() async throws -> Result {
        let setup = try RingSetup()
        defer { setup.apns.stop() }
        let people = messages + Self.warmup
        // Everybody has a neighbour to write to.
        let gateway = try await setup.talkingGateway(accounts: people + people % 2, devicePerMinute: 0)
        do {
            let result = try await run(setup, gateway, people)
            await gateway.stop()
            return result
        } catch {
            Report.progress("the gateway's log: \(gateway.logTail)")
            await gateway.stop()
            throw error
        }
    }

    private func run(_ setup: RingSetup, _ gateway: GatewayProcess, _ people: Int) async throws -> Result {
        let http = try HTTPClient()
        var sent: [(begin: Moment, end: Moment)] = []
        for person in 0..<people {
            let body: JSON = [
                "to": ["account": .string(SyntheticIMAPServer.user(person))], "subject": "Rota",
                "body": "Can you take the night from Friday to Saturday?",
            ]
            let begin = setup.time.now
            _ = try await http.post("messages", body, port: gateway.port, token: Seed.token(person ^ 1))
            sent.append((begin, setup.time.now))
            try await setup.time.sleep(until: begin + Self.pause)
        }
        do {
            try await setup.apns.pushes.wait(count: people, deadline: .seconds(5))
        } catch {
            Report.progress("im: \(error)")
        }
        let pushes = Dictionary(grouping: setup.apns.pushes.all, by: \.device).mapValues { $0.map(\.received).sorted() }
        var result = Result()
        var pushed: [Duration] = []
        for person in Self.warmup..<people {
            let received = pushes[Seed.pushToken(person)] ?? []
            if let first = received.first { pushed.append(first - sent[person].begin) } else { result.missing += 1 }
            result.doubled += max(0, received.count - 1)
        }
        result.answered = Distribution(sent.dropFirst(Self.warmup).map { $0.end - $0.begin })
        result.pushed = Distribution(pushed)
        return result
    }
}
