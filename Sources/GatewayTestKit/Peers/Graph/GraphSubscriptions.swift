internal import Base

/// The subscriptions of a `FakeGraph`, with Graph's rules for them (learn.microsoft.com/graph/api/resources/subscription).
/// It makes no calls itself: tests hand `notification` to the monitor.
struct GraphSubscriptions {
    struct Entry {
        let clientState: String
        var end: Timestamp
    }

    /// The least that Graph ever allowed for messages, in minutes.
    static let longestMinutes: Int64 = 4230

    var entries: [String: Entry] = [:]
    var counts = FakeGraph.SubscriptionCounts()
    var isRefusing = false
    private var lastID = 0

    /// The answer to a request below `/v1.0/subscriptions`.
    /// - Throws: `GraphViolation` for what Graph would not take.
    mutating func answer(
        _ request: PeerRequest, id: String?, now: Timestamp
    ) throws(GraphViolation) -> (Int, JSON) {
        entries = entries.filter { $0.value.end > now }
        if isRefusing { return (403, .object(["error": .object(["code": .string("ExtensionError")])])) }
        if request.method == "DELETE", let id {
            guard entries.removeValue(forKey: id) != nil else { return missing }
            counts.ended += 1
            return (204, .null)
        }
        guard request.headers["Content-Type"] == "application/json", let json = try? JSONParser.parse(request.body),
            let end = json["expirationDateTime"]?.string.flatMap({ Timestamp($0) }), end > now,
            end - now <= .seconds(Self.longestMinutes * 60)
        else { throw GraphViolation("the subscription's end") }
        switch (request.method, id) {
        case ("PATCH", let id?):
            guard json.object?.members.count == 1 else { throw GraphViolation("a renewal of more than the end") }
            guard entries[id] != nil else { return missing }
            entries[id]?.end = end
            counts.renewed += 1
            return (200, .object(["id": .string(id), "expirationDateTime": .string("\(end)")]))
        case ("POST", nil): return (201, try make(json, until: end))
        default: throw GraphViolation("\(request.method) of subscriptions")
        }
    }

    private var missing: (Int, JSON) { (404, .object(["error": .object(["code": .string("ResourceNotFound")])])) }

    private mutating func make(_ json: JSON, until end: Timestamp) throws(GraphViolation) -> JSON {
        let resources = ["me", "users/\(FakeGraph.mailbox)"].map { "\($0)/mailFolders('inbox')/messages" }
        guard json["changeType"]?.string == "created,updated,deleted",
            resources.contains(json["resource"]?.string ?? ""),
            json["notificationUrl"]?.string?.hasPrefix("https://") == true,
            json["lifecycleNotificationUrl"]?.string?.hasPrefix("https://") == true,
            let secret = json["clientState"]?.string, (16...128).contains(secret.utf8.count)
        else { throw GraphViolation("the subscription") }
        lastID += 1
        let id = "7f105c7d-2dc5-4530-97cd-\(lastID)"
        entries[id] = Entry(clientState: secret, end: end)
        counts.made += 1
        return .object(["id": .string(id), "expirationDateTime": .string("\(end)")])
    }
}

/// What a request has wrong.
struct GraphViolation: Error {
    let text: String
    init(_ text: String) { self.text = text }
}

extension FakeGraph {
    /// What became of subscriptions so far.
    package struct SubscriptionCounts: Sendable, Hashable {
        package var made = 0
        package var renewed = 0
        package var ended = 0

        package init(made: Int = 0, renewed: Int = 0, ended: Int = 0) {
            (self.made, self.renewed, self.ended) = (made, renewed, ended)
        }
    }

    /// The body of a call about a subscription.
    /// - Parameters:
    ///   - lifecycle: such as `missed`; nil for a new message.
    ///   - clientState: nil for the right one.
    package func notification(of id: String, lifecycle: String? = nil, clientState: String? = nil) -> [UInt8] {
        var entry: JSONObject = [
            "subscriptionId": .string(id), "clientState": .string(clientState ?? self.clientState(of: id) ?? ""),
            "tenantId": "84bd8158-6d4d-4958-8b9f-9d6445542f95",
        ]
        if let lifecycle {
            entry.append("lifecycleEvent", .string(lifecycle))
        } else {
            entry.append("changeType", "created")
        }
        return JSON.object(["value": .array([.object(entry)])]).serializedBytes
    }
}
