/// A cursor on one object of a configuration. Each getter takes one key; `finish()` reports keys
/// nobody took. A fault is recorded and a harmless value returned, so that reading goes on and all
/// faults are shown at once; what was read is used only if there was none.
package final class ConfigReader {
    package let document: ConfigDocument
    /// The way to this object, such as `push.apple`; empty for the document itself.
    package let path: String
    private let object: JSONObject
    private let offset: Int
    private var known: Set<String> = []
    private var isFinished = false

    init(document: ConfigDocument, path: String, json: JSON) {
        (self.document, self.path, self.offset) = (document, path, json.offset)
        if let object = json.object {
            self.object = object
        } else {
            self.object = JSONObject()
            document.report(path: path, offset: json.offset, "expected an object, found \(json.kind)")
        }
    }

    func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Records a fault of one key's value, or of the object when `key` is nil.
    /// The message is one line and never shows a secret's value.
    package func report(_ key: String?, _ message: String) {
        let place = key.flatMap { object[$0] }?.offset ?? offset
        document.report(path: key.map(path(of:)) ?? path, offset: place, message)
    }

    /// Records a fault of a key itself, at its place.
    private func reportKey(_ key: String, _ message: String) {
        let place = object.members.first { $0.key == key }?.keyOffset ?? offset
        document.report(path: path(of: key), offset: place, message)
    }

    /// The raw value of a key; a JSON null counts as absent.
    package func value(_ key: String) -> JSON? {
        known.insert(key)
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    /// Whether the key is there and not null; does not count as taking it.
    package func has(_ key: String) -> Bool { object[key].map { !$0.isNull } ?? false }

    /// All keys of the object, in the order written: for maps whose keys the user chooses.
    package var keys: [String] { object.keys }

    private func typed<T>(_ key: String, _ expected: String, _ convert: (JSON) -> T?) -> T? {
        guard let value = value(key) else { return nil }
        guard let converted = convert(value) else {
            report(key, "expected \(expected), found \(value.kind)")
            return nil
        }
        return converted
    }

    func required<T>(_ key: String, _ found: T?, _ placeholder: T) -> T {
        if let found { return found }
        if !has(key) { report(nil, "the key '\(key)' is missing") }
        return placeholder
    }

    /// A string (optional).
    package func optionalString(_ key: String) -> String? { typed(key, "a string", \.string) }
    /// A string, required unless there is a default.
    package func string(_ key: String, default fallback: String? = nil) -> String {
        let found = optionalString(key)
        return fallback.map { found ?? $0 } ?? nonEmpty(key, required(key, found, ""))
    }

    func nonEmpty(_ key: String, _ text: String) -> String {
        if text.isEmpty, has(key), object[key]?.string != nil { report(key, "must not be empty") }
        return text
    }

    /// A boolean.
    package func bool(_ key: String, default fallback: Bool) -> Bool { typed(key, "true or false", \.bool) ?? fallback }

    /// A whole number within a range.
    package func integer(_ key: String, in range: ClosedRange<Int>, default fallback: Int? = nil) -> Int {
        let found = optionalInteger(key, in: range)
        return fallback.map { found ?? $0 } ?? required(key, found, range.lowerBound)
    }
    /// A whole number within a range (optional).
    package func optionalInteger(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let number = typed(key, "an integer", { $0.integer.map(Int.init) }) else { return nil }
        guard range.contains(number) else {
            report(key, "\(number) is out of range; allowed is \(range.lowerBound) to \(range.upperBound)")
            return nil
        }
        return number
    }

    /// A number within a range.
    package func number(_ key: String, in range: ClosedRange<Double>, default fallback: Double) -> Double {
        guard let number = typed(key, "a number", \.number) else { return fallback }
        guard range.contains(number) else {
            report(key, "\(number) is out of range; allowed is \(range.lowerBound) to \(range.upperBound)")
            return fallback
        }
        return number
    }

    /// A whole number of seconds within a range, as a duration.
    package func seconds(_ key: String, in range: ClosedRange<Int>, default fallback: Int) -> Duration {
        .seconds(integer(key, in: range, default: fallback))
    }

    /// One of the raw values of an enumeration.
    package func choice<T: RawRepresentable & CaseIterable>(_ key: String, default fallback: T) -> T
    where T.RawValue == String {
        optionalChoice(key) ?? fallback
    }
    /// One of the raw values of an enumeration (optional).
    package func optionalChoice<T: RawRepresentable & CaseIterable>(_ key: String, of type: T.Type = T.self) -> T?
    where T.RawValue == String {
        guard let text = optionalString(key) else { return nil }
        if let choice = T(rawValue: text) { return choice }
        let all = T.allCases.map(\.rawValue)
        report(
            key,
            "'\(text.printable)' is not one of \(all.joined(separator: ", "))" + Suggestion.text(for: text, among: all))
        return nil
    }

    /// A list of strings; absent means the default.
    package func strings(_ key: String, default fallback: [String] = []) -> [String] {
        guard let items = typed(key, "an array", \.array) else { return fallback }
        return items.enumerated().compactMap { index, item in
            if let text = item.string { return text }
            document.report(
                path: "\(path(of: key))[\(index)]", offset: item.offset, "expected a string, found \(item.kind)")
            return nil
        }
    }

    /// A file path, resolved against the document's folder.
    package func file(_ key: String) -> String { document.resolve(string(key)) }
    /// A file path (optional), resolved against the document's folder.
    package func optionalFile(_ key: String) -> String? {
        optionalString(key).map { document.resolve(nonEmpty(key, $0)) }
    }

    /// A nested object, read by `body`; nil when absent. Keys `body` did not take are reported.
    package func object<T>(_ key: String, _ body: (ConfigReader) -> T) -> T? {
        guard let value = value(key) else { return nil }
        let reader = ConfigReader(document: document, path: path(of: key), json: value)
        defer { reader.finish() }
        return body(reader)
    }

    /// A list of objects, each read by `body`; absent means none. Keys `body` did not take are reported.
    package func objects<T>(_ key: String, _ body: (ConfigReader) -> T) -> [T] {
        let items = typed(key, "an array", \.array) ?? []
        return items.enumerated().map { index, item in
            let reader = ConfigReader(document: document, path: "\(path(of: key))[\(index)]", json: item)
            defer { reader.finish() }
            return body(reader)
        }
    }

    /// A map from names the user chose to strings, in the order written.
    package func stringMap(_ key: String) -> [(name: String, value: String)] {
        object(key) { reader in
            reader.keys.compactMap { name in reader.optionalString(name).map { (name: name, value: $0) } }
        } ?? []
    }

    /// A map from names the user chose to objects, in the order written.
    package func map<T>(_ key: String, _ body: (String, ConfigReader) -> T?) -> [(name: String, value: T)] {
        object(key) { reader in
            reader.keys.compactMap { name in
                guard Self.isName(name) else {
                    reader.known.insert(name)
                    reader.reportKey(name, "a name has 1 to 64 letters, digits, '-', '_' and '.'")
                    return nil
                }
                return reader.object(name) { body(name, $0) }?.map { (name: name, value: $0) }
            }
        } ?? []
    }

    /// Whether a text may name an app, a farm or a push service.
    package static func isName(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    /// Names keys that belong to someone else, such as a plugin, so that `finish` does not report them.
    package func ignore(_ keys: some Sequence<String>) { known.formUnion(keys) }

    /// Reports every key that nobody took; a second call reports nothing more.
    package func finish() {
        guard !isFinished else { return }
        isFinished = true
        for key in object.keys where !known.contains(key) {
            reportKey(key, "unknown key '\(key.printable)'" + Suggestion.text(for: key, among: known))
        }
    }
}
