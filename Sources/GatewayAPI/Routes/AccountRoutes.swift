internal import Base
internal import Gateway
internal import Inbound

extension RouteTable {
    /// Everything of one account: to take along, and to end.
    mutating func addAccount() {
        let gateway = context.gateway
        device("GET", "/v1/account/export") { call in
            .json(try await AccountExport(call.account, gateway).page(call.request))
        }
        basic("DELETE", "/v1/account") { _, account in
            try await gateway.deleteAccount(account.id)
            return .empty()
        }
        admin("GET", "/v1/admin/accounts/{id}/export") { call in
            let account = try gateway.knownAccount(call.id)
            return .json(try await AccountExport(account.id, gateway).page(call.request))
        }
    }
}

/// All that is kept of an account, without what opens doors: page by page, first what it has, then what was said in
/// each of its conversations.
struct AccountExport: Sendable {
    private let account: AccountID
    private let gateway: Gateway

    init(_ account: AccountID, _ gateway: Gateway) { (self.account, self.gateway) = (account, gateway) }

    private var owner: QueueAddress { .account(account) }

    /// Where a page ends: in a conversation, behind an entry; `.max`: at its end.
    private struct Position {
        var peer: String
        var entry: Int64

        init(peer: String, entry: Int64) { (self.peer, self.entry) = (peer, entry) }

        init?(_ text: String) {
            guard let at = text.firstIndex(of: "@"), let entry = Int64(text[..<at]), entry >= 0 else { return nil }
            self.init(peer: String(text[text.index(after: at)...]), entry: entry)
        }

        var text: String { "\(entry)@\(peer)" }
    }

    /// `{items,next}`: each item is an object with its `type`. The first page also has what the account has, beyond
    /// the limit.
    /// - Throws: a `Problem`, `not_found`, the store's failure.
    func page(_ request: InboundRequest) async throws -> JSON {
        let listing = try Listing(request)
        var position = Position(peer: "", entry: .max)
        var items: [JSON] = []
        if let after = listing.after {
            guard let asked = Position(after) else {
                throw Problem(400, "invalid_field", "after: expected the 'next' of the page before", field: "after")
            }
            position = asked
        } else {
            items = try belongings()
        }
        var room = listing.limit
        while room > 0 {
            if position.entry == .max {
                let next = try await gateway.conversations.named(of: owner, after: position.peer, limit: 1).first
                guard let next else { return answer(items, next: nil) }
                items.append(json(of: next))
                position = Position(peer: next.peer.description, entry: 0)
                room -= 1
            }
            guard let peer = QueueAddress(position.peer), room > 0 else { break }
            let entries = try await gateway.conversations.history(
                of: owner, with: peer, .after(position.entry), limit: room)
            items += entries.map { json(of: $0, peer) }
            position.entry = entries.count == room ? entries.last?.number ?? .max : .max
            room -= entries.count
        }
        return answer(items, next: position.text)
    }

    private func answer(_ items: [JSON], next: String?) -> JSON {
        ["items": .array(items), "next": next.map { .string($0) } ?? .null]
    }

    private func belongings() throws -> [JSON] {
        var items = [item("account", AccountCodec.json(of: try gateway.knownAccount(account.text)))]
        for device in gateway.devices.devices(of: account) {
            items.append(item("device", DeviceCodec.json(of: device, isConnected: false)))
        }
        for registration in gateway.registrations.registrations(of: account) {
            items.append(item("registration", gateway.json(of: registration)))
        }
        let people = gateway.people
        items.append(
            item("status", PeopleCodec.json(of: people.status(of: account), seen: people.presence(of: account))))
        for contact in people.contacts(of: account).sorted(by: { $0.peer < $1.peer }) {
            items.append(item("contact", people.json(of: contact, for: account)))
        }
        for block in people.blocks(of: account).sorted(by: { $0.peer < $1.peer }) {
            items.append(item("block", PeopleCodec.json(of: block)))
        }
        return items
    }

    private func item(_ type: String, _ json: JSON) -> JSON {
        var object: JSONObject = ["type": .string(type)]
        for member in json.object?.members ?? [] { object.append(member.key, member.value) }
        return .object(object)
    }

    private func json(of view: ConversationView) -> JSON {
        [
            "type": "conversation", "peer": .string(view.peer.description), "read": .integer(view.own.read),
        ]
    }

    private func json(of entry: HistoryEntry, _ peer: QueueAddress) -> JSON {
        var object: JSONObject = ["type": "message", "peer": .string(peer.description)]
        for member in ConversationCodec.json(of: entry).object?.members ?? [] {
            object.append(member.key, member.value)
        }
        return .object(object)
    }
}
