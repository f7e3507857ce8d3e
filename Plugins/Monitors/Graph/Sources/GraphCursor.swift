internal import Base
internal import Gateway

/// Where watching an inbox goes on: the link that Graph gave for the next changes, and what was there before.
struct GraphCursor: Hashable {
    /// Bytes of the longest link taken; Graph's are some hundreds, and may be thousands.
    static let linkLimit = 32_768
    /// Ids kept of the newest messages of the baseline.
    static let edgeLimit = 20
    private static let version: Int64 = 1

    var link: String
    /// When the newest message of the baseline was received; nil for an empty inbox. A delta does not tell a new
    /// message from one that was changed (learn.microsoft.com/graph/delta-query-messages): older ones are no news.
    var since: Timestamp?
    /// The ids of the messages received just then.
    var edge: [String] = []

    init(link: String) { self.link = link }

    /// Nil when the bytes are no cursor of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let link = json["link"]?.string, !link.isEmpty,
            let edge = json["edge"]?.array
        else { return nil }
        self.link = link
        since = json["since"]?.integer.map { Timestamp(milliseconds: $0) }
        self.edge = edge.compactMap(\.string)
    }

    var encoded: [UInt8] {
        JSON.object([
            "v": .integer(Self.version), "link": .string(link),
            "since": since.map { .integer($0.milliseconds) } ?? .null, "edge": .strings(edge),
        ]).serializedBytes
    }

    /// A message of the baseline.
    mutating func note(_ id: String, received: Timestamp?) {
        guard let received else { return }
        if since.map({ received > $0 }) ?? true { (since, edge) = (received, []) }
        if received == since, edge.count < Self.edgeLimit { edge.append(id) }
    }

    /// Whether a message came after the baseline.
    func isNews(_ item: Item) -> Bool {
        guard let since, let time = item.time else { return true }
        return time > since || time == since && !edge.contains(item.key)
    }
}
