internal import Base
internal import Gateway

/// A page of a delta query (learn.microsoft.com/graph/api/message-delta).
struct GraphPage {
    enum Entry {
        /// New, or changed: Graph does not say.
        case present(Item, isRead: Bool)
        case removed(String)
    }

    var entries: [Entry] = []
    var next: String
    /// The round is complete: the next question is for changes from now on.
    var isLast: Bool

    /// - Throws: `MonitorFailure` for what is no such page.
    init(_ json: JSON) throws {
        let delta = json["@odata.deltaLink"]?.string
        guard let list = json["value"]?.array, let link = delta ?? json["@odata.nextLink"]?.string,
            link.utf8.count <= GraphCursor.linkLimit
        else { throw MonitorFailure(.protocolViolation, "the server's answer is no page of changes") }
        (next, isLast) = (link, delta != nil)
        entries = list.compactMap(Self.entry)
    }

    private static func entry(_ json: JSON) -> Entry? {
        guard let id = json["id"]?.string, !id.isEmpty, id.utf8.count <= 1024 else { return nil }
        if json["@removed"] != nil { return .removed(id) }
        let from = json["from"]?["emailAddress"]
        let item = Item(
            key: id, contentKey: json["internetMessageId"]?.string?.shown(bytes: 512),
            sender: from?["name"]?.string?.shown(bytes: 256),
            senderAddress: from?["address"]?.string?.shown(bytes: 320),
            title: json["subject"]?.string?.shown(bytes: 4096),
            time: json["receivedDateTime"]?.string.flatMap { Timestamp($0) })
        return .present(item, isRead: json["isRead"]?.bool ?? false)
    }
}

extension String {
    /// For people: without control characters, and at most so many bytes.
    fileprivate func shown(bytes limit: Int) -> String {
        var text = ""
        var count = 0
        for character in self where !character.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            count += character.utf8.count
            if count > limit { break }
            text.append(character)
        }
        return text
    }
}
