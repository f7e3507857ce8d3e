internal import Base
internal import Inbound

/// A request for a part of a list: `?limit=&after=`, and the filters the route knows.
struct Listing {
    /// Items of a page: the most, and without a word.
    static let largestLimit = 1000
    static let defaultLimit = 100

    let limit: Int
    /// The `next` of the page before.
    let after: String?
    private let filters: [String: String]

    /// - Parameter filters: further names the query may have.
    /// - Throws: `unknown_field`, `invalid_field`.
    init(_ request: InboundRequest, filters known: [String] = []) throws(Problem) {
        var values: [String: String] = [:]
        let names = ["limit", "after"] + known
        for item in request.query {
            guard names.contains(item.name) else {
                throw Problem(
                    400, "unknown_field",
                    "There is no parameter '\(item.name.printable)' here"
                        + Suggestion.text(for: item.name, among: names),
                    field: item.name.printable)
            }
            values[item.name] = values[item.name] ?? item.value
        }
        limit = try Self.limit(values["limit"])
        after = values["after"]
        filters = values
    }

    private static func limit(_ text: String?) throws(Problem) -> Int {
        guard let text else { return defaultLimit }
        guard let limit = Int(text), (1...largestLimit).contains(limit) else {
            throw Problem(400, "invalid_field", "limit: expected 1 to \(largestLimit)", field: "limit")
        }
        return limit
    }

    func filter(_ name: String) -> String? { filters[name] }

    /// `after` as a number; 0 without one.
    /// - Throws: `invalid_field`.
    func afterNumber() throws(Problem) -> Int64 {
        guard let after else { return 0 }
        guard let number = Int64(after), number >= 0 else {
            throw Problem(400, "invalid_field", "after: expected the 'next' of the page before", field: "after")
        }
        return number
    }

    /// One page of a list, in the order of the items' ids.
    func page<Item>(_ items: [Item], id: (Item) -> String, json: (Item) -> JSON) -> InboundResponse {
        let sorted = items.map { (id: id($0), item: $0) }.sorted { $0.id < $1.id }
        let rest = after.map { after in Array(sorted.drop { $0.id <= after }) } ?? sorted
        let page = rest.prefix(limit)
        return Self.answer(page.map { json($0.item) }, next: rest.count > limit ? page.last?.id : nil)
    }

    static func answer(_ items: [JSON], next: String?) -> InboundResponse {
        .json(["items": .array(items), "next": next.map { .string($0) } ?? .null])
    }
}
