internal import Base

/// What ntfy demands of a request (its server's source and docs.ntfy.sh/publish).
enum NtfyRules {
    struct Refusal: Error {
        /// ntfy's own number; its first three digits are the status.
        let code: Int
        let message: String

        init(_ code: Int, _ message: String) { (self.code, self.message) = (code, message) }

        var status: Int { code / 100 }
        var body: [UInt8] {
            JSON.object(["code": .integer(code), "http": .integer(status), "error": .string(message)]).serializedBytes
        }
    }

    private static let fields: Set<String> = [
        "topic", "message", "title", "priority", "tags", "click", "sequence_id",
    ]

    /// The message of a request that publishes in JSON. A real server ignores fields it does not know; here one
    /// would be a mistake of ours.
    static func message(
        _ request: PeerRequest, _ configuration: FakeNtfy.Configuration
    ) throws(Refusal) -> FakeNtfy.Message {
        guard request.headers["Content-Type"] == "application/json" else { throw Refusal(40_024, "Content-Type") }
        guard request.body.count <= 2 * configuration.messageLimit else { throw Refusal(41_303, "JSON body too large") }
        guard let object = (try? JSONParser.parse(request.body))?.object else { throw Refusal(40_017, "no JSON") }
        guard Set(object.keys).isSubset(of: fields), Set(object.keys).count == object.keys.count else {
            throw Refusal(40_017, "an unknown or doubled field")
        }
        guard let topic = object["topic"]?.string, isName(topic) else { throw Refusal(40_009, "topic invalid") }
        guard topic != "docs", topic != "static", topic != "v1", topic != "settings" else {
            throw Refusal(40_010, "topic name is disallowed")
        }
        let message = try text("message", object) ?? ""
        guard message.utf8.count <= configuration.messageLimit else {
            // The real one makes an attachment of it, which nobody wants.
            throw Refusal(41_301, "attachment too large")
        }
        let priority = object["priority"].map { $0.integer } ?? 3
        guard let priority, (1...5).contains(priority) else { throw Refusal(40_007, "invalid priority parameter") }
        let tags = object["tags"].map { $0.array?.compactMap(\.string) ?? [""] } ?? []
        guard tags.allSatisfy({ !$0.isEmpty && !$0.contains(",") }) else { throw Refusal(40_017, "tags") }
        let sequence = try text("sequence_id", object)
        if let sequence, !isName(sequence) { throw Refusal(40_017, "sequence id invalid") }
        let click = try text("click", object)
        if let click, (try? WebAddress(click)) == nil { throw Refusal(40_017, "click") }
        return FakeNtfy.Message(
            topic: topic, sequence: sequence, title: try text("title", object), message: message,
            priority: Int(priority), tags: tags, click: click, authorization: request.headers["Authorization"],
            received: request.received)
    }

    /// `/TOPIC/SEQUENCE/clear`.
    static func clear(_ path: String) -> FakeNtfy.Clear? {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 4, parts[0].isEmpty, isName(parts[1]), isName(parts[2]), parts[3] == "clear" else {
            return nil
        }
        return FakeNtfy.Clear(topic: parts[1], sequence: parts[2])
    }

    static func authorize(
        _ request: PeerRequest, topic: String, _ configuration: FakeNtfy.Configuration
    ) throws(Refusal) {
        if let given = request.headers["Authorization"] {
            guard given.hasPrefix("Bearer "), configuration.tokens.contains(String(given.dropFirst(7))) else {
                throw Refusal(40_101, "unauthorized")
            }
        } else if !configuration.tokens.isEmpty {
            throw Refusal(40_301, "forbidden")
        }
        if configuration.readOnly.contains(topic) { throw Refusal(40_301, "forbidden") }
    }

    private static func text(_ name: String, _ object: JSONObject) throws(Refusal) -> String? {
        guard let value = object[name] else { return nil }
        guard let text = value.string, !text.isEmpty else { throw Refusal(40_017, "\(name) is no text") }
        return text
    }

    private static func isName(_ text: String) -> Bool { text.wholeMatch(of: #/[-_A-Za-z0-9]{1,64}/#) != nil }
}
