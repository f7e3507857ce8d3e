internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Stored messages: peek, trace, read (MN-10, MN-11).
    mutating func addMessages() {
        let gateway = context.gateway
        device("GET", "/v1/messages") { call in
            let listing = try Listing(call.request, filters: ["queue"])
            let address = try gateway.queue(listing.filter("queue"), of: call.account)
            // One more than asked for shows whether there is a next page.
            let messages = try await gateway.messages.peek(
                address, after: try listing.afterNumber(), limit: listing.limit + 1)
            let page = messages.prefix(listing.limit)
            let next = messages.count > listing.limit ? page.last.map { String($0.key.seq) } : nil
            return Listing.answer(page.map(MessageCodec.view), next: next)
        }
        device("GET", "/v1/messages/{id}") { call in
            let key = try MessageKey(requested: call.id)
            let (message, deliveries) = try await gateway.messages.trace(key)
            return .json(MessageCodec.trace(of: message, deliveries))
        }
        device("POST", "/v1/messages/{id}/read") { call in
            let key = try MessageKey(requested: call.id)
            try FieldReader(call.request, isOptional: true).finish()
            try await gateway.messages.read(key, by: call.device)
            return .empty()
        }
    }
}

extension Gateway {
    /// The queue a request names: the account's own without a name.
    /// - Throws: `invalid_field`, `not_found`, `forbidden`.
    fileprivate func queue(_ name: String?, of account: AccountID) throws(GatewayError) -> QueueAddress {
        guard let name else { return .account(account) }
        guard let address = QueueAddress(name) else {
            throw .invalid("queue", "expected account/NAME, device/ID or app/ID")
        }
        switch address {
        case .account(let id) where id == account: return address
        case .account(let id): throw accounts.account(id) == nil ? unknown(address) : foreign(address)
        case .device(let id):
            _ = try device(id, of: account)
            return address
        case .app(let id): throw registrations.app(id) == nil ? unknown(address) : foreign(address)
        }
    }

    private func unknown(_ address: QueueAddress) -> GatewayError {
        GatewayError(.notFound, "there is no queue '\(address)'", field: "queue")
    }

    private func foreign(_ address: QueueAddress) -> GatewayError {
        GatewayError(.forbidden, "the queue '\(address)' is not the account's", field: "queue")
    }
}
