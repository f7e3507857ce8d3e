/// A JSON value (RFC 8259) and, where it was parsed, the place it stood at.
package struct JSON: Sendable, Hashable {
    package enum Content: Sendable, Hashable {
        case null
        case bool(Bool)
        case integer(Int64)
        case number(Double)
        case string(String)
        case array([JSON])
        case object(JSONObject)
    }

    package var value: Content
    /// Byte offset in the text it was parsed from; -1 for a value made in code. Not part of equality.
    package var offset: Int = -1

    package init(_ value: Content, offset: Int = -1) {
        self.value = value
        self.offset = offset
    }

    package static func == (a: JSON, b: JSON) -> Bool { a.value == b.value }
    package func hash(into hasher: inout Hasher) { hasher.combine(value) }

    package static let null = JSON(.null)
    package static func bool(_ value: Bool) -> JSON { JSON(.bool(value)) }
    /// A whole number; one beyond `Int64` becomes the nearest floating-point number.
    package static func integer(_ value: some BinaryInteger) -> JSON {
        JSON(Int64(exactly: value).map(Content.integer) ?? .number(Double(value)))
    }
    package static func number(_ value: Double) -> JSON { JSON(.number(value)) }
    package static func string(_ value: some StringProtocol) -> JSON { JSON(.string(String(value))) }
    package static func array(_ value: [JSON]) -> JSON { JSON(.array(value)) }
    package static func object(_ value: JSONObject) -> JSON { JSON(.object(value)) }
    package static func strings(_ value: some Sequence<String>) -> JSON { .array(value.map { .string($0) }) }
    package static func timestamp(_ value: Timestamp) -> JSON { .string(value.description) }

    /// A member of an object; nil when this is no object or has no such member.
    package subscript(_ key: String) -> JSON? { object?[key] }
    /// An element of an array; nil when this is no array or is too short.
    package subscript(_ index: Int) -> JSON? {
        guard let array, array.indices.contains(index) else { return nil }
        return array[index]
    }

    package var string: String? { if case .string(let text) = value { text } else { nil } }
    package var bool: Bool? { if case .bool(let flag) = value { flag } else { nil } }
    package var array: [JSON]? { if case .array(let items) = value { items } else { nil } }
    package var object: JSONObject? { if case .object(let object) = value { object } else { nil } }
    package var isNull: Bool { if case .null = value { true } else { false } }
    /// A whole number, also when it was written as `1.0` or `1e3`.
    package var integer: Int64? {
        switch value {
        case .integer(let number): number
        case .number(let number): Int64(exactly: number)
        default: nil
        }
    }
    package var number: Double? {
        switch value {
        case .integer(let number): Double(number)
        case .number(let number): number
        default: nil
        }
    }

    /// What kind of value this is, for error messages.
    package var kind: String {
        switch value {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }
}

/// The members of a JSON object in the order they were written. Look-up walks them: objects in
/// Farbell's documents are small. For a large map build a dictionary once.
package struct JSONObject: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    package struct Member: Sendable, Hashable {
        package var key: String
        package var value: JSON
        /// Byte offset of the key; -1 for one made in code.
        package var keyOffset: Int = -1

        package static func == (a: Member, b: Member) -> Bool { a.key == b.key && a.value == b.value }
        package func hash(into hasher: inout Hasher) {
            hasher.combine(key)
            hasher.combine(value)
        }
    }

    package var members: [Member]

    package init(members: [Member] = []) { self.members = members }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        members = elements.map { Member(key: $0.0, value: $0.1) }
    }

    package var keys: [String] { members.map(\.key) }

    package subscript(_ key: String) -> JSON? {
        get { members.first { $0.key == key }?.value }
        set {
            if let index = members.firstIndex(where: { $0.key == key }) {
                if let newValue { members[index].value = newValue } else { members.remove(at: index) }
            } else if let newValue {
                members.append(Member(key: key, value: newValue))
            }
        }
    }

    /// Adds a member without looking for one of the same name: for building answers.
    package mutating func append(_ key: String, _ value: JSON) { members.append(Member(key: key, value: value)) }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    package init(stringLiteral value: String) { self.init(.string(value)) }
    package init(integerLiteral value: Int64) { self.init(.integer(value)) }
    package init(booleanLiteral value: Bool) { self.init(.bool(value)) }
    package init(floatLiteral value: Double) { self.init(.number(value)) }
    package init(arrayLiteral elements: JSON...) { self.init(.array(elements)) }
    package init(dictionaryLiteral elements: (String, JSON)...) {
        self.init(.object(JSONObject(members: elements.map { .init(key: $0.0, value: $0.1) })))
    }
    package init(nilLiteral: ()) { self.init(.null) }
}
