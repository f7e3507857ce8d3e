internal import Base

/// Where watching a Maildir goes on.
///
/// File names cannot all be kept: a mailbox may hold more than a cursor's 64 KiB. So the cursor is a watermark, the
/// newest delivery seen, and hashes of the messages within `slack` before it, because deliveries end in another order
/// than they begin. After a flood the oldest hashes are dropped; those messages are then emitted once more, and the
/// host drops what it knows.
struct MaildirCursor: Sendable, Hashable {
    /// Announced messages whose fate is still followed; the oldest go first. Names have up to 255 bytes.
    static let unseenLimit = 100
    /// Hashes kept: 8 bytes each before base64.
    static let recentLimit = 2_000
    /// How much later than a younger one an older message may appear, in seconds: slow deliveries, and clocks of
    /// several delivering hosts.
    static let slack: Int64 = 900

    /// Seconds since 1970 of the newest arrival seen.
    var watermark: Int64
    /// Hashes of the names with an arrival later than `watermark - slack`, oldest first.
    var recent: [UInt64] = []
    /// Unique names of announced messages not read yet.
    var unseen: [String] = []

    init(watermark: Int64) { self.watermark = watermark }

    /// FNV-1a, 64 bits: only tells messages of one mailbox apart.
    static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }

    mutating func follow(_ unique: String) {
        unseen.append(unique)
        if unseen.count > Self.unseenLimit { unseen.removeFirst(unseen.count - Self.unseenLimit) }
    }

    // MARK: Stored form

    private static let version: Int64 = 1

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= 65_536, let json = try? JSONParser.parse(bytes), json["v"]?.integer == Self.version,
            let watermark = json["watermark"]?.integer, let unseen = json["unseen"]?.array,
            let recent = json["recent"]?.string.flatMap({ [UInt8](base64URL: $0) }), recent.count % 8 == 0
        else { return nil }
        self.init(watermark: watermark)
        self.unseen = unseen.compactMap(\.string).suffix(Self.unseenLimit)
        guard self.unseen.count == min(unseen.count, Self.unseenLimit) else { return nil }
        self.recent = stride(from: 0, to: recent.count, by: 8).map { start in
            recent[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }.suffix(Self.recentLimit)
    }

    /// At most some 48 KB: 22 KB of hashes and 100 names of 255 bytes.
    var encoded: [UInt8] {
        let hashes = recent.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) } }
        return JSON.object([
            "v": .integer(Self.version), "watermark": .integer(watermark), "recent": .string(hashes.base64URL),
            "unseen": .strings(unseen),
        ]).serializedBytes
    }
}
