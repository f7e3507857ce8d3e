internal import Base
internal import Inbound

/// Reads the fields of a request's JSON object: typed getters, and at the end every field nobody took is
/// refused. A field that is `null` counts as absent, except where `isNull` is asked.
struct FieldReader {
    private let object: JSONObject
    private let path: String
    private var known: [String] = []

    /// Reads a request's body.
    /// - Parameter isOptional: an empty body counts as `{}`.
    /// - Throws: `invalid_json`.
    init(_ request: InboundRequest, isOptional: Bool = false) throws(Problem) {
        if request.body.isEmpty, isOptional {
            self.init(JSONObject(), path: "")
        } else {
            self.init(try Self.object(of: request), path: "")
        }
    }

    /// The JSON object that a request's body is.
    /// - Throws: `invalid_json`.
    static func object(of request: InboundRequest) throws(Problem) -> JSONObject {
        guard !request.body.isEmpty else {
            throw Problem(400, "invalid_json", "The body is empty; send a JSON object.")
        }
        let json: JSON
        do throws(JSONError) {
            json = try JSONParser.parse(request.body)
        } catch {
            throw Problem(400, "invalid_json", "The body is not JSON: \(error.description).")
        }
        guard let object = json.object else {
            throw Problem(400, "invalid_json", "The body is \(json.kind); send a JSON object.")
        }
        return object
    }

    /// - Parameter path: where the object stands in the body; empty for the body itself.
    init(_ object: JSONObject, path: String) { (self.object, self.path) = (object, path) }

