/// One IMAP command, cut into its arguments.
struct IMAPCommand: Sendable, Equatable {
    var tag: String
    /// Upper case; with its prefix for `UID FETCH`.
    var name: String
    /// Atoms, strings without their quotes, and lists or sections as they stood.
    var arguments: [String]

    /// nil when there is no tag and name.
    init?(_ text: String) {
        var words = Self.words(text)
        guard words.count >= 2, !words[0].isEmpty else { return nil }
        tag = words.removeFirst()
        name = words.removeFirst().uppercased()
        if name == "UID", !words.isEmpty { name += " \(words.removeFirst().uppercased())" }
        arguments = words
    }

    /// Splits at spaces outside of quotes, parentheses and brackets.
    static func words(_ text: String) -> [String] {
        var words: [String] = []
        var word: [UInt8] = []
        var depth = 0
        var quoted = false
        var escaped = false
        var started = false
        for byte in text.utf8 {
            if escaped {
                word.append(byte)
                escaped = false
                continue
            }
            switch byte {
            case UInt8(ascii: "\\") where quoted: escaped = true
            case UInt8(ascii: "\""):
                quoted.toggle()
                started = true
                // Inside a list the quotes stay, so that it can be cut again.
                if depth > 0 { word.append(byte) }
            case UInt8(ascii: " ") where !quoted && depth == 0:
                if started { words.append(String(decoding: word, as: UTF8.self)) }
                (word, started) = ([], false)
            default:
                if !quoted {
                    if byte == UInt8(ascii: "(") || byte == UInt8(ascii: "[") { depth += 1 }
                    if byte == UInt8(ascii: ")") || byte == UInt8(ascii: "]") { depth -= 1 }
                }
                word.append(byte)
                started = true
            }
        }
        if started { words.append(String(decoding: word, as: UTF8.self)) }
        return words
    }
}

/// Gathers a connection's bytes to whole commands, with literals (RFC 9051 section 4.3).
struct IMAPCommandReader {
    enum Event: Equatable {
        case incomplete
        /// A literal is announced: the client waits for a continuation.
        case continuation
        case line(String)
        case tooLong
    }

    private static let limit = 1 << 20
    private var bytes: [UInt8] = []
    private var command: [UInt8] = []
    /// Bytes of the current literal still to come.
    private var literal = 0

    mutating func feed(_ more: [UInt8]) { bytes.append(contentsOf: more) }

    mutating func next() -> Event {
        if bytes.count + command.count > Self.limit { return .tooLong }
        while true {
            if literal > 0 {
                guard bytes.count >= literal else { return .incomplete }
                // A literal becomes a quoted string, which the rest understands already.
                command.append(UInt8(ascii: "\""))
                for byte in bytes.prefix(literal) {
                    if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { command.append(UInt8(ascii: "\\")) }
                    command.append(byte)
                }
                command.append(UInt8(ascii: "\""))
                bytes.removeFirst(literal)
                literal = 0
            }
            guard let end = bytes.firstIndex(of: 10) else { return .incomplete }
            var line = bytes[..<end]
            if line.last == 13 { line.removeLast() }
            let (rest, size, waits) = Self.announcedLiteral(line)
            command.append(contentsOf: rest)
            bytes.removeFirst(end + 1)
            if let size {
                literal = size
                if size == 0 { command.append(contentsOf: [34, 34]) }
                if waits { return .continuation }
                continue
            }
            defer { command = [] }
            return .line(String(decoding: command, as: UTF8.self))
        }
    }

    private static func announcedLiteral(
        _ line: ArraySlice<UInt8>
    ) -> (rest: ArraySlice<UInt8>, size: Int?, waits: Bool) {
        guard line.last == UInt8(ascii: "}"), let open = line.lastIndex(of: UInt8(ascii: "{")) else {
            return (line, nil, false)
        }
        var text = String(decoding: line[(open + 1)..<(line.endIndex - 1)], as: UTF8.self)
        let waits = !text.hasSuffix("+")
        if !waits { text.removeLast() }
        guard let size = Int(text), size >= 0 else { return (line, nil, false) }
        return (line[..<open], size, waits)
    }
}
