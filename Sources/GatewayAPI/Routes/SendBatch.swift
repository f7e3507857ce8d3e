internal import Base
internal import Gateway
internal import Inbound

/// Up to a hundred messages in one request, each of which is accepted or refused for itself. What is accepted goes
/// to the disk with one sync.
struct SendBatch: Sendable {
    static let limit = 100

    private enum Entry: Sendable {
        case accepted(count: Int)
        case refused(Problem)
    }

    private let call: PartyCall
    /// One for each message, in its order.
    private var entries: [Entry] = []
    /// Those of all accepted messages, one after the other.
    private var postings: [Posting] = []

    /// Reads and checks all messages.
    /// - Throws: a `Problem` when the body is no batch.
    init(_ call: PartyCall) throws(Problem) {
        self.call = call
        var reader = try FieldReader(call.request)
        guard let items = reader.value("messages")?.array, (1...Self.limit).contains(items.count) else {
            throw reader.fault("messages", "expected a list of 1 to \(Self.limit) messages")
        }
        try reader.finish()
        entries.reserveCapacity(items.count)
        postings.reserveCapacity(items.count)
        for item in items {
            do {
                let prepared = try prepare(item)
                entries.append(.accepted(count: prepared.count))
                postings += prepared
            } catch {
                entries.append(.refused(Problems.known(error)))
            }
        }
    }

    private func prepare(_ item: JSON) throws -> [Posting] {
        guard let object = item.object else {
            throw Problem(400, "invalid_field", "expected a message, found \(item.kind)")
        }
        let order = try call.checked(try SendCodec.order(object))
        return try call.gateway.postmaster.prepare(order, by: call.party)
    }

    /// Whether no device is to be told of any of them.
    var isForApps: Bool { postings.allSatisfy { !$0.to.address.isStreamed } }

    // MARK: Without a task

    func sendToApps(_ reply: PendingReply) {
        guard !postings.isEmpty else { return reply.answer(answer([])) }
        do {
            try call.gateway.postmaster.sendToApps(postings) { result in
                reply.finish(result) { sent in answer(slices(sent)) }
            }
        } catch {
            // One is too many somewhere: each for itself then.
            reply.later { try await oneByOne() }
        }
    }

    // MARK: In a task

    func send() async throws -> InboundResponse {
        do {
            return answer(slices(try await call.gateway.postmaster.send(postings)))
        } catch is GatewayError {
            return try await oneByOne()
        }
    }

    /// Each message for itself, one after the other: rare, so that its syncs do not matter.
    private func oneByOne() async throws -> InboundResponse {
        var results: [Result<ArraySlice<Sent>, Problem>] = []
        var rest = postings[...]
        for case .accepted(let count) in entries {
            do {
                results.append(.success(try await call.gateway.postmaster.send(Array(rest.prefix(count)))[...]))
            } catch let error as GatewayError {
                results.append(.failure(Problems.known(error)))
            }
            rest = rest.dropFirst(count)
        }
        return answer(results)
    }

    // MARK: Answer

    private func slices(_ sent: [Sent]) -> [Result<ArraySlice<Sent>, Problem>] {
        var rest = sent[...]
        return entries.compactMap { entry in
            guard case .accepted(let count) = entry else { return nil }
            defer { rest = rest.dropFirst(count) }
            return .success(rest.prefix(count))
        }
    }

    /// - Parameter results: of the accepted messages, in their order.
    private func answer(_ results: [Result<ArraySlice<Sent>, Problem>]) -> InboundResponse {
        var text = JSONText(capacity: 32 + entries.count * 96)
        var next = results.makeIterator()
        text.object { text in
            text.array("results") { text in
                for entry in entries {
                    let result: Result<ArraySlice<Sent>, Problem>?
                    if case .refused(let problem) = entry { result = .failure(problem) } else { result = next.next() }
                    text.object { text in
                        switch result {
                        case .success(let sent): SendCodec.write(sent, to: &text)
                        case .failure(let problem): problem.write(to: &text)
                        case nil: break
                        }
                    }
                }
            }
        }
        return .json(bytes: text.bytes, status: 202)
    }
}

extension Problem {
    /// As one result among several.
    func write(to text: inout JSONText) {
        text.add("code", code)
        text.add("detail", detail)
        if let field { text.add("field", field) }
        text.add("status", Int64(status))
    }
}
