/// One fault in a configuration file, with the place and the cure.
package struct ConfigProblem: Error, Sendable, Hashable, CustomStringConvertible {
    package let file: String
    package let position: TextPosition
    /// The way to the value, such as `push.apple.keyFile`; empty for the document itself.
    package let path: String
    package let message: String

    /// `FILE:LINE:COLUMN: path: message`
    package var description: String {
        "\(file):\(position): " + (path.isEmpty ? "" : "\(path): ") + message
    }
}

/// Every fault found in a configuration, so that one run shows all of them.
package struct ConfigError: Error, Sendable, CustomStringConvertible {
    package let problems: [ConfigProblem]
    package init(problems: [ConfigProblem]) { self.problems = problems }
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// A configuration text, what was found wrong in it so far, and where its relative paths start.
package final class ConfigDocument: Sendable {
    package let file: String
    /// The folder that relative paths in the document refer to.
    package let folder: String
    private let text: [UInt8]
    private let environment: [String: String]
    private let collected = Locked<[ConfigProblem]>([])

    /// - Parameter environment: where `{"env":"NAME"}` secrets are looked up.
    package init(file: String, text: [UInt8], environment: [String: String]) {
        self.file = file
        self.text = text
        self.environment = environment
        folder = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
    }

    package var problems: [ConfigProblem] { collected.withLock { $0 } }

    /// Reads the document with `body`, which takes what it needs from the reader.
    /// - Throws: `ConfigError` with all problems, sorted by place, if there is any.
    package func read<Result>(_ body: (ConfigReader) -> Result) throws(ConfigError) -> Result {
        let json: JSON
        do throws(JSONError) {
            json = try JSONParser.parse(text)
        } catch {
            report(path: "", offset: error.offset, error.message)
            throw ConfigError(problems: problems)
        }
        let reader = ConfigReader(document: self, path: "", json: json)
        let result = body(reader)
        reader.finish()
        guard problems.isEmpty else {
            throw ConfigError(
                problems: problems.sorted {
                    ($0.position.line, $0.position.column) < ($1.position.line, $1.position.column)
                })
        }
        return result
    }

    fileprivate func report(path: String, offset: Int, _ message: String) {
        let problem = ConfigProblem(
            file: file, position: TextPosition(of: offset, in: text), path: path, message: message)
        collected.withLock { $0.append(problem) }
    }

    fileprivate func environmentValue(_ name: String) -> String? { environment[name] }

    /// A path as the process can open it.
    package func resolve(_ path: String) -> String { path.hasPrefix("/") ? path : "\(folder)/\(path)" }
}

/// A cursor on one object of a configuration. Each getter takes one key; `finish()` reports keys
/// nobody took. A fault is recorded and a harmless value returned, so that reading goes on and all
/// faults are shown at once; what was read is used only if there was none.
package final class ConfigReader {
    package let document: ConfigDocument
    package let path: String
    private let object: JSONObject
    private let offset: Int
    private var known: Set<String> = []

    fileprivate init(document: ConfigDocument, path: String, json: JSON) {
        (self.document, self.path, self.offset) = (document, path, json.offset)
        if let object = json.object {
            self.object = object
        } else {
            self.object = JSONObject()
            document.report(path: path, offset: json.offset, "expected an object, found \(json.kind)")
        }
    }

    private func path(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Records a fault of one key's value, or of the object when `key` is nil.
    package func report(_ key: String?, _ message: String) {
        let place = key.flatMap { object[$0] }?.offset ?? offset
        document.report(path: key.map(path(of:)) ?? path, offset: place, message)
    }

    /// The raw value of a key; a JSON null counts as absent.
    package func value(_ key: String) -> JSON? {
        known.insert(key)
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

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

    private func required<T>(_ key: String, _ found: T?, _ placeholder: T) -> T {
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

    private func nonEmpty(_ key: String, _ text: String) -> String {
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
    package func optionalInteger(_ key: String, in range: ClosedRange<Int>) -> Int? {
        guard let number = typed(key, "an integer", { $0.integer.map(Int.init) }) else { return nil }
        guard range.contains(number) else {
            report(key, "\(number) is out of range; allowed is \(range.lowerBound) to \(range.upperBound)")
            return nil
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
        guard let text = optionalString(key) else { return fallback }
        guard let choice = T(rawValue: text) else {
            let all = T.allCases.map(\.rawValue)
            report(
                key, "'\(text)' is not one of \(all.joined(separator: ", "))" + Suggestion.text(for: text, among: all))
            return fallback
        }
        return choice
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

    /// A URL with one of the schemes and a host; the text is returned without a trailing slash.
    package func url(_ key: String, schemes: [String], default fallback: String? = nil) -> String {
        let text = fallback == nil ? string(key) : string(key, default: fallback)
        guard has(key), !text.isEmpty else { return text }
        let parts = text.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[1].hasPrefix("//"), parts[1].count > 2 else {
            report(key, "expected a URL such as \(schemes[0])://host")
            return text
        }
        if !schemes.contains(parts[0].lowercased()) {
            report(key, "the scheme '\(parts[0])' is not one of \(schemes.joined(separator: ", "))")
        }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
    package func optionalURL(_ key: String, schemes: [String]) -> String? {
        has(key)
            ? url(key, schemes: schemes)
            : {
                _ = value(key); return nil
            }()
    }

    /// A file path, resolved against the document's folder.
    package func file(_ key: String) -> String { document.resolve(string(key)) }
    package func optionalFile(_ key: String) -> String? { optionalString(key).map(document.resolve) }

    /// A secret: `{"file":"…"}` or `{"env":"…"}`, never the value itself. A final line feed of a
    /// file is not part of the secret.
    package func secret(_ key: String) -> Secret {
        required(key, optionalSecret(key), Secret(""))
    }
    package func optionalSecret(_ key: String) -> Secret? {
        guard let value = value(key) else { return nil }
        guard value.object != nil else {
            report(key, "a secret is given as {\"file\":\"…\"} or {\"env\":\"…\"}, never as the value itself")
            return Secret("")
        }
        let reader = ConfigReader(document: document, path: path(of: key), json: value)
        defer { reader.finish() }
        if let file = reader.optionalFile("file") {
            guard var bytes = FileSystem.contents(of: file, limit: 1 << 20) else {
                reader.report("file", "cannot read the file '\(file)': \(FileSystem.lastError)")
                return Secret("")
            }
            while bytes.last == 0x0A || bytes.last == 0x0D { bytes.removeLast() }
            if bytes.isEmpty { reader.report("file", "the file '\(file)' is empty") }
            return Secret(bytes: bytes)
        }
        if let name = reader.optionalString("env") {
            guard let text = document.environmentValue(name), !text.isEmpty else {
                reader.report("env", "the environment variable '\(name)' is not set")
                return Secret("")
            }
            return Secret(text)
        }
        reader.report(nil, "expected 'file' or 'env'")
        return Secret("")
    }

    /// A nested object, read by `body`; nil when absent. Keys `body` did not take are reported.
    package func object<T>(_ key: String, _ body: (ConfigReader) -> T) -> T? {
        guard let value = value(key) else { return nil }
        let reader = ConfigReader(document: document, path: path(of: key), json: value)
        defer { reader.finish() }
        return body(reader)
    }

    /// A map from names the user chose to objects, in the order written.
    package func map<T>(_ key: String, _ body: (String, ConfigReader) -> T?) -> [(name: String, value: T)] {
        object(key) { reader in
            reader.keys.compactMap { name in
                guard Self.isName(name) else {
                    _ = reader.value(name)
                    reader.report(name, "a name has 1 to 64 letters, digits, '-', '_' and '.'")
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

    /// Reports every key that nobody took.
    package func finish() {
        for member in object.members where !known.contains(member.key) {
            document.report(
                path: path(of: member.key), offset: member.keyOffset,
                "unknown key '\(member.key)'" + Suggestion.text(for: member.key, among: known))
        }
    }
}

/// "Did you mean …?"
package enum Suggestion {
    /// `; did you mean 'x'?` for the closest candidate within three edits (and fewer than the word
    /// has letters), else an empty text.
    package static func text(for word: String, among candidates: some Sequence<String>) -> String {
        let best = candidates.map { (name: $0, distance: distance(word.lowercased(), $0.lowercased())) }
            .filter { $0.distance < min(4, max(2, word.count)) }
            .min { ($0.distance, $0.name) < ($1.distance, $1.name) }
        return best.map { "; did you mean '\($0.name)'?" } ?? ""
    }

    /// Insertions, deletions and replacements between two words (Levenshtein).
    static func distance(_ a: String, _ b: String) -> Int {
        let (a, b) = (Array(a), Array(b))
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let replaced = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(replaced, row[j] + 1, row[j + 1] + 1)
            }
        }
        return row[b.count]
    }
}
