/// Reads server-sent events from bytes as they arrive (HTML standard, section 9.2.6).
package struct EventStreamParser: Sendable {
    /// What the bytes amount to.
    package enum Item: Sendable, Hashable {
        /// An event. `id` is nil when the event itself names none: the gateway's `hello` has no number.
        case event(id: String?, name: String, data: String)
        /// The server asks to wait so long before connecting again.
        case retry(milliseconds: Int64)
        /// A comment: the gateway's ping.
        case comment
    }

    /// Bytes of one event; the gateway's largest is a message of 1 MiB, whose text JSON may make six times longer.
    package static let eventLimit = 16 << 20

    private var line: [UInt8] = []
    private var endedWithReturn = false
    private var isFirstLine = true
    private var id: String?
    private var name = ""
    private var data: [UInt8] = []
    private var hasData = false
    private let limit: Int

    package init(limit: Int = Self.eventLimit) { self.limit = limit }

    /// Takes the next bytes.
    /// - Throws: `too_large`.
    package mutating func consume(_ bytes: [UInt8]) throws(FarbellError) -> [Item] {
        var items: [Item] = []
        var rest = bytes[...]
        // A line may end with both; the second byte may be the first of the next piece.
        if endedWithReturn, rest.first == Self.newline { rest = rest.dropFirst() }
        if !bytes.isEmpty { endedWithReturn = false }
        while !rest.isEmpty {
            guard let end = rest.firstIndex(where: { $0 == Self.newline || $0 == Self.carriageReturn }) else {
                line.append(contentsOf: rest)
                break
            }
            line.append(contentsOf: rest[..<end])
            let isReturn = rest[end] == Self.carriageReturn
            rest = rest[(end + 1)...]
            if isReturn {
                if rest.isEmpty { endedWithReturn = true }
                if rest.first == Self.newline { rest = rest.dropFirst() }
            }
            finishLine(&items)
            try check()
        }
        try check()
        return items
    }

    private func check() throws(FarbellError) {
        guard line.count + data.count <= limit else {
            throw FarbellError(.tooLarge, "An event is larger than \(limit) bytes.")
        }
    }

    private mutating func finishLine(_ items: inout [Item]) {
        var text = line[...]
        if isFirstLine, text.starts(with: Self.byteOrderMark) { text = text.dropFirst(Self.byteOrderMark.count) }
        isFirstLine = false
        defer { line.removeAll(keepingCapacity: true) }
        if text.isEmpty { return dispatch(&items) }
        if text.first == Self.colon { return items.append(.comment) }
        let colon = text.firstIndex(of: Self.colon)
        let field = text[..<(colon ?? text.endIndex)]
        var value = colon.map { text[($0 + 1)...] } ?? []
        if value.first == Self.space { value = value.dropFirst() }
        switch String(decoding: field, as: UTF8.self) {
        case "data":
            if hasData { data.append(Self.newline) }
            data.append(contentsOf: value)
            hasData = true
        case "event": name = String(decoding: value, as: UTF8.self)
        case "id": if !value.contains(0) { id = String(decoding: value, as: UTF8.self) }
        case "retry":
            let digits = String(decoding: value, as: UTF8.self)
            if digits.allSatisfy({ $0.isASCII && $0.isNumber }), let number = Int64(digits) {
                items.append(.retry(milliseconds: number))
            }
        default: break  // Fields nobody knows are to be ignored.
        }
    }

    private mutating func dispatch(_ items: inout [Item]) {
        if hasData {
            items.append(
                .event(id: id, name: name.isEmpty ? "message" : name, data: String(decoding: data, as: UTF8.self)))
        }
        (id, name, data, hasData) = (nil, "", [], false)
    }

    private static let newline = UInt8(ascii: "\n")
    private static let carriageReturn = UInt8(ascii: "\r")
    private static let colon = UInt8(ascii: ":")
    private static let space = UInt8(ascii: " ")
    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]
}
