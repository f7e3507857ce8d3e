internal import Base

/// What is known of a mailbox: a 48-bit digest of each message's unique id (RFC 1939 section 7, `UIDL`). A new message
/// is taken for a known one with a probability of 10,000 : 2^48.
///
/// Up to `limit` messages all are kept, and the order in which the server lists them means nothing. Of a larger
/// mailbox the first and the last are kept: servers append, so that what stands behind a known one of the last, or
/// before a known one of the first, is new, and what stands between them is old.
struct POP3Cursor: Sendable, Hashable {
    /// Digests kept: 60,000 bytes of the 65,536 a cursor may have.
    static let limit = 10_000
    /// Of these, how many are the first ones, where not all are kept.
    static let headLimit = 2_000
    /// Announced messages whose deletion is still told.
    static let followedLimit = 400
    /// More messages at once in a mailbox of which nothing is known any more are told as one.
    static let rebuildLimit = 20

    /// One line of the server's list.
    struct Entry: Sendable, Hashable {
        let number: Int
        let digest: UInt64
    }

    enum News: Sendable, Hashable {
        /// Indices into the list.
        case messages([Int])
        /// The list has nothing in common with what was known, and may hold new messages.
        case rebuilt
    }

    private(set) var known: [UInt64]
    /// How many of `known` are the mailbox's first ones; nil: all of the mailbox is known.
    private(set) var headCount: Int?
    /// How many messages there were.
    private(set) var total: Int
    private(set) var followed: [UInt64] = []

    /// All that is there is known.
    init(_ list: [Entry]) {
        (known, total) = ([], 0)
        learn(list)
    }

    /// FNV-1a, folded to 48 bits: only tells messages of one mailbox apart.
    static func digest(_ text: some Sequence<UInt8>) -> UInt64 {
        let hash = text.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return (hash >> 48) ^ (hash & 0xFFFF_FFFF_FFFF)
    }

    /// The key of a message's item.
    static func key(_ digest: UInt64) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return "uidl/"
            + String(decoding: (0..<12).map { digits[Int(digest >> (44 - 4 * $0) & 15)] }, as: UTF8.self)
    }

    /// What a list holds that was not known.
    func news(in list: [Entry]) -> News {
        guard let headCount else {
            let all = Set(known)
            let unknown = list.indices.filter { !all.contains(list[$0].digest) }
            let isStrange = total > 0 && unknown.count == list.count && unknown.count > Self.rebuildLimit
            return isStrange ? .rebuilt : .messages(unknown)
        }
        let head = Set(known.prefix(headCount))
        let tail = Set(known.dropFirst(headCount))
        guard let firstOfTail = list.firstIndex(where: { tail.contains($0.digest) }) else { return .rebuilt }
        let lastOfHead = list.lastIndex { head.contains($0.digest) } ?? -1
        return .messages(
            list.indices.filter { index in
                let digest = list[index].digest
                return (index > firstOfTail || index < lastOfHead) && !tail.contains(digest) && !head.contains(digest)
            })
    }

    /// Announced messages that the list does not hold any more; they are not followed further.
    mutating func takeGone(_ list: [Entry]) -> [UInt64] {
        guard !followed.isEmpty else { return [] }
        let present = Set(list.map(\.digest))
        defer { followed.removeAll { !present.contains($0) } }
        return followed.filter { !present.contains($0) }
    }

    /// A message was announced.
    mutating func follow(_ digest: UInt64) {
        if !followed.contains(digest) { followed.append(digest) }
        if followed.count > Self.followedLimit { followed.removeFirst(followed.count - Self.followedLimit) }
        // In a larger mailbox its place must stay known, and the end of the session stores it.
        if headCount == nil && known.count < Self.limit { known.append(digest) }
    }

    /// All that the list holds is known now. While there is room, so is what it does not hold any more: a server that
    /// lists nothing once must not make all old mail ring.
    mutating func learn(_ list: [Entry]) {
        total = list.count
        guard list.count <= Self.limit else {
            headCount = Self.headLimit
            known = list.prefix(Self.headLimit).map(\.digest) + list.suffix(Self.limit - Self.headLimit).map(\.digest)
            return
        }
        let old = headCount == nil ? known : []
        headCount = nil
        known = list.map(\.digest)
        let present = Set(known)
        known += old.lazy.filter { !present.contains($0) }.prefix(Self.limit - known.count)
    }

    // MARK: Stored form

    private static let mark = Array("POP3".utf8) + [1]
    private static let digestSize = 6

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        var rest = bytes[...]
        func number(_ size: Int) -> Int? {
            guard rest.count >= size else { return nil }
            defer { rest = rest.dropFirst(size) }
            return rest.prefix(size).reduce(0) { $0 << 8 | Int($1) }
        }
        func digests(_ limit: Int) -> [UInt64]? {
            guard let count = number(4), count <= limit, rest.count >= count * Self.digestSize else { return nil }
            return (0..<count).compactMap { _ in number(Self.digestSize).map { UInt64($0) } }
        }
        guard rest.starts(with: Self.mark) else { return nil }
        rest = rest.dropFirst(Self.mark.count)
        guard let total = number(4), let head = number(4), let known = digests(Self.limit),
            let followed = digests(Self.followedLimit), rest.isEmpty, head <= known.count
        else { return nil }
        (self.total, self.known, self.followed) = (total, known, followed)
        // A mailbox that is not known as a whole has a first message.
        headCount = head == 0 ? nil : head
    }

    var encoded: [UInt8] {
        var bytes = Self.mark
        bytes.reserveCapacity(32 + (known.count + followed.count) * Self.digestSize)
        func append(_ number: UInt64, _ size: Int) {
            for place in stride(from: (size - 1) * 8, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(place)))
            }
        }
        append(UInt64(min(total, Int(UInt32.max))), 4)
        append(UInt64(headCount ?? 0), 4)
        for list in [known, followed] {
            append(UInt64(list.count), 4)
            for digest in list { append(digest, Self.digestSize) }
        }
        return bytes
    }
}
