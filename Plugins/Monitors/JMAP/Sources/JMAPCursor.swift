internal import Base
internal import Gateway
internal import MonitorTools

/// Where watching a mailbox goes on.
struct JMAPCursor: Sendable, Hashable {
    /// Messages remembered for the day when the server cannot say any more what changed.
    static let recentLimit = 500
    /// Bytes of the longest state and account id taken.
    static let stateLimit = 4_096

    var account: String
    /// The server's; opaque.
    var state: String
    /// When it was asked last and something had changed.
    var time: Timestamp
    /// Hashes of the Message-IDs, or else ids, of messages that came last; the newest at the end.
    var recent: [UInt64] = []

    init(account: String, state: String, time: Timestamp) {
        (self.account, self.state, self.time) = (account, state, time)
    }

    mutating func remember(_ identifiers: [String]) {
        recent = (recent + identifiers.map(ListCursor.hash)).suffix(Self.recentLimit)
    }

    func remembers(_ identifier: String) -> Bool { recent.contains(ListCursor.hash(identifier)) }

    // MARK: Stored form

    private static let version: Int64 = 1

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let account = json["account"]?.string,
            let state = json["state"]?.string, let time = json["time"]?.integer,
            let recent = json["recent"]?.string.flatMap({ [UInt8](base64URL: $0) }), recent.count % 8 == 0,
            recent.count / 8 <= Self.recentLimit
        else { return nil }
        self.init(account: account, state: state, time: Timestamp(milliseconds: time))
        self.recent = stride(from: 0, to: recent.count, by: 8).map { start in
            recent[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    /// At most some 55 KB, where account and state are long and need escapes.
    var encoded: [UInt8] {
        let hashes = recent.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) } }
        return JSON.object([
            "v": .integer(Self.version), "account": .string(account), "state": .string(state),
            "time": .integer(time.milliseconds), "recent": .string(hashes.base64URL),
        ]).serializedBytes
    }
}
