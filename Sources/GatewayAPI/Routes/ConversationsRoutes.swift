internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Conversations (IM-3, IM-4, IM-6, IM-10) of an account, by its devices, and of an application, by its key.
    mutating func addConversations() {
        let gateway = context.gateway
        party("GET", "/v1/conversations") { call in
            let listing = try Listing(call.request)
            let before = try listing.afterNumber()
            let views = try await gateway.conversations.list(
                of: call.end, before: before == 0 ? .max : before, limit: listing.limit + 1)
            return .json(
                bytes: ConversationCodec.page(views, limit: listing.limit, name: gateway.conversations.name))
        }
        party("GET", "/v1/conversations/{peer}") { call in
            let (range, limit) = try HistoryRange.asked(call.request)
            let peer = try call.peer()
            let view = try await gateway.conversations.view(of: call.end, with: peer)
            let entries = try await gateway.conversations.history(of: call.end, with: peer, range, limit: limit + 1)
            return .json(bytes: ConversationCodec.history(view, entries, range, limit: limit))
        }
        party("POST", "/v1/conversations/{peer}/read") { call in
            var reader = try FieldReader(call.request)
            let number = try reader.integer("upTo")
            guard number >= 0 else { throw reader.fault("upTo", "expected an entry's number") }
            try reader.finish()
            try await gateway.conversations.read(
                call.end, with: try call.peer(), upTo: number, by: call.party.device?.id)
            return .empty()
        }
        party("POST", "/v1/conversations/{peer}/typing") { call in
            var reader = try FieldReader(call.request)
            let state = try reader.choice("state", of: TypingState.self)
            try reader.finish()
            gateway.conversations.typing(state, from: call.end, to: try call.peer())
            return .empty()
        }
        party("PATCH", "/v1/messages/{id}") { call in
            var reader = try FieldReader(call.request)
            let (subject, body) = (try reader.optionalString("subject"), try reader.string("body"))
            try reader.finish()
            if let subject, subject.utf8.count > SendOrder.subjectLimit {
                throw reader.fault("subject", "at most \(SendOrder.subjectLimit) bytes")
            }
            try call.takeChange()
            let entry = try await gateway.conversations.edit(
                try MessageKey(requested: call.id), by: call.end, subject: subject, body: Array(body.utf8))
            return .json(bytes: ConversationCodec.bytes(of: entry))
        }
        party("DELETE", "/v1/messages/{id}") { call in
            try call.takeChange()
            try await gateway.conversations.withdraw(try MessageKey(requested: call.id), by: call.end)
            return .empty()
        }
    }
}

extension PartyCall {
    /// The end of conversations that the caller speaks for.
    var end: QueueAddress { party.queue }

    /// Counts an edit or a withdrawal of an account's. Applications are trusted with as many as they have requests.
    /// - Throws: `rate_limited`.
    func takeChange() throws(GatewayError) {
        guard let account = party.account else { return }
        let now = gateway.time.now
        guard let wait = context.changes.withLock({ $0.take(account.text, now: now) }) else { return }
        throw GatewayError(
            .rateLimited, "the account edits and withdraws more than two messages a second",
            retryAfterSeconds: Int(wait.wholeSeconds) + 1)
    }

    /// The other end, which the path names.
    /// - Throws: `not_found`.
    func peer() throws(GatewayError) -> QueueAddress {
        try gateway.conversations.peer(request.parameters["peer"] ?? "", of: end)
    }
}

extension HistoryRange {
    /// What `?before=`, `?after=` and `?limit=` ask for: the newest without a word.
    /// - Throws: `unknown_field`, `invalid_field`.
    static func asked(_ request: InboundRequest) throws(Problem) -> (range: HistoryRange, limit: Int) {
        let listing = try Listing(request, filters: ["before"])
        guard let text = listing.filter("before") else {
            let isAfter = listing.after != nil
            return (isAfter ? .after(try listing.afterNumber()) : .before(.max), listing.limit)
        }
        guard listing.after == nil else {
            throw Problem(400, "invalid_field", "before: give it or after, not both", field: "before")
        }
        guard let number = Int64(text), number >= 0 else {
            throw Problem(400, "invalid_field", "before: expected an entry's number", field: "before")
        }
        return (.before(number), listing.limit)
    }
}
