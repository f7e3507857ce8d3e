public import Foundation

/// A message that could not be delivered, with why.
public struct DeadLetter: Sendable, Hashable, Identifiable {
    /// The message.
    public let view: MessageView
    /// Why it is here: the consumer's words, or `max_deliveries`.
    public let reason: String?
    /// The device or application that had it last.
    public let consumer: String?
    /// How often it was handed out.
    public let deliveries: Int
    /// Since when it is here.
    public let at: Date?

    /// The message's id.
    public var id: String { view.id }
}

extension DeadLetter: Decodable {
    private enum Key: String, CodingKey { case reason, consumer, deliveries, at }

    /// Reads a dead letter.
    public init(from decoder: any Decoder) throws {
        view = try MessageView(from: decoder)
        let object = try decoder.container(keyedBy: Key.self)
        reason = try object.decodeIfPresent(String.self, forKey: .reason)
        consumer = try object.decodeIfPresent(String.self, forKey: .consumer)
        deliveries = try object.decodeIfPresent(Int.self, forKey: .deliveries) ?? 0
        at = try object.decodeIfPresent(Date.self, forKey: .at)
    }
}

extension FarbellClient {
    private struct BatchItem: Encodable {
        private enum CodingKeys: String, CodingKey { case id, token, verb = "as", delaySeconds, reason }

        let id: String
        let token: String
        let verb: String
        let delaySeconds: Int?
        let reason: String?
    }

    private struct BatchRequest: Encodable {
        let settlements: [BatchItem]
    }

    private struct BatchAnswer: Decodable {
        struct Item: Decodable {
            let id: String
            let state: MessageState?
            let code: String?
            let detail: String?

            var result: Result<MessageState, FarbellError> {
                if let state { return .success(state) }
                let code = code.map { FarbellError.Code(rawValue: $0) } ?? .invalidAnswer
                return .failure(FarbellError(code, detail ?? "The settlement was refused."))
            }
        }

        let results: [Item]
    }

    /// Messages settled by one request at most.
    public static let settlementsPerRequest = 100

    /// Settles several messages with one request for each hundred: one sync of the gateway's disk for all of them.
    /// - Returns: what became of each, in the same order; one that fails does not keep the others.
    /// - Throws: when a request as a whole failed; settling the same again does no harm.
    @discardableResult
    public func settle(
        _ settlements: [(receipt: Receipt, as: Settlement)]
    ) async throws -> [Result<MessageState, FarbellError>] {
        var results: [Result<MessageState, FarbellError>] = []
        var rest = settlements[...]
        while !rest.isEmpty {
            results += try await settleSome(Array(rest.prefix(Self.settlementsPerRequest)))
            rest = rest.dropFirst(Self.settlementsPerRequest)
        }
        return results
    }

    private func settleSome(
        _ settlements: [(receipt: Receipt, as: Settlement)]
    ) async throws -> [Result<MessageState, FarbellError>] {
        var results: [Result<MessageState, FarbellError>] = []
        var asked: [(place: Int, item: BatchItem)] = []
        for (place, settlement) in settlements.enumerated() {
            let (keeper, how) = (settlement.receipt.keeper, settlement.as)
            do {
                if let token = try await keeper.prepare(how) {
                    let item = BatchItem(
                        id: keeper.id, token: token, verb: how.verb, delaySeconds: how.delaySeconds, reason: how.reason)
                    asked.append((place, item))
                    results.append(.failure(FarbellError(.invalidAnswer, "The answer does not name the message.")))
                } else {
                    results.append(.success(try await keeper.settle(how)))
                }
            } catch let error as FarbellError {
                results.append(.failure(error))
            }
        }
        guard !asked.isEmpty else { return results }
        let call = try Call("POST", "messages", "settle").with(BatchRequest(settlements: asked.map(\.item)))
        let wire = wire
        let answer: BatchAnswer = try await shielded { try await wire.call(call) }
        for ((place, item), told) in zip(asked, answer.results) where told.id == item.id {
            results[place] = told.result
            settlements[place].receipt.keeper.conclude(settlements[place].as, told.result)
        }
        return results
    }

    /// The dead letters of a queue.
    /// - Parameters:
    ///   - queue: the queue's address; nil for the caller's own.
    ///   - after: only those after this, `next` of the page before.
    ///   - limit: how many at most.
    public func deadLetters(
        queue: String? = nil, after: String? = nil, limit: Int? = nil
    ) async throws -> Page<DeadLetter> {
        try await wire.call(Call("GET", "dead", query: Self.listing(queue, after, limit)))
    }

    /// Puts a dead letter back into its queue, counted anew.
    public func redrive(_ id: String) async throws { try await wire.perform(Call("POST", "dead", id, "redrive")) }
}
