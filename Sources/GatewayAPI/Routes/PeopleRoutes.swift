internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Contacts, blocks and the own status (IM-8, IM-9).
    mutating func addPeople() {
        addContacts()
        let people = context.gateway.people
        deviceNow("GET", "/v1/blocks") { call in
            try Listing(call.request).page(people.blocks(of: call.account), id: \.peer.text, json: PeopleCodec.json)
        }
        device("PUT", "/v1/blocks/{account}") { call in
            try FieldReader(call.request, isOptional: true).finish()
            try await people.block(call.peer, by: call.account)
            return .empty()
        }
        device("DELETE", "/v1/blocks/{account}") { call in
            try await people.unblock(call.peer, by: call.account)
            return .empty()
        }
        deviceNow("GET", "/v1/status") { call in
            .json(PeopleCodec.json(of: people.status(of: call.account), seen: people.presence(of: call.account)))
        }
        device("PUT", "/v1/status") { call in
            let status = try await people.setStatus(of: call.account, try PeopleCodec.change(call.request))
            return .json(PeopleCodec.json(of: status, seen: people.present(call.account)))
        }
    }

    private mutating func addContacts() {
        let people = context.gateway.people
        deviceNow("GET", "/v1/contacts") { call in
            try Listing(call.request).page(people.contacts(of: call.account), id: \.peer.text) {
                people.json(of: $0, for: call.account)
            }
        }
        deviceNow("GET", "/v1/contacts/{account}") { call in
            guard let contact = people.contact(call.peer, of: call.account) else {
                throw GatewayError(.notFound, "there is no such contact")
            }
            return .json(people.json(of: contact, for: call.account))
        }
        device("PUT", "/v1/contacts/{account}") { call in
            try FieldReader(call.request, isOptional: true).finish()
            let contact = try await people.add(call.peer, to: call.account)
            return .json(people.json(of: contact, for: call.account))
        }
        device("DELETE", "/v1/contacts/{account}") { call in
            try await people.remove(call.peer, from: call.account)
            return .empty()
        }
    }
}

extension DeviceCall {
    /// The `{account}` of the path.
    fileprivate var peer: AccountID { AccountID(request.parameters["account"] ?? "") }
}

extension People {
    func json(of contact: Contact, for account: AccountID) -> JSON {
        PeopleCodec.json(
            of: contact, kind: kind(of: contact), presence: presence(of: contact.peer, for: account),
            isBlocked: hasBlocked(account, contact.peer))
    }
}
