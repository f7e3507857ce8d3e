internal import Base
internal import GatewayTestKit
internal import Outbound

/// Puts messages into the gateway through HTTP, as a web application does, and notes when each was accepted.
struct PushLoad: Sendable {
    /// Messages in one request: the interface's limit.
    static let batch = 100
    /// Requests under way at once where nothing paces them.
    private static let callers = 4
    /// Connections of the steady load: with few of them its requests would wait for one another.
    private static let connections = 64
    /// What a chat or a mail would say, so that pushes are of their usual size.
    private static let body = String(repeating: "The train leaves at nine. ", count: 8)

    let gateway: PushFarbell
    let http: HTTPClient

    /// When each message was offered and accepted, on `MonotonicClock`, by its number.
    struct Times: Sendable {
        var offered: [Int64]
        var accepted: [Int64]

        init(count: Int) {
            (offered, accepted) = (Array(repeating: 0, count: count), Array(repeating: 0, count: count))
        }

        init(offered: [Int64], accepted: [Int64]) { (self.offered, self.accepted) = (offered, accepted) }
    }

    private func message(_ number: Int, _ service: PushService) -> JSON {
        [
            "to": ["account": .string(gateway.account(number, at: service))],
            "subject": .string(PushMark.text(number)), "body": .string(Self.body),
        ]
    }

    private func post(_ path: String, _ body: JSON) async throws -> HTTPResponse {
        try await http.send(
            HTTPRequest(
                "POST", "http://127.0.0.1:\(gateway.port)\(path)",
                headers: ["Authorization": "Bearer \(PushFarbell.key)", "Content-Type": "application/json"],
                body: body.serializedBytes))
    }

    private static func refused(_ response: HTTPResponse) -> BenchError {
        BenchError(
            "the gateway refused a message: \(response.status) "
                + String(decoding: response.body.prefix(300), as: UTF8.self))
    }

    /// Puts so many as fast as they are accepted, a hundred in a request.
    /// - Throws: `BenchError`, `HTTPTransportError`.
    func putAll(_ count: Int, at service: PushService) async throws -> Times {
        let times = Locked(Times(count: count))
        let next = Locked(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<Self.callers {
                group.addTask {
                    while true {
                        let start = next.withLock { next in
                            defer { next += Self.batch }
                            return next
                        }
                        guard start < count else { return }
                        let numbers = start..<min(count, start + Self.batch)
                        let body: JSON = ["messages": .array(numbers.map { message($0, service) })]
                        let offered = MonotonicClock.nanoseconds
                        let response = try await post("/v1/messages/batch", body)
                        let accepted = MonotonicClock.nanoseconds
                        guard response.status < 300, response.body.firstRange(of: Array("\"code\":".utf8)) == nil else {
                            throw Self.refused(response)
                        }
                        times.withLock { times in
                            for number in numbers {
                                (times.offered[number], times.accepted[number]) = (offered, accepted)
                            }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        return times.withLock { $0 }
    }

    /// Puts so many at a steady rate, each in a request of its own, whether or not those before were answered; by the
    /// load client, which costs the two cores a tenth of what this program would.
    /// - Throws: `BenchError` when the client fails.
    func putSteadily(_ count: Int, perSecond: Int, at service: PushService) async throws -> Times {
        let result = try await ChildProcess.run(
            try BenchPaths.load(),
            [
                "farbell", "paced", "--port", "\(gateway.port)", "--secret-file", gateway.keyFile, "--clients",
                "\(Self.connections)", "--count", "\(count)", "--rate", "\(perSecond)", "--accounts",
                "\(gateway.devices)", "--prefix", gateway.prefix(of: service), "--body", "\(Self.body.utf8.count)",
            ], deadline: .seconds(Int64(60 + 10 * count / max(1, perSecond))))
        let rows = PushFakes.numbers(Array(result.output.joined(separator: "\n").utf8), columns: 3)
        guard result.exit == .code(0), rows.count == count else {
            throw BenchError("the load client: \(result.errors.joined(separator: " "))")
        }
        return Times(offered: rows.map { $0[1] }, accepted: rows.map { $0[2] })
    }
}
