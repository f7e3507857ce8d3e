/// Cuts a stream of bytes into lines, with a limit: a peer that never ends its line must not fill the memory.
package struct LineSplitter: Sendable {
    /// One piece of the stream.
    package enum Piece: Sendable, Hashable {
        /// A line without its end, LF or CRLF.
        case line([UInt8])
        /// The beginning of a line above the limit; the rest of it is dropped.
        case cut([UInt8])
    }

    private let limit: Int
    private var rest: [UInt8] = []
    private var isDropping = false

    /// - Parameter limit: bytes of the longest line.
    package init(limit: Int) { self.limit = limit }

    /// Takes the next bytes and returns the lines they complete.
    package mutating func feed(_ bytes: some Collection<UInt8>) -> [Piece] {
        var pieces: [Piece] = []
        var tail = bytes[...]
        while let end = tail.firstIndex(of: 0x0A) {
            take(tail[..<end], into: &pieces)
            if !isDropping {
                if rest.last == 0x0D { rest.removeLast() }
                pieces.append(.line(rest))
            }
            rest = []
            isDropping = false
            tail = tail[tail.index(after: end)...]
        }
        take(tail, into: &pieces)
        return pieces
    }

    /// What stands there without a line's end, at the end of the stream; nil when nothing does.
    package mutating func finish() -> [UInt8]? {
        defer { rest = [] }
        return rest.isEmpty ? nil : rest
    }

    private mutating func take(_ bytes: some Collection<UInt8>, into pieces: inout [Piece]) {
        guard !isDropping else { return }
        guard rest.count + bytes.count > limit else {
            rest.append(contentsOf: bytes)
            return
        }
        rest.append(contentsOf: bytes.prefix(limit - rest.count))
        pieces.append(.cut(rest))
        rest = []
        isDropping = true
    }
}
