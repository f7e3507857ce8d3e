/// One fault in a configuration file, with the place and the cure.
package struct ConfigProblem: Error, Sendable, Hashable, CustomStringConvertible {
    /// The configuration file, as it was named to the program.
    package let file: String
    /// Where in the file the faulty key or value starts.
    package let position: TextPosition
    /// The way to the value, such as `push.apple.keyFile`; empty for the document itself.
    package let path: String
    /// What is wrong, in one line; never the value of a secret.
    package let message: String

    package init(file: String, position: TextPosition, path: String, message: String) {
        (self.file, self.position, self.path, self.message) = (file, position, path, message)
    }

    /// `FILE:LINE:COLUMN: path: message`
    package var description: String {
        "\(file):\(position): " + (path.isEmpty ? "" : "\(path): ") + message
    }
}

/// Every fault found in a configuration, so that one run shows all of them.
package struct ConfigError: Error, Sendable, CustomStringConvertible {
    /// Sorted by place.
    package let problems: [ConfigProblem]
    package init(problems: [ConfigProblem]) { self.problems = problems }
    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// A configuration text, what was found wrong in it so far, and where its relative paths start.
package final class ConfigDocument: Sendable {
    /// More problems than this are not kept: nobody reads them.
    package static let problemLimit = 200

    /// The name of the file, for messages.
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
        folder = FileSystem.folder(of: file)
    }

    /// What was found wrong so far, in the order it was found.
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

    /// Records a fault at a byte offset, once.
    func report(path: String, offset: Int, _ message: String) {
        collected.withLock { problems in
            guard problems.count < Self.problemLimit else { return }
            let problem = ConfigProblem(
                file: file, position: TextPosition(of: offset, in: text), path: path.printable,
                message: message)
            if !problems.contains(problem) { problems.append(problem) }
        }
    }

    func environmentValue(_ name: String) -> String? { environment[name] }

    /// A path as the process can open it: relative ones start at `folder`.
    package func resolve(_ path: String) -> String {
        path.hasPrefix("/") ? path : folder == "/" ? "/\(path)" : "\(folder)/\(path)"
    }
}

/// "Did you mean …?"
package enum Suggestion {
    /// `; did you mean 'x'?` for the closest candidate within three edits (and fewer than the word
    /// has letters), else an empty text. Words of more than 64 letters are nobody's slip.
    package static func text(for word: String, among candidates: some Sequence<String>) -> String {
        guard word.utf8.count <= 64 else { return "" }
        let best = candidates.map { (name: $0, distance: distance(word.lowercased(), $0.lowercased())) }
            .filter { $0.distance < min(4, word.count) }
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
