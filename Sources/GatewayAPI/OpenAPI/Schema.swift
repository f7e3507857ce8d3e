internal import Base

/// Builds the schemas of the document (JSON Schema 2020-12, as OpenAPI 3.1 uses it).
enum Schema {
    static let string: JSON = ["type": "string"]
    static let integer: JSON = ["type": "integer"]
    static let boolean: JSON = ["type": "boolean"]
    /// RFC 3339, UTC, with milliseconds.
    static let time: JSON = ["type": "string", "format": "date-time"]
    static let nullableString: JSON = ["type": ["string", "null"]]

    static func string(_ description: String) -> JSON {
        ["type": "string", "description": .string(description)]
    }

    static func integer(_ range: ClosedRange<Int>) -> JSON {
        ["type": "integer", "minimum": .integer(range.lowerBound), "maximum": .integer(range.upperBound)]
    }

    /// One of these words.
    static func words(_ words: [String]) -> JSON { ["type": "string", "enum": .strings(words)] }

    static func words<T: RawRepresentable & CaseIterable>(_ type: T.Type) -> JSON where T.RawValue == String {
        words(type.allCases.map(\.rawValue))
    }

    /// A value that never changes.
    static func constant(_ word: String) -> JSON { ["type": "string", "const": .string(word)] }

    static func array(_ items: JSON) -> JSON { ["type": "array", "items": items] }

    static func array(_ items: JSON, atMost limit: Int, _ description: String) -> JSON {
        [
            "type": "array", "items": items, "maxItems": .integer(limit), "description": .string(description),
        ]
    }

    /// Names the caller chose, each with a string.
    static let stringMap: JSON = ["type": "object", "additionalProperties": ["type": "string"]]

    /// The fields that the app names (`App.monitor.credentials`). One with a dot in its name stands in an object:
    /// `oauth.clientId` is `{"oauth":{"clientId":"…"}}`.
    static let credentials: JSON = [
        "type": "object", "additionalProperties": oneOf(string, stringMap),
        "description": .string(
            "By the names of App.monitor.credentials; oauth.clientId is {\"oauth\":{\"clientId\":\"...\"}}"),
    ]

    static func oneOf(_ schemas: JSON...) -> JSON { ["oneOf": .array(schemas)] }

    /// A schema of the document's components.
    static func named(_ name: String) -> JSON { ["$ref": .string("#/components/schemas/\(name)")] }

    /// An object with these fields and no others; a name that ends in `?` is optional.
    static func object(_ fields: KeyValuePairs<String, JSON>) -> JSON {
        object(fields.map { ($0.key, $0.value) })
    }

    static func object(_ fields: [(String, JSON)]) -> JSON {
        var properties = JSONObject()
        var required: [String] = []
        for (name, schema) in fields {
            let isOptional = name.hasSuffix("?")
            let plain = isOptional ? String(name.dropLast()) : name
            properties.append(plain, schema)
            if !isOptional { required.append(plain) }
        }
        var object: JSONObject = ["type": "object", "properties": .object(properties)]
        if !required.isEmpty { object.append("required", .strings(required)) }
        object.append("additionalProperties", false)
        return .object(object)
    }

    /// One page of a list.
    static func page(_ name: String) -> JSON {
        object(["items": array(named(name)), "next": nullableString])
    }
}
