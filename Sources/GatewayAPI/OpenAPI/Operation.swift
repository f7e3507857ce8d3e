internal import Base

/// One route in the document.
struct Operation {
    /// What a success carries.
    enum Content {
        case none
        /// A schema of the components.
        case json(String)
        case text(String)
    }

    let method: String
    let path: String
    let access: Access
    let summary: String
    var query: [String] = []
    /// The schema of the body; nil where none is read.
    var body: String?
    /// Whether the request may come without the body.
    var isBodyOptional = false
    let answers: [(status: Int, content: Content)]
    /// Statuses of problems that are this route's own, beside those that every route of its access has.
    var problems: [Int] = []

    var json: JSON {
        var object: JSONObject = ["summary": .string(summary), "operationId": .string(id)]
        object.append("security", security)
        let parameters = pathParameters + queryParameters
        if !parameters.isEmpty { object.append("parameters", .array(parameters)) }
        if let body {
            object.append(
                "requestBody",
                [
                    "required": .bool(!isBodyOptional),
                    "content": ["application/json": ["schema": Schema.named(body)]],
                ])
        }
        object.append("responses", .object(responses))
        return .object(object)
    }

    /// Such as `getV1DevicesId`: unique, because method and path are.
    private var id: String {
        let words = path.split { !$0.isLetter && !$0.isNumber }
        return method.lowercased() + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private var security: JSON {
        switch access {
        case .open: .array([])
        case .basic: [["account": .array([])]]
        case .device: [["device": .array([])], ["portal": .array([])]]
        case .party: [["device": .array([])], ["app": .array([])], ["portal": .array([])]]
        case .admin: [["admin": .array([])]]
        }
    }

    private var pathParameters: [JSON] {
        path.split(separator: "/").filter { $0.first == "{" }.map { segment in
            [
                "name": .string(segment.dropFirst().dropLast()), "in": "path", "required": true,
                "schema": Schema.string,
            ]
        }
    }

    private var queryParameters: [JSON] {
        query.map { name in
            let schema = name == "limit" ? Schema.integer(1...Listing.largestLimit) : Schema.string
            return ["name": .string(name), "in": "query", "schema": schema]
        }
    }

    private var responses: JSONObject {
        var responses = JSONObject()
        for (status, content) in answers {
            var answer: JSONObject = ["description": .string(Self.description(of: status))]
            switch content {
            case .none: break
            case .json(let name):
                answer.append("content", ["application/json": ["schema": Schema.named(name)]])
            case .text(let type): answer.append("content", .object([type: ["schema": Schema.string]]))
            }
            responses.append(String(status), .object(answer))
        }
        for status in allProblems {
            responses.append(String(status), ["$ref": .string("#/components/responses/Problem")])
        }
        return responses
    }

    private static func description(of status: Int) -> String {
        switch status {
        case 201: "Created"
        case 202: "Accepted"
        case 204: "Done; there is nothing to say"
        default: "Done"
        }
    }

    private var allProblems: [Int] {
        var statuses = Set(problems)
        if access != .open { statuses.formUnion([401, 403, 500, 503]) }
        if access == .device || access == .party || access == .basic { statuses.insert(429) }
        if body != nil { statuses.formUnion([400, 413]) }
        if !query.isEmpty { statuses.insert(400) }
        if path.contains("{id}") { statuses.insert(404) }
        return statuses.sorted()
    }
}
