internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Messages as their senders and readers see them: send, peek, trace, read, reply (MN-10, MN-11, TT-2 to TT-8).
    mutating func addMessages() {
        addSending()
        party("GET", "/v1/messages") { call in
            let listing = try Listing(call.request, filters: ["queue"])
            let queue = try call.queue(listing.filter("queue"))
            // One more than asked for shows whether there is a next page.
            let messages = try await call.gateway.messages.peek(
                queue.address, after: try listing.afterNumber(), limit: listing.limit + 1)
            return .json(bytes: MessageCodec.page(messages, limit: listing.limit, MessageCodec.writeView))
        }
        party("GET", "/v1/messages/{id}") { call in
            let key = try MessageKey(requested: call.id)
            let (message, deliveries) = try await call.gateway.postmaster.trace(key, for: call.party)
            let state = call.gateway.mailroom.state(of: key)
            return .json(MessageCodec.trace(of: message, state: state, deliveries))
        }
        device("POST", "/v1/messages/{id}/read") { call in
            let key = try MessageKey(requested: call.id)
            try FieldReader(call.request, isOptional: true).finish()
            if let address = call.gateway.mailroom.address(of: key.queue),
                !call.gateway.postmaster.mayTake(address, .device(call.device))
            {
                throw GatewayError(.forbidden, "the message '\(key)' was not sent to you")
            }
            try await call.gateway.messages.read(key, by: call.device)
            return .empty()
        }
        device("POST", "/v1/taps") { call in
            var reader = try FieldReader(call.request)
            let tap = try reader.string("tap")
            try reader.finish()
            let key = try call.gateway.launches.message(of: tap, for: call.device)
            let peer = try await call.gateway.conversations.peer(of: key, for: call.account)
            var answer: JSONObject = ["message": .string(key.description)]
            if let peer { answer.append("peer", .string(peer.description)) }
            return .json(.object(answer), headers: ["Cache-Control": "no-store"])
        }
        // Typed into a notification, which knows its tap and nothing of messages (IM-12).
        device("POST", "/v1/replies") { call in
            var reader = try FieldReader(call.request)
            let tap = try reader.string("tap")
            var order = SendOrder(to: [])
            (order.body, order.id) = (Array(try reader.string("body").utf8), try reader.optionalString("id"))
            try reader.finish()
            let key = try call.gateway.launches.message(of: tap, for: call.device)
            let sent = try await call.gateway.postmaster.reply(to: key, order, by: .device(call.device))
            do {
                try await call.gateway.messages.read(key, by: call.device)
            } catch let error as GatewayError where error.code == .notFound {
                // It was read or taken before.
            }
            return .json(bytes: SendCodec.answer(sent), status: 202)
        }
        party("POST", "/v1/messages/{id}/reply") { call in
            let (key, _) = try call.takenKey()
            let order = try call.sendOrder(isReply: true)
            let sent = try await call.gateway.postmaster.reply(to: key, order, by: call.party)
            return .json(bytes: SendCodec.answer(sent), status: 202)
        }
    }

    private mutating func addSending() {
        partyChoosing("POST", "/v1/messages") { call in
            let order = try call.sendOrder()
            let (postmaster, postings) = (
                call.gateway.postmaster, try call.gateway.postmaster.prepare(order, by: call.party)
            )
            guard postings.allSatisfy({ !$0.to.address.isStreamed }) else {
                return .later { .json(bytes: SendCodec.answer(try await postmaster.send(postings)), status: 202) }
            }
            return call.whenDone { reply in
                try postmaster.sendToApps(postings) { result in
                    reply.finish(result) { .json(bytes: SendCodec.answer($0), status: 202) }
                }
            }
        }
        partyChoosing("POST", "/v1/messages/batch") { call in
            let batch = try SendBatch(call)
            guard batch.isForApps else { return .later { try await batch.send() } }
            return call.whenDone { reply in batch.sendToApps(reply) }
        }
    }
}

extension PartyCall {
    /// What the caller wants sent.
    /// - Throws: a `Problem`.
    func sendOrder(isReply: Bool = false) throws(Problem) -> SendOrder {
        try checked(try SendCodec.order(request, isReply: isReply))
    }

    /// What any caller may ask for is in `Postmaster`; this is how callers differ.
    func checked(_ order: SendOrder) throws(Problem) -> SendOrder {
        if order.from != nil, party.device == nil {
            throw Problem(400, "invalid_field", "from: an app speaks for itself; leave it out", field: "from")
        }
        return order
    }
}
