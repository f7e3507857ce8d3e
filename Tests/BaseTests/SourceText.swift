import Base
import Glibc

/// The repository these tests were compiled from.
enum Repository {
    /// Its folder.
    static let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(
        separator: "/")

    /// Paths, from the root, of all files below a folder; none if there is no such folder.
    static func files(in folder: String, suffix: String = "") -> [String] {
        TemporaryFolder.names(in: "\(root)/\(folder)").flatMap { name -> [String] in
            let path = "\(folder)/\(name)"
            if FileSystem.isFolder("\(root)/\(path)") { return files(in: path, suffix: suffix) }
            return name.hasSuffix(suffix) ? [path] : []
        }
    }

    /// Names of the folders directly in a folder.
    static func folders(in folder: String) -> [String] {
        TemporaryFolder.names(in: "\(root)/\(folder)").filter { FileSystem.isFolder("\(root)/\(folder)/\($0)") }
    }

    static func exists(_ path: String) -> Bool { FileSystem.exists("\(root)/\(path)") }

    static func isExecutable(_ path: String) -> Bool { unsafe access("\(root)/\(path)", X_OK) == 0 }

    static func text(of path: String) -> String {
        FileSystem.contents(of: "\(root)/\(path)", limit: 10 << 20).map { String(decoding: $0, as: UTF8.self) } ?? ""
    }
}

/// Swift source with its comments and, apart from them, its string literals taken out: good enough to
/// search for words, not to compile.
struct SourceText: Sendable {
    /// Without comments.
    let code: String
    /// Without comments and without what stands between quotes.
    let codeOutsideStrings: String

    private enum State {
        case code
        case lineComment
        case blockComment(depth: Int)
        case string(quote: [UInt8])
    }

    private static let quotes = ["#\"\"\"", "\"\"\"", "##\"", "#\"", "\""].map { Array($0.utf8) }

    init(_ source: String) {
        let text = Array(source.utf8)
        var (all, outside): ([UInt8], [UInt8]) = ([], [])
        var state = State.code
        var index = 0
        func stands(_ word: [UInt8]) -> Bool { text[index...].starts(with: word) }
        let (lineMark, open, close) = (Array("//".utf8), Array("/*".utf8), Array("*/".utf8))
        while index < text.count {
            var length = 1
            let byte = text[index]
            switch state {
            case .code:
                if byte == UInt8(ascii: "/"), stands(lineMark) {
                    state = .lineComment
                } else if byte == UInt8(ascii: "/"), stands(open) {
                    (state, length) = (.blockComment(depth: 1), 2)
                } else {
                    if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "#"),
                        let quote = Self.quotes.first(where: stands)
                    {
                        (state, length) = (.string(quote: quote.reversed()), quote.count)
                    }
                    all += text[index..<index + length]
                    outside += text[index..<index + length]
                }
            case .lineComment:
                if byte == 0x0A {
                    state = .code
                    all.append(byte)
                    outside.append(byte)
                }
            case .blockComment(let depth):
                if stands(open) { (state, length) = (.blockComment(depth: depth + 1), 2) }
                if stands(close) { (state, length) = (depth == 1 ? .code : .blockComment(depth: depth - 1), 2) }
            case .string(let quote):
                if byte == quote.first, stands(quote) {
                    (state, length) = (.code, quote.count)
                    outside += quote
                } else if byte == UInt8(ascii: "\\"), quote.last != UInt8(ascii: "#"), index + 1 < text.count {
                    // What follows a backslash ends nothing, except in a raw string.
                    length = 2
                }
                all += text[index..<index + length]
            }
            index += length
        }
        code = String(decoding: all, as: UTF8.self)
        codeOutsideStrings = String(decoding: outside, as: UTF8.self)
    }

    /// The modules a source imports.
    var imports: [String] {
        codeOutsideStrings.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split(separator: " ")
            let modifiers: Set<Substring> = ["public", "package", "internal", "fileprivate", "private"]
            let rest = words.drop { modifiers.contains($0) || $0.hasPrefix("@") }
            guard rest.first == "import" else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
            return rest.dropFirst().drop { kinds.contains($0) }.first.map { String($0.prefix { $0 != "." }) }
        }
    }

    /// Names and words, of code and of strings.
    var words: [Substring] { code.split { !($0.isLetter || $0.isNumber || $0 == "_") } }

    /// The names of log events that stand here as literals.
    var logEvents: [String] {
        let patterns = [
            #/LogEvent\(\s*"([^"]+)"\s*\)/#, #/:\s*LogEvent\s*=\s*"([^"]+)"/#,
            #/\.(?:trace|debug|info|warning|error)\(\s*"([a-z_]+(?:\.[a-z_]+)*)"\s*,/#,
        ]
        return patterns.flatMap { pattern in code.matches(of: pattern).map { String($0.output.1) } }
    }
}
