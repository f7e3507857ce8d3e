/// Cuts the byte stream of a server into responses: bytes in, responses out. Lines may be split at any
/// byte; a literal (`{n}` and its bytes, RFC 3501 section 4.3) belongs to its response. Memory is bounded
/// by `Limits` whatever the server sends: what is larger is counted and skipped.
struct IMAPFramer: Sendable {
    struct Limits: Sendable {
        /// Bytes of one response's lines and of the literals kept with it, each. The header fields we ask
        /// for are at most 4,096 bytes.
        var kept = 65_536
        /// Bytes of one response that are skipped before the server is given up.
        var skipped = 64 << 20
    }

    private enum Mode: Sendable {
        case line
        case literal(remaining: Int)
        /// A literal too large to keep.
        case skippedLiteral(remaining: Int)
        /// A response whose line is too long; nothing of it is kept.
        case skippedLine
        /// A literal inside such a response.
        case skippedLineLiteral(remaining: Int)
    }

    /// The longest literal mark, `~{4294967295+}` with CR.
    private static let markLimit = 24

    private let limits: Limits
    private var mode = Mode.line
    private var buffer: [UInt8] = []
    /// Where in `buffer` a literal's bytes were left out.
    private var holes: [Int] = []
    private var literalBytes = 0
    private var skipped = 0
    /// The end of a line that is not kept, to see a literal mark in it.
    private var tail: [UInt8] = []

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Bytes held for a response that is not complete.
    var pendingBytes: Int { buffer.count + tail.count }

    /// Takes the next bytes and returns the responses they complete.
    /// - Throws: `IMAPSyntaxError` when a response is larger than what may be skipped. The framer must not be used then.
    mutating func feed(_ bytes: [UInt8]) throws(IMAPSyntaxError) -> [IMAPResponse] {
        var responses: [IMAPResponse] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            switch mode {
            case .line: try readLine(&rest, &responses)
            case .skippedLine: try skipLine(&rest, &responses)
            case .literal(let remaining):
                let part = rest.prefix(remaining)
                buffer.append(contentsOf: part)
                rest = rest.dropFirst(part.count)
                mode = part.count == remaining ? .line : .literal(remaining: remaining - part.count)
            case .skippedLiteral(let remaining):
                let count = min(remaining, rest.count)
                rest = rest.dropFirst(count)
                mode = count == remaining ? .line : .skippedLiteral(remaining: remaining - count)
            case .skippedLineLiteral(let remaining):
                let count = min(remaining, rest.count)
                rest = rest.dropFirst(count)
                mode = count == remaining ? .skippedLine : .skippedLineLiteral(remaining: remaining - count)
            }
        }
        return responses
    }

    private mutating func readLine(
        _ rest: inout ArraySlice<UInt8>, _ responses: inout [IMAPResponse]
    ) throws(IMAPSyntaxError) {
        let end = rest.firstIndex(of: 0x0A)
        let part = end.map { rest[...$0] } ?? rest
        guard buffer.count - literalBytes + part.count <= limits.kept else {
            // Not kept, but its end is still looked for, from the bytes at hand.
            tail = Array(buffer.suffix(Self.markLimit))
            skipped += buffer.count
            releaseBuffer()
            mode = .skippedLine
            return
        }
        buffer.append(contentsOf: part)
        rest = rest.dropFirst(part.count)
        guard end != nil else { return }
        if let size = try Self.literalSize(atEndOf: buffer), !IMAPReader.isText(buffer) {
            if literalBytes + size <= limits.kept {
                literalBytes += size
                if size > 0 { mode = .literal(remaining: size) }
            } else {
                try count(skipped: size)
                holes.append(buffer.count)
                mode = .skippedLiteral(remaining: size)
            }
            return
        }
        responses.append(IMAPReader.response(buffer, holes: holes))
        releaseBuffer()
        skipped = 0
    }

    private mutating func skipLine(
        _ rest: inout ArraySlice<UInt8>, _ responses: inout [IMAPResponse]
    ) throws(IMAPSyntaxError) {
        let end = rest.firstIndex(of: 0x0A)
        let part = end.map { rest[...$0] } ?? rest
        rest = rest.dropFirst(part.count)
        try count(skipped: part.count)
        tail = Array((tail + part.suffix(Self.markLimit)).suffix(Self.markLimit))
        guard end != nil else { return }
        if let size = try Self.literalSize(atEndOf: tail) {
            try count(skipped: size)
            tail = []
            if size > 0 { mode = .skippedLineLiteral(remaining: size) }
            return
        }
        tail = []
        skipped = 0
        mode = .line
        responses.append(.unreadable)
    }

    private mutating func count(skipped bytes: Int) throws(IMAPSyntaxError) {
        skipped += bytes
        if skipped > limits.skipped {
            throw IMAPSyntaxError(message: "a response is larger than \(limits.skipped) bytes")
        }
    }

    /// An idle connection holds no buffer.
    private mutating func releaseBuffer() {
        buffer = []
        holes = []
        literalBytes = 0
    }

    /// The size in a literal mark `{n}` or `{n+}` before the line's end; nil when there is none.
    private static func literalSize(atEndOf line: [UInt8]) throws(IMAPSyntaxError) -> Int? {
        var rest = line[...]
        if rest.last == 0x0A { rest.removeLast() }
        if rest.last == 0x0D { rest.removeLast() }
        guard rest.popLast() == UInt8(ascii: "}") else { return nil }
        if rest.last == UInt8(ascii: "+") { rest.removeLast() }
        let digits = rest.suffix(while: { (0x30...0x39).contains($0) })
        guard !digits.isEmpty, rest.dropLast(digits.count).last == UInt8(ascii: "{") else { return nil }
        guard digits.count <= 10 else { throw IMAPSyntaxError(message: "a literal's size has too many digits") }
        return digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }
}

extension ArraySlice<UInt8> {
    /// The longest end whose elements all satisfy `condition`.
    fileprivate func suffix(while condition: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var start = endIndex
        while start > startIndex, condition(self[start - 1]) { start -= 1 }
        return self[start...]
    }

}
