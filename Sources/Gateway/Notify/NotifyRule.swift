package import Base

/// What becomes of items whose sender or title holds certain words. Of a registration's rules the first that fits
/// decides.
package struct NotifyRule: Sendable, Hashable {
    package enum Outcome: String, Sendable, CaseIterable {
        /// It neither rings nor counts, as if it had been read.
        case ignore
        /// It rings with this priority.
        case low
        case normal
        case high
    }

    /// Rules of one registration, and bytes of the longest words.
    package static let limit = 50
    package static let lengths = 1...320

    /// Words of the sender's name or address, without regard to case; nil: any sender.
    package let from: String?
    /// Words of the title, likewise.
    package let title: String?
    package let outcome: Outcome

    package init(from: String?, title: String?, then outcome: Outcome) {
        (self.from, self.title, self.outcome) = (from, title, outcome)
    }

    package func fits(_ item: Item) -> Bool {
        if let from, !Self.holds(item.sender, from), !Self.holds(item.senderAddress, from) { return false }
        return title.map { Self.holds(item.title, $0) } ?? true
    }

    private static func holds(_ text: String?, _ words: String) -> Bool {
        text?.lowercased().contains(words.lowercased()) ?? false
    }
}

extension [NotifyRule] {
    func outcome(of item: Item) -> NotifyRule.Outcome? { first { $0.fits(item) }?.outcome }

    /// Reads `[{"from":"…","title":"…","then":"ignore"}]`, where one of `from` and `title` may be missing.
    /// - Throws: `invalid_field`.
    package init(json: JSON) throws(GatewayError) {
        guard let items = json.array, items.count <= NotifyRule.limit else {
            throw .invalid("notify.rules", "expected a list of at most \(NotifyRule.limit) rules")
        }
        self = []
        for (index, item) in items.enumerated() { append(try Self.rule(item, "notify.rules[\(index)]")) }
    }

    private static func rule(_ json: JSON, _ place: String) throws(GatewayError) -> NotifyRule {
        guard let object = json.object, Set(object.keys).isSubset(of: ["from", "title", "then"]),
            let outcome = object["then"]?.string.flatMap(NotifyRule.Outcome.init)
        else { throw .invalid(place, "expected {from?,title?,then:\"ignore\"|\"low\"|\"normal\"|\"high\"}") }
        for name in ["from", "title"] {
            guard let value = object[name] else { continue }
            guard let text = value.string, NotifyRule.lengths.contains(text.utf8.count) else {
                throw .invalid("\(place).\(name)", "expected 1 to 320 bytes")
            }
        }
        let (from, title) = (object["from"]?.string, object["title"]?.string)
        if from == nil && title == nil { throw .invalid(place, "give 'from', 'title', or both") }
        return NotifyRule(from: from, title: title, then: outcome)
    }

    package var json: JSON {
        .array(
            map { rule in
                var object = JSONObject()
                if let from = rule.from { object.append("from", .string(from)) }
                if let title = rule.title { object.append("title", .string(title)) }
                object.append("then", .string(rule.outcome.rawValue))
                return .object(object)
            })
    }
}
