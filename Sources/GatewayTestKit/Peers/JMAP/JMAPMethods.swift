internal import Base

/// The methods of a `FakeJMAP`.
enum JMAPMethods {
    private struct Fault: Error { let type: String }

    private static let roles = ["inbox", "sent", "drafts", "junk", "trash"]

    /// Answers the calls of one request, with references to earlier answers (RFC 8620 section 3.7).
    static func answer(_ calls: [JSON], _ state: inout FakeJMAP.State) -> [JSON] {
        var answers: [JSON] = []
        for call in calls {
            let (name, id) = (call[0]?.string ?? "", call[2] ?? .null)
            do throws(Fault) {
                let arguments = try resolved(call[1]?.object ?? [:], answers)
                guard arguments["accountId"]?.string == FakeJMAP.account else { throw Fault(type: "accountNotFound") }
                answers.append([.string(name), try method(name, arguments, state), id])
            } catch {
                answers.append(["error", ["type": .string(error.type)], id])
            }
        }
        return answers
    }

    private static func resolved(_ arguments: JSONObject, _ answers: [JSON]) throws(Fault) -> JSONObject {
        var result = JSONObject()
        for member in arguments.members {
            guard member.key.hasPrefix("#") else {
                result.append(member.key, member.value)
                continue
            }
            let reference = member.value
            let source = answers.first { $0[2] == reference["resultOf"] }
            guard let source, source[0] == reference["name"], let path = reference["path"]?.string,
                let value = source[1]?[String(path.dropFirst())]
            else { throw Fault(type: "invalidResultReference") }
            result.append(String(member.key.dropFirst()), value)
        }
        return result
    }

    private static func method(
        _ name: String, _ arguments: JSONObject, _ state: FakeJMAP.State
    ) throws(Fault) -> JSON {
        switch name {
        case "Mailbox/get":
            let list = roles.map { role -> JSON in
                ["id": .string("m-\(role)"), "name": .string(role.uppercased()), "role": .string(role)]
            }
            return ["state": "1", "list": .array(list), "notFound": []]
        case "Email/get": return try get(arguments, state)
        case "Email/changes": return try changes(arguments, state)
        case "Email/query": return try query(arguments, state)
        default: throw Fault(type: "unknownMethod")
        }
    }

    private static func get(_ arguments: JSONObject, _ state: FakeJMAP.State) throws(Fault) -> JSON {
        guard let ids = arguments["ids"]?.array?.compactMap(\.string), ids.count <= 250,
            let properties = arguments["properties"]?.array?.compactMap(\.string)
        else { throw Fault(type: "invalidArguments") }
        let known: Set<String> = [
            "id", "threadId", "mailboxIds", "keywords", "receivedAt", "from", "subject", "preview", "messageId",
        ]
        guard known.isSuperset(of: properties) else { throw Fault(type: "invalidArguments") }
        let wanted = Set(ids)
        let found = state.emails.filter { wanted.contains($0.id) }
        let missing = wanted.subtracting(found.map(\.id)).sorted()
        return [
            "state": .string("\(state.version)"), "list": .array(found.map { json($0, properties) }),
            "notFound": .strings(missing),
        ]
    }

    private static func json(_ email: FakeJMAP.Email, _ properties: [String]) -> JSON {
        var keywords = JSONObject()
        for keyword in email.keywords.sorted() { keywords.append(keyword, true) }
        var mailboxes = JSONObject()
        mailboxes.append("m-\(email.mailbox)", true)
        let all: JSONObject = [
            "id": .string(email.id), "threadId": .string("t-\(email.id)"),
            "mailboxIds": .object(mailboxes),
            "keywords": .object(keywords), "receivedAt": .string("\(email.received.description.prefix(19))Z"),
            "from": [["name": "Anna Example", "email": "anna@example.org"]], "subject": .string(email.subject),
            "preview": "The text.", "messageId": [.string(email.messageID)],
        ]
        return .object(JSONObject(members: all.members.filter { properties.contains($0.key) }))
    }

    private static func changes(_ arguments: JSONObject, _ state: FakeJMAP.State) throws(Fault) -> JSON {
        guard let since = arguments["sinceState"]?.string.flatMap({ Int($0) }), since <= state.version else {
            throw Fault(type: "cannotCalculateChanges")
        }
        guard since >= state.oldest else { throw Fault(type: "cannotCalculateChanges") }
        let limit = Int(arguments["maxChanges"]?.integer ?? 1000)
        guard limit > 0 else { throw Fault(type: "invalidArguments") }
        // In the order they happened, so that a part of them has a state of its own.
        var events: [(at: Int, id: String, kind: String)] = []
        for email in state.emails where email.changed > since {
            events.append((email.changed, email.id, email.created > since ? "created" : "updated"))
        }
        for gone in state.destroyed where gone.at > since && gone.created <= since {
            events.append((gone.at, gone.id, "destroyed"))
        }
        events.sort { ($0.at, $0.id) < ($1.at, $1.id) }
        let part = events.prefix(limit)
        let hasMore = part.count < events.count
        func ids(_ kind: String) -> JSON { .strings(part.filter { $0.kind == kind }.map(\.id)) }
        return [
            "oldState": .string("\(since)"),
            "newState": .string("\(hasMore ? part.last?.at ?? since : state.version)"),
            "hasMoreChanges": .bool(hasMore), "created": ids("created"), "updated": ids("updated"),
            "destroyed": ids("destroyed"),
        ]
    }

    private static func query(_ arguments: JSONObject, _ state: FakeJMAP.State) throws(Fault) -> JSON {
        guard let filter = arguments["filter"]?.object,
            Set(filter.keys).isSubset(of: ["inMailbox", "after", "notKeyword"]),
            let mailbox = filter["inMailbox"]?.string, let after = filter["after"]?.string.flatMap({ Timestamp($0) }),
            let keyword = filter["notKeyword"]?.string
        else { throw Fault(type: "unsupportedFilter") }
        let found = state.emails.filter {
            "m-\($0.mailbox)" == mailbox && $0.received >= after && !$0.keywords.contains(keyword)
        }.sorted { $0.received > $1.received }.prefix(Int(arguments["limit"]?.integer ?? 50))
        return ["queryState": "1", "ids": .strings(found.map(\.id)), "position": 0]
    }
}
