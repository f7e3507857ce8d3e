internal import Base
internal import Gateway
internal import GatewayAPI
internal import GatewayTestKit
internal import Glibc
internal import Inbound

/// `routes`: processor time of the queue's routes without a connection and without a disk: token, JSON, queue, answer.
struct RoutesBench: Sendable {
    static let options: Set<String> = ["count", "bytes"]
    private static let key = Secret("bench-key-0123456789-0123456789-0123456789")
    /// Requests under way at once.
    private static let window = 64

    private let count: Int
    private let body: String

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        count = max(1000, try options.number("count", 200_000, quick: 2000))
        body = String(repeating: "x", count: max(1, try options.number("bytes", 256, quick: 256)))
    }

    /// - Returns: whether every request was answered as it should be.
    func run() async throws -> Bool {
        Report.begin("Farbell routes")
        var configuration = GatewayConfiguration()
        configuration.apps = [App(id: "a", name: "A", key: Self.key)]
        configuration.limits.requestsPerSecond = 1_000_000
        configuration.limits.queueMessages = 10_000_000
        configuration.limits.messageCacheBytes = 4 << 30
        let gateway = try await Gateway(
            configuration,
            on: Gateway.Foundation(
                store: ForgetfulStore(), security: FakeSecurity(), time: SystemTime(), log: Log(sink: NullLogSink())))
        let handler = APIHandler(
            gateway: gateway, options: APIOptions(publicURL: "http://x", version: "0", adminToken: Secret("")))
        let order: JSON = [
            "to": ["app": "a"], "id": "0", "header": ["type": "order"], "subject": "A subject", "body": .string(body),
        ]
        var rows: [[String]] = []
        rows.append(try await parse(order.serializedBytes))
        let puts = try await measure("put", handler, count) { number in
            var object = order.object ?? [:]
            object["id"] = .string("\(number)")
            return ("/v1/messages", JSON.object(object).serializedBytes)
        }
        rows.append(puts.row)
        let taken = try await measure("receive 1", handler, count / 2) { _ in ("/v1/messages/receive", []) }
        rows.append(taken.row)
        let receipts = try taken.answers.map { try JSONParser.parse($0)["messages"]?[0] ?? .null }
        let done = try await measure("complete", handler, receipts.count) { number in
            let token: JSON = ["token": receipts[number]["receipt"]?["token"] ?? .null]
            return ("/v1/messages/\(receipts[number]["id"]?.string ?? "")/complete", token.serializedBytes)
        }
        rows.append(done.row)
        rows.append(
            try await measure("receive 10", handler, count / 20) { _ in
                ("/v1/messages/receive", Array(#"{"max":10}"#.utf8))
            }.row)
        Report.print("")
        Report.print(Report.table(["request", "µs CPU each", "failed"], rows))
        return puts.failed + taken.failed + done.failed == 0
    }

    private func row(_ name: String, _ start: Duration, _ count: Int, _ failed: Int) throws -> [String] {
        let used = try (ProcessMeter.processorTime(of: getpid()) - start).inSeconds
        return [name, Report.decimal(used * 1_000_000 / Double(count), 2), "\(failed)"]
    }

    private func parse(_ bytes: [UInt8]) async throws -> [String] {
        let start = try ProcessMeter.processorTime(of: getpid())
        var members = 0
        for _ in 0..<count { members += try JSONParser.parse(bytes).object?.members.count ?? 0 }
        return try row("JSON of a put, parsed", start, count, members == count * 5 ? 0 : 1)
    }

    private func measure(
        _ name: String, _ handler: APIHandler, _ count: Int, _ make: (Int) -> (path: String, body: [UInt8])
    ) async throws -> (row: [String], answers: [[UInt8]], failed: Int) {
        let headers: HTTPFields = ["Authorization": "Bearer \(Self.key.exposed)"]
        let requests = try (0..<count).map { number in
            let (path, body) = make(number)
            return try InboundRequest("POST", path, headers: headers, body: body)
        }
        let answers = Locked<[[UInt8]]>([])
        let failed = Locked(0)
        let start = try ProcessMeter.processorTime(of: getpid())
        var next = 0
        while next < count {
            let batch = requests[next..<min(count, next + Self.window)]
            next += batch.count
            let left = Locked(batch.count)
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                for request in batch {
                    let responder = Responder { response in
                        if case .bytes(let bytes) = response.body { answers.withLock { $0.append(bytes) } }
                        if response.status >= 300 { failed.withLock { $0 += 1 } }
                        let rest = left.withLock { left in
                            left -= 1
                            return left
                        }
                        if rest == 0 { continuation.resume() }
                    }
                    switch try? handler.answer(request) {
                    case .whenDone(let begin): begin(responder)
                    case .now(let response): responder.answer(response)
                    case .later, nil: responder.answer(.empty(500))
                    }
                }
            }
        }
        let failures = failed.withLock { $0 }
        return (try row(name, start, count, failures), answers.withLock { $0 }, failures)
    }
}

/// Takes everything and keeps nothing; answers from a thread of its own, in order, as a store must.
private final class ForgetfulStore: Store {
    private let thread = WorkThread(name: "store", limit: 1_000_000)

    func submit(_ changes: [StoreChange], completion: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        if !thread.submit({ completion(.success(())) }) { completion(.failure(StoreError(.overloaded, "too much"))) }
    }

    func registry() async throws -> StoredRegistry { StoredRegistry() }
    func entries(queues: [Int64], after: Int64, limit: Int) async throws -> [StoredEntry] { [] }
    func openEntries(after position: Int64?, limit: Int) async throws -> (entries: [OpenEntry], next: Int64?) {
        ([], nil)
    }
    func messages(_ keys: [MessageKey], completion: @escaping @Sendable (Result<[Message], StoreError>) -> Void) {
        completion(.success([]))
    }
    func messages(queue: Int64, state: Message.State?, after: Int64, limit: Int) async throws -> [Message] { [] }
    func settledSends(since: Timestamp) async throws -> [SettledSend] { [] }
    func message(_ key: MessageKey) async throws -> Message? { nil }
    func deliveries(of messages: [MessageKey]) async throws -> [DeliveryRecord] { [] }
    func items(registration: RegistrationID, keys: [String]) async throws -> [String: StoredItem] { [:] }
    func openItems(registration: RegistrationID) async throws -> [String: MessageKey] { [:] }
    func conversations(_ query: ConversationQuery) async throws -> [ConversationView] { [] }
    func history(
        _ pair: ConversationPair, _ range: HistoryRange, limit: Int
    ) async throws -> [HistoryEntry] { [] }
    func entry(_ number: Int64) async throws -> HistoryEntry? { nil }
    func entry(of message: MessageKey) async throws -> HistoryEntry? { nil }
    func freeBytes() -> Int64? { nil }
    func close() async { thread.stop() }
}
