internal import Foundation

extension FarbellClient {
    private struct ReadRequest: Encodable { let upTo: Int64 }
    private struct TypingRequest: Encodable { let state: TypingState }
    private struct TapRequest: Encodable { let tap: String }
    private struct TapSubject: Decodable { let peer: ConversationPeer? }
    private struct EditRequest: Encodable {
        let body: String
        let subject: String?
    }

    /// The conversations, newest first.
    /// - Parameters:
    ///   - limit: 1 to 1000.
    ///   - after: the `next` of the page before.
    public func conversations(limit: Int = 100, after: String? = nil) async throws -> Page<ConversationSummary> {
        var call = Call("GET", "conversations", query: [("limit", String(limit))])
        if let after { call.query.append(("after", after)) }
        return try await wire.call(call)
    }

    /// The newest part of a conversation, or the part before an entry.
    /// - Parameters:
    ///   - limit: 1 to 1000.
    ///   - before: an entry's number, such as `next` of the part that is there.
    public func history(
        with peer: ConversationPeer, limit: Int = 100, before: Int64? = nil
    ) async throws -> ConversationHistory {
        var call = Call("GET", "conversations", peer.description, query: [("limit", String(limit))])
        if let before { call.query.append(("before", String(before))) }
        return try await wire.call(call)
    }

    /// What came after an entry, such as while the device was away.
    /// - Parameter limit: 1 to 1000.
    public func history(
        with peer: ConversationPeer, after number: Int64, limit: Int = 100
    ) async throws -> ConversationHistory {
        let query = [(name: "limit", value: String(limit)), (name: "after", value: String(number))]
        return try await wire.call(Call("GET", "conversations", peer.description, query: query))
    }

    /// Says that a person has read everything up to an entry: its notifications go from all devices, and the peer
    /// hears of it.
    public func read(with peer: ConversationPeer, upTo number: Int64) async throws {
        let call = try Call("POST", "conversations", peer.description, "read").with(ReadRequest(upTo: number))
        try await wire.perform(call)
    }

    /// Tells the peer that something is being written, or not any more. Say `composing` again every few seconds while
    /// it goes on; it may be dropped.
    public func typing(_ state: TypingState, with peer: ConversationPeer) async throws {
        let call = try Call("POST", "conversations", peer.description, "typing").with(TypingRequest(state: state))
        try await wire.perform(call.once())
    }

    /// Gives a message that was sent a new text.
    /// - Parameter id: as `send` or an entry named it.
    /// - Throws: `too_late`, `withdrawn`.
    @discardableResult
    public func edit(_ id: String, _ body: String, subject: String? = nil) async throws -> HistoryEntry {
        try await wire.call(Call("PATCH", "messages", id).with(EditRequest(body: body, subject: subject)))
    }

    /// The conversation that a notification is about; nil where it is about none, such as mail.
    /// - Throws: `launch_expired` for a tap that is foreign or forged.
    public func conversation(ofTap tap: String) async throws -> ConversationPeer? {
        try await wire.call(Call("POST", "taps").with(TapRequest(tap: tap)), as: TapSubject.self).peer
    }

    /// Takes a message back that was sent.
    /// - Throws: `too_late`.
    public func withdraw(_ id: String) async throws { try await wire.perform(Call("DELETE", "messages", id)) }
}
