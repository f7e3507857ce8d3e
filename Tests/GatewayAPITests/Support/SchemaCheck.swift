import Base

/// A small validator for what the document's schemas use (JSON Schema 2020-12). What it does not know is a fault,
/// so that no word of a schema goes unchecked.
struct SchemaCheck {
    private let document: JSON
    private static let known: Set<String> = [
        "type", "properties", "required", "additionalProperties", "items", "enum", "const", "oneOf", "$ref", "format",
        "minimum", "maximum", "maxItems", "description",
    ]

    init(_ document: JSON) { self.document = document }

    /// What is wrong with a value; empty when it fits.
    func faults(_ value: JSON, _ schema: JSON, at path: String = "$") -> [String] {
        guard let keywords = schema.object else { return ["\(path): the schema is no object"] }
        var faults = keywords.keys.filter { !Self.known.contains($0) }.map { "\(path): unknown keyword \($0)" }
        if let reference = schema["$ref"]?.string {
            guard let target = resolve(reference) else { return faults + ["\(path): \(reference) does not exist"] }
            faults += self.faults(value, target, at: path)
        }
        faults += typeFaults(value, schema, path)
        if let words = schema["enum"]?.array, !words.contains(value) { faults.append("\(path): not one of the words") }
        if let constant = schema["const"], constant != value { faults.append("\(path): not the constant") }
        if schema["format"]?.string == "date-time", !isTime(value) { faults.append("\(path): no time: \(value)") }
        if let number = value.number {
            if let least = schema["minimum"]?.number, number < least { faults.append("\(path): below the minimum") }
            if let most = schema["maximum"]?.number, number > most { faults.append("\(path): above the maximum") }
        }
        if let choices = schema["oneOf"]?.array {
            let fitting = choices.count { self.faults(value, $0, at: path).isEmpty }
            if fitting != 1 { faults.append("\(path): fits \(fitting) of the choices") }
        }
        if let most = schema["maxItems"]?.integer, value.array?.count ?? 0 > Int(most) {
            faults.append("\(path): too many")
        }
        if let items = schema["items"] {
            for (index, item) in (value.array ?? []).enumerated() {
                faults += self.faults(item, items, at: "\(path)[\(index)]")
            }
        }
        return faults + memberFaults(value, schema, path)
    }

    func resolve(_ reference: String) -> JSON? {
        guard reference.hasPrefix("#/") else { return nil }
        return reference.dropFirst(2).split(separator: "/").reduce(document as JSON?) { $0?[String($1)] }
    }

    private func typeFaults(_ value: JSON, _ schema: JSON, _ path: String) -> [String] {
        guard let type = schema["type"] else { return [] }
        let wanted = type.string.map { [$0] } ?? type.array?.compactMap(\.string) ?? []
        let actual =
            switch value.value {
            case .null: ["null"]
            case .bool: ["boolean"]
            case .integer: ["integer", "number"]
            case .number: ["number"]
            case .string: ["string"]
            case .array: ["array"]
            case .object: ["object"]
            }
        return Set(wanted).isDisjoint(with: actual) ? ["\(path): \(value.kind), not \(wanted)"] : []
    }

    private func memberFaults(_ value: JSON, _ schema: JSON, _ path: String) -> [String] {
        guard let object = value.object else { return [] }
        var faults: [String] = []
        for name in schema["required"]?.array ?? [] where object[name.string ?? ""] == nil {
            faults.append("\(path): \(name.string ?? "") is missing")
        }
        for member in object.members {
            let place = "\(path).\(member.key)"
            if let property = schema["properties"]?[member.key] {
                faults += self.faults(member.value, property, at: place)
            } else if let others = schema["additionalProperties"] {
                if others.bool == false { faults.append("\(place): is not in the schema") }
                if others.object != nil { faults += self.faults(member.value, others, at: place) }
            }
        }
        return faults
    }

    /// RFC 3339 in UTC with milliseconds, as the API promises.
    private func isTime(_ value: JSON) -> Bool {
        guard let text = value.string, let time = Timestamp(text) else { return false }
        return time.description == text && text.utf8.count == 24 && text.hasSuffix("Z")
    }
}
