internal import Base

/// Where watching an archive goes on. Stored as one line of JSON, below the 64 KiB of a batch.
struct XMPPCursor: Sendable, Hashable {
    /// Announced messages whose fate is still followed; the oldest go first.
    static let openLimit = 300
    /// Bytes of their chats and ids together; JSON may need twice as many.
    static let openBytes = 24_576

    /// A message that was announced and not read yet.
    struct Open: Sendable, Hashable {
        var chat: String
        var id: String
        var key: String { XMPPCursor.key(chat: chat, id: id) }
    }

    /// The archive's id of what was read last; nil while the archive was empty.
    var last: String?
    /// When that is from, by the server's clock: where to go on when the archive has forgotten the id.
    var time: Timestamp?
    /// In the order of the archive.
    var open: [Open] = []

    /// The key of a message's item.
    static func key(chat: String, id: String) -> String { "\(chat)/\(id)" }

    /// Takes what the archive held; returns what it means for the host, in order.
    mutating func follow(chat: String, id: String) {
        open.removeAll { $0.chat == chat && $0.id == id }
        open.append(Open(chat: chat, id: id))
        var bytes = open.reduce(0) { $0 + $1.chat.utf8.count + $1.id.utf8.count }
        while open.count > Self.openLimit || bytes > Self.openBytes, let first = open.first {
            bytes -= first.chat.utf8.count + first.id.utf8.count
            open.removeFirst()
        }
    }

    /// The keys of a chat's messages up to one, nil for all, which are followed no more.
    mutating func shown(chat: String, upTo id: String?) -> [String] {
        let indices = open.indices.filter { open[$0].chat == chat }
        var end = indices.endIndex
        if let id {
            // A marker for what is not followed: it was read before, or is too old.
            guard let position = indices.firstIndex(where: { open[$0].id == id }) else { return [] }
            end = position + 1
        }
        let read = indices[..<end]
        let keys = read.map { open[$0].key }
        for index in read.reversed() { open.remove(at: index) }
        return keys
    }

    /// Follows a message no more.
    mutating func forget(chat: String, id: String) { open.removeAll { $0.chat == chat && $0.id == id } }

    // MARK: Stored form

    private static let version: Int64 = 1
    private static let idLimit = 1024

    init(last: String? = nil, time: Timestamp? = nil) { (self.last, self.time) = (last, time) }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= 65_536, let json = try? JSONParser.parse(bytes), json["v"]?.integer == Self.version,
            let list = json["open"]?.array, list.count <= Self.openLimit
        else { return nil }
        last = json["last"]?.string
        time = json["time"]?.integer.map { Timestamp(milliseconds: $0) }
        for entry in list {
            guard let chat = entry[0]?.string, let id = entry[1]?.string else { return nil }
            open.append(Open(chat: chat, id: id))
        }
    }

    var encoded: [UInt8] {
        var object: JSONObject = ["v": .integer(Self.version)]
        if let last { object.append("last", .string(last)) }
        if let time { object.append("time", .integer(time.milliseconds)) }
        object.append("open", .array(open.map { .array([.string($0.chat), .string($0.id)]) }))
        return JSON.object(object).serializedBytes
    }

    /// Whether an archive's id can be kept.
    static func isUsable(_ id: String) -> Bool { !id.isEmpty && id.utf8.count <= idLimit }
}
