/// Reads an event stream (WHATWG HTML section 9.2.6), cut anywhere. Plain values.
struct ServerEvents: Sendable {
    struct Event: Sendable, Hashable {
        /// `message` where the server names none.
        var name: String
        var data: String
    }

    /// A server sent a line or an event beyond all measure.
    struct TooLong: Error, Sendable {}

    /// Bytes of the longest line, and of one event's data.
    static let limit = 65_536

    private var line: [UInt8] = []
    private var name = ""
    private var data: [String] = []
    private var size = 0
    private var endedWithReturn = false

    /// - Returns: the events that these bytes complete.
    /// - Throws: `TooLong`.
    mutating func take(_ bytes: [UInt8]) throws(TooLong) -> [Event] {
        var events: [Event] = []
        for byte in bytes {
            let isReturn = byte == 0x0D
            // CR LF is one end, also when it comes in two pieces.
            if byte == 0x0A, endedWithReturn {
                endedWithReturn = false
                continue
            }
            endedWithReturn = isReturn
            guard isReturn || byte == 0x0A else {
                guard line.count < Self.limit else { throw TooLong() }
                line.append(byte)
                continue
            }
            if let event = try ended() { events.append(event) }
        }
        return events
    }

    private mutating func ended() throws(TooLong) -> Event? {
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        guard !text.isEmpty else {
            defer { (name, data, size) = ("", [], 0) }
            return data.isEmpty ? nil : Event(name: name.isEmpty ? "message" : name, data: data.joined(separator: "\n"))
        }
        // A comment has an empty name.
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count > 1 ? parts[1] : ""
        if value.first == " " { value = value.dropFirst() }
        switch parts[0] {
        case "event": name = String(value)
        case "data":
            size += value.utf8.count + 1
            guard size <= Self.limit else { throw TooLong() }
            data.append(String(value))
        default: break
        }
        return nil
    }
}
