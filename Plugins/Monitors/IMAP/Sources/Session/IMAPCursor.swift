internal import Base

/// Where watching a mailbox goes on. Stored as one line of JSON, far below the 64 KiB of a batch: at most
/// 500 UIDs of up to 11 bytes and 256 hashes of 11 bytes.
struct IMAPCursor: Sendable, Hashable {
    /// Announced messages whose fate is still followed; the oldest go first.
    static let unseenLimit = 500
    /// Message-IDs remembered, for mailboxes that are rebuilt.
    static let recentLimit = 256

    /// The mailbox's UIDVALIDITY; another one voids all UIDs (RFC 3501 section 2.3.1.1).
    var validity: UInt32
    /// Messages from this UID on are new.
    var next: UInt32
    /// UIDs of announced messages that were not read yet, ascending.
    var unseen: [UInt32] = []
    /// Flags that changed up to this were compared (RFC 7162, `HIGHESTMODSEQ`); nil where the server does not count.
    var modified: UInt64?
    /// When the mailbox was last compared, by our wall clock.
    var checked: Timestamp
    /// Hashes of the Message-IDs announced last, oldest first.
    var recent: [UInt64] = []

    /// The key of a message's item.
    func key(_ uid: UInt32) -> String { "\(validity)/\(uid)" }

    /// Follows a message's flags from now on.
    mutating func follow(_ uid: UInt32) {
        if unseen.last.map({ $0 < uid }) ?? true {
            unseen.append(uid)
        } else if !unseen.contains(uid) {
            unseen.append(uid)
            unseen.sort()
        }
        if unseen.count > Self.unseenLimit { unseen.removeFirst(unseen.count - Self.unseenLimit) }
    }

    /// Remembers a Message-ID.
    mutating func remember(_ messageID: String?) {
        guard let messageID else { return }
        let hash = Self.hash(messageID)
        guard !recent.contains(hash) else { return }
        recent.append(hash)
        if recent.count > Self.recentLimit { recent.removeFirst(recent.count - Self.recentLimit) }
    }

    /// Keeps the last ones.
    mutating func limit(unseen: Int, recent: Int) {
        self.unseen = self.unseen.suffix(unseen)
        self.recent = self.recent.suffix(recent)
    }

    func remembers(_ messageID: String?) -> Bool { messageID.map { recent.contains(Self.hash($0)) } ?? false }

    /// FNV-1a, 64 bits: only tells messages of one mailbox apart.
    static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    // MARK: Stored form

    private static let version: Int64 = 1

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= 65_536, let json = try? JSONParser.parse(bytes), json["v"]?.integer == Self.version,
            let validity = json["validity"]?.integer.flatMap({ UInt32(exactly: $0) }),
            let next = json["next"]?.integer.flatMap({ UInt32(exactly: $0) }), next > 0,
            let checked = json["checked"]?.integer, let unseen = json["unseen"]?.array,
            let recent = json["recent"]?.string.flatMap({ [UInt8](base64URL: $0) }), recent.count % 8 == 0
        else { return nil }
        let uids = unseen.compactMap { $0.integer.flatMap { UInt32(exactly: $0) } }
        guard uids.count == unseen.count, uids == uids.sorted() else { return nil }
        self.init(validity: validity, next: next, checked: Timestamp(milliseconds: checked))
        modified = json["modified"]?.string.flatMap { UInt64($0) }
        self.unseen = Array(uids.suffix(Self.unseenLimit))
        self.recent = stride(from: 0, to: recent.count, by: 8).map { start in
            recent[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }.suffix(Self.recentLimit)
    }

    init(validity: UInt32, next: UInt32, checked: Timestamp) {
        (self.validity, self.next, self.checked) = (validity, next, checked)
    }

    var encoded: [UInt8] {
        let hashes = recent.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) } }
        var object: JSONObject = [
            "v": .integer(Self.version), "validity": .integer(validity), "next": .integer(next),
            "checked": .integer(checked.milliseconds), "unseen": .array(unseen.map { .integer($0) }),
            "recent": .string(hashes.base64URL),
        ]
        // 63 bits do not fit every reader's numbers.
        if let modified { object.append("modified", .string("\(modified)")) }
        return JSON.object(object).serializedBytes
    }
}
