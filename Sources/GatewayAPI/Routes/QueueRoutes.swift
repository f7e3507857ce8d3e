internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Consumers: receive, lock, and what nobody could accept (PL-1 to PL-6, PL-14).
    mutating func addQueue() {
        partyChoosing("POST", "/v1/messages/receive") { call in
            let order = try ReceiveOrder(call)
            return call.whenDone { reply in
                if order.deferred.isEmpty { order.receive(reply) } else { try order.receiveDeferred(reply) }
            }
        }
        partyChoosing("POST", "/v1/messages/{id}/lock") { call in
            let (key, queue) = try call.lockable()
            return call.whenDone { reply in
                do throws(QueueMachine.Unavailable) {
                    try call.gateway.mailroom.lock(key, queue) { result in
                        reply.finish(result) { handed in
                            guard let first = handed.first else { throw GatewayError.noMessage(key) }
                            return .json(bytes: MessageCodec.handedOver(first))
                        }
                    }
                } catch {
                    throw GatewayError.unavailable(key, error)
                }
            }
        }
        party("GET", "/v1/dead") { call in
            let listing = try Listing(call.request, filters: ["queue"])
            let queue = try call.queue(listing.filter("queue"))
            let messages = try await call.gateway.messages.peek(
                queue.address, state: .dead, after: try listing.afterNumber(), limit: listing.limit + 1)
            return .json(bytes: MessageCodec.page(messages, limit: listing.limit, MessageCodec.writeDead))
        }
        party("POST", "/v1/dead/{id}/redrive") { call in
            let (key, _) = try call.takenKey()
            try FieldReader(call.request, isOptional: true).finish()
            try await call.gateway.mailroom.redrive(key)
            return .json(bytes: SettleCodec.settled(key, .ready))
        }
    }
}

extension PartyCall {
    /// What `POST /v1/messages/{id}/lock` asks for.
    fileprivate func lockable() throws -> (key: MessageKey, order: TakeOrder) {
        let (key, address) = try takenKey()
        var reader = try FieldReader(request, isOptional: true)
        let name = try reader.optionalString("queue")
        let seconds = try reader.optionalInteger("lockSeconds", in: ReceiveOrder.lockSeconds)
        try reader.finish()
        let queue = try queue(name ?? address.description)
        guard queue.address == address else { throw GatewayError.noMessage(key) }
        var order = TakeOrder(queue, consumer: party.name)
        if let seconds { order.lock = .seconds(seconds) }
        return (key, order)
    }
}

extension GatewayError.Code {
    /// The message is there, but cannot be locked now.
    static let notAvailable = Self("not_available", .conflict)
    /// The lock has ended, or was never the caller's.
    static let lockLost = Self("lock_lost", .conflict)
}

extension GatewayError {
    static func noMessage(_ key: MessageKey) -> GatewayError {
        GatewayError(.notFound, "there is no message '\(key)' in the queue")
    }

    static func unavailable(_ key: MessageKey, _ reason: QueueMachine.Unavailable) -> GatewayError {
        switch reason {
        case .unknown: noMessage(key)
        case .state(let state): GatewayError(.notAvailable, "the message '\(key)' is \(state.rawValue)")
        case .group: GatewayError(.notAvailable, "another message of its group comes before '\(key)'")
        }
    }
}
