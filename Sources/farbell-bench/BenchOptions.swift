internal import Base

/// Why a benchmark did not run to its end.
struct BenchError: Error, Sendable, CustomStringConvertible {
    let description: String
    var isUsage = false

    init(_ description: String, isUsage: Bool = false) { (self.description, self.isUsage) = (description, isUsage) }
}

/// The options of a benchmark: numbers, lists of numbers, and words, by name.
struct BenchOptions: Sendable {
    /// Small sizes that end within seconds: whether everything works, not how fast.
    let isQuick: Bool
    private let values: [String: String]

    /// - Throws: `BenchError` (usage) for what is not known.
    init(_ arguments: [String], known: Set<String>) throws {
        var values: [String: String] = [:]
        var isQuick = false
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--quick" {
                isQuick = true
                continue
            }
            guard argument.hasPrefix("--") else { throw BenchError("what is '\(argument)'?", isUsage: true) }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
            guard let name = parts.first, known.contains(name) else {
                throw BenchError(
                    "unknown option \(argument)"
                        + Suggestion.text(for: String(argument.dropFirst(2)), among: known.sorted()),
                    isUsage: true)
            }
            guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                throw BenchError("--\(name) needs a value", isUsage: true)
            }
            values[name] = value
        }
        (self.values, self.isQuick) = (values, isQuick)
    }

    /// A number of at least zero.
    /// - Throws: `BenchError` (usage).
    func number(_ name: String, _ usual: Int, quick: Int) throws -> Int {
        guard let text = values[name] else { return isQuick ? quick : usual }
        guard let number = Int(text), number >= 0 else { throw BenchError("--\(name) takes a number", isUsage: true) }
        return number
    }

    /// Any text.
    func text(_ name: String) -> String? { values[name] }

    /// Numbers with commas between them.
    /// - Throws: `BenchError` (usage).
    func numbers(_ name: String, _ usual: [Int], quick: [Int]) throws -> [Int] {
        guard let text = values[name] else { return isQuick ? quick : usual }
        return try text.split(separator: ",").map { word in
            guard let number = Int(word), number >= 0 else {
                throw BenchError("--\(name) takes numbers with commas between them", isUsage: true)
            }
            return number
        }
    }

    /// Words with commas between them, each one of those known.
    /// - Throws: `BenchError` (usage).
    func words(_ name: String, _ known: [String], quick: [String]) throws -> Set<String> {
        guard let text = values[name] else { return Set(isQuick ? quick : known) }
        let words = text.split(separator: ",").map(String.init)
        for word in words where !known.contains(word) {
            throw BenchError(
                "--\(name): unknown '\(word)'" + Suggestion.text(for: word, among: known), isUsage: true)
        }
        return Set(words)
    }
}