    private func path(of name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    /// A fault of the object as a whole.
    func fault(_ what: String) -> Problem { Problem(400, "invalid_field", "\(path): \(what)", field: path) }

    /// A fault of one field.
    func fault(_ name: String, _ what: String) -> Problem {
        let field = path(of: name)
        return Problem(400, "invalid_field", "\(field): \(what)", field: field)
    }

    /// The value of a field as it stands there; nil when it is absent or `null`.
    mutating func value(_ name: String) -> JSON? {
        known.append(name)
        guard let value = object[name], !value.isNull else { return nil }
        return value
    }

    /// Whether the field is there and says `null`.
    func isNull(_ name: String) -> Bool { object[name]?.isNull ?? false }

    private mutating func typed<T>(
        _ name: String, _ expected: String, _ get: (JSON) -> T?
    ) throws(Problem) -> T? {
        guard let value = value(name) else { return nil }
        guard let result = get(value) else { throw fault(name, "expected \(expected), found \(value.kind)") }
        return result
    }

    private func required<T>(_ name: String, _ value: T?) throws(Problem) -> T {
        guard let value else { throw fault(name, "is missing") }
        return value
    }

    mutating func optionalString(_ name: String) throws(Problem) -> String? { try typed(name, "a string", \.string) }
    mutating func string(_ name: String) throws(Problem) -> String { try required(name, try optionalString(name)) }

    mutating func optionalBool(_ name: String) throws(Problem) -> Bool? { try typed(name, "true or false", \.bool) }

    mutating func integer(_ name: String) throws(Problem) -> Int64 {
        try required(name, try typed(name, "an integer", \.integer))
    }

    /// A whole number within a range.
    mutating func optionalInteger(_ name: String, in range: ClosedRange<Int>) throws(Problem) -> Int? {
        guard let number = try typed(name, "an integer", \.integer) else { return nil }
        guard let value = Int(exactly: number), range.contains(value) else {
            throw fault(name, "expected \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A list of objects, each read by `body`.
    mutating func objects<T>(
        _ name: String, limit: Int, _ body: (inout FieldReader) throws(Problem) -> T
    ) throws(Problem) -> [T] {
        let items = try required(name, try typed(name, "an array of objects", \.array))
        guard (1...limit).contains(items.count) else { throw fault(name, "expected 1 to \(limit) of them") }
        return try objects(name, items, body)
    }

    /// A list of objects that may be absent or empty.
    mutating func optionalObjects<T>(
        _ name: String, limit: Int, _ body: (inout FieldReader) throws(Problem) -> T
    ) throws(Problem) -> [T]? {
        guard let items = try typed(name, "an array of objects", \.array) else { return nil }
        guard items.count <= limit else { throw fault(name, "expected at most \(limit) of them") }
        return try objects(name, items, body)
    }

    private func objects<T>(
        _ name: String, _ items: [JSON], _ body: (inout FieldReader) throws(Problem) -> T
    ) throws(Problem) -> [T] {
        var results: [T] = []
        results.reserveCapacity(items.count)
        for (index, item) in items.enumerated() {
            guard let object = item.object else {
                throw fault("\(name)[\(index)]", "expected an object, found \(item.kind)")
            }
            var reader = FieldReader(object, path: path(of: "\(name)[\(index)]"))
            results.append(try body(&reader))
            try reader.finish()
        }
        return results
    }

    mutating func optionalStrings(_ name: String) throws(Problem) -> [String]? {
        guard let items = try typed(name, "an array of strings", \.array) else { return nil }
        var texts: [String] = []
        for (index, item) in items.enumerated() {
            guard let text = item.string else {
                throw fault("\(name)[\(index)]", "expected a string, found \(item.kind)")
            }
            texts.append(text)
        }
        return texts
    }

    /// One of the raw values of an enumeration.
    mutating func optionalChoice<T: RawRepresentable & CaseIterable>(
        _ name: String, of type: T.Type = T.self
    ) throws(Problem) -> T? where T.RawValue == String {
        guard let text = try optionalString(name) else { return nil }
        if let choice = T(rawValue: text) { return choice }
        let all = T.allCases.map(\.rawValue)
        throw fault(
            name,
            "'\(text.printable)' is not one of \(all.joined(separator: ", "))" + Suggestion.text(for: text, among: all))
    }

    mutating func choice<T: RawRepresentable & CaseIterable>(
        _ name: String, of type: T.Type = T.self
    ) throws(Problem) -> T where T.RawValue == String {
        try required(name, try optionalChoice(name, of: type))
    }

    /// An object of names the caller chose, each with a string, or with an object of such: `{"a":{"b":"c"}}` is `c`
    /// under `a.b`, which may as well be written so.
    mutating func optionalSecrets(_ name: String) throws(Problem) -> [String: Secret]? {
        guard let members = try typed(name, "an object", \.object)?.members else { return nil }
        var secrets: [String: Secret] = [:]
        for member in members {
            let inner = member.value.object?.members.map { ("\(member.key).\($0.key)", $0.value) }
            for (key, value) in inner ?? [(member.key, member.value)] {
                guard let text = value.string else {
                    let expected = inner == nil ? "a string or an object of strings" : "a string"
                    throw fault("\(name).\(key.printable)", "expected \(expected), found \(value.kind)")
                }
                guard secrets.updateValue(Secret(text), forKey: key) == nil else {
                    throw fault("\(name).\(key.printable)", "is there twice")
                }
            }
        }
        return secrets
    }

    /// A nested object, read by `body`; nil when it is absent. Fields `body` did not take are refused.
    mutating func optionalObject<T>(
        _ name: String, _ body: (inout FieldReader) throws(Problem) -> T
    ) throws(Problem) -> T? {
        guard let object = try typed(name, "an object", \.object) else { return nil }
        var reader = FieldReader(object, path: path(of: name))
        let result = try body(&reader)
        try reader.finish()
        return result
    }

    mutating func object<T>(
        _ name: String, _ body: (inout FieldReader) throws(Problem) -> T
    ) throws(Problem) -> T {
        try required(name, try optionalObject(name, body))
    }

    /// - Throws: `unknown_field` for a field that was not asked for.
    func finish() throws(Problem) {
        guard let member = object.members.first(where: { !known.contains($0.key) }) else { return }
        let field = path(of: member.key.printable)
        throw Problem(
            400, "unknown_field",
            "There is no field '\(field)' here" + Suggestion.text(for: member.key, among: known), field: field)
    }
}
