internal import Base
internal import Gateway
internal import Inbound

/// Contacts, blocks and presence in JSON.
enum PeopleCodec {
    /// What others see of an account.
    static func add(_ presence: AccountPresence, to object: inout JSONObject) {
        object.append("status", .string(presence.state.rawValue))
        if let text = presence.text { object.append("text", .string(text)) }
        if let lastSeen = presence.lastSeen { object.append("lastSeen", .timestamp(lastSeen)) }
    }

    /// A line of a contact list. Of whoever has not agreed nothing is said.
    static func json(
        of contact: Contact, kind: Account.Kind?, presence: AccountPresence, isBlocked: Bool
    ) -> JSON {
        var object: JSONObject = [
            "account": .string(contact.peer.text), "state": .string(contact.state.rawValue),
            "blocked": .bool(isBlocked), "since": .timestamp(contact.since),
        ]
        if let kind { object.append("kind", .string(kind.rawValue)) }
        add(presence, to: &object)
        return .object(object)
    }

    static func json(of block: Block) -> JSON {
        ["account": .string(block.peer.text), "since": .timestamp(block.since)]
    }

    /// An account's own status, with what others see of it now.
    static func json(of status: OwnStatus, seen: AccountPresence) -> JSON {
        var object: JSONObject = ["status": .string(status.word.rawValue)]
        if let text = status.text { object.append("text", .string(text)) }
        object.append("fromSessions", .bool(status.fromSessions))
        object.append("showLastSeen", .bool(status.showsLastSeen))
        object.append("tellApps", .bool(status.tellsApps))
        object.append("seenAs", .string(seen.state.rawValue))
        return .object(object)
    }

    /// Reads `PUT /v1/status`: one of the words, or words of one's own.
    static func change(_ request: InboundRequest) throws(Problem) -> OwnStatusChange {
        var reader = try FieldReader(request)
        var change = OwnStatusChange()
        if let status = try reader.optionalString("status") {
            change.word = OwnStatus.Word(rawValue: status)
            if change.word == nil {
                guard !status.isEmpty else { throw reader.fault("status", "is empty") }
                (change.word, change.text) = (.online, status)
            }
        }
        if let text = try reader.optionalString("text") { change.text = text }
        change.fromSessions = try reader.optionalBool("fromSessions")
        change.showsLastSeen = try reader.optionalBool("showLastSeen")
        change.tellsApps = try reader.optionalBool("tellApps")
        try reader.finish()
        return change
    }
}
