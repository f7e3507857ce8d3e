internal import Base
internal import Gateway
internal import MonitorTools
internal import Mail

/// Takes items out of an API's answer. Plain values.
struct ItemReader: Sendable {
    /// Where in an item its parts stand.
    struct Places: Sendable, Hashable {
        var id: JSONPointer?
        var title: JSONPointer?
        var sender: JSONPointer?
        var senderAddress: JSONPointer?
        var time: JSONPointer?
        var preview: JSONPointer?
        var thread: JSONPointer?
        var content: JSONPointer?
        var read: JSONPointer?
        var unread: JSONPointer?
    }

    /// The list in the document.
    var items: JSONPointer
    var places = Places()

    /// The entries of one answer.
    /// - Throws: `MonitorFailure` when there is no list at its place.
    func entries(in document: JSON) throws -> [ListWatch.Entry] {
        guard let list = items.value(in: document) else {
            throw MonitorFailure(.protocolViolation, "the answer has nothing at the place 'items' names")
        }
        // Several servers answer null for an empty list.
        if list.isNull { return [] }
        guard let array = list.array else {
            throw MonitorFailure(.protocolViolation, "what 'items' names is \(list.kind), not an array")
        }
        return array.compactMap(entry)
    }

    private func entry(_ json: JSON) -> ListWatch.Entry? {
        // An empty place among items is none.
        if json.isNull { return nil }
        let title = text(places.title, json, .subject)
        var item = Item(
            key: "", contentKey: text(places.content, json, .identifier),
            threadKey: text(places.thread, json, .identifier),
            sender: text(places.sender, json, .name), senderAddress: text(places.senderAddress, json, .identifier),
            title: title, preview: text(places.preview, json, .preview),
            time: places.time?.value(in: json).flatMap(Self.time))
        if let id = places.id?.value(in: json).flatMap(Self.plain), !id.isEmpty {
            item.key = ListCursor.key(id)
        } else {
            // Without an id it is known by what it says; changed words then make another item.
            let words = [item.title, item.sender, item.time?.description].map { $0 ?? "" }
            let isEmpty = words.allSatisfy(\.isEmpty)
            let hash = ListCursor.hash(isEmpty ? json.serialized : words.joined(separator: "\n"))
            item.key = "hash:\(String(hash, radix: 16))"
        }
        return ListWatch.Entry(item, isRead: isRead(json))
    }

    private func text(_ place: JSONPointer?, _ json: JSON, _ limit: MailText.Limit) -> String? {
        guard let text = place?.value(in: json).flatMap(Self.plain) else { return nil }
        let shown = MailText.displayable(text, limit: limit)
        return shown.isEmpty ? nil : shown
    }

    /// A string, or a number as it would be written.
    private static func plain(_ json: JSON) -> String? {
        switch json.value {
        case .string(let text): text
        case .integer(let number): String(number)
        case .number(let number): "\(number)"
        default: nil
        }
    }

    private func isRead(_ json: JSON) -> Bool {
        if let flag = places.read?.value(in: json) { return Self.isSet(flag) }
        if let flag = places.unread?.value(in: json) { return !Self.isSet(flag) }
        return false
    }

    /// Words that say no; any other text, such as the time of reading, says yes.
    private static let negative: Set<String> = ["", "0", "false", "no", "n", "unread", "new"]

    static func isSet(_ json: JSON) -> Bool {
        switch json.value {
        case .null: false
        case .bool(let flag): flag
        case .integer(let number): number != 0
        case .number(let number): number != 0
        case .string(let text): !negative.contains(text.trimmingSpace.lowercased())
        case .array(let items): !items.isEmpty
        case .object: true
        }
    }

    /// From here on, a number counts milliseconds: as seconds it would be the year 5138.
    private static let millisecondsFrom: Double = 100_000_000_000

    /// RFC 3339 (without a time zone it is UTC; a space may stand for the T), the date of a mail, or seconds or
    /// milliseconds since 1970.
    static func time(_ json: JSON) -> Timestamp? {
        if let number = json.number {
            guard number > 0, number < 1e15 else { return nil }
            return Timestamp(milliseconds: Int64(number >= millisecondsFrom ? number : number * 1000))
        }
        guard let text = json.string?.trimmingSpace, (8...64).contains(text.utf8.count) else { return nil }
        if let number = Double(text) { return time(.number(number)) }
        var written = text
        if written.utf8.count > 10, written.utf8.dropFirst(10).first == 0x20 {
            let place = written.utf8.index(written.startIndex, offsetBy: 10)
            written.replaceSubrange(place...place, with: "T")
        }
        return Timestamp(written) ?? Timestamp(written + "Z") ?? Timestamp(written + "T00:00:00Z")
            ?? MailHeaders(parsing: Array("Date: \(text)\n\n".utf8)).date("Date")
    }
}
