internal import Base
internal import Gateway
internal import MonitorTools

/// Where watching an account goes on.
struct ZulipCursor: Sendable, Hashable {
    private static let version: Int64 = 1

    /// Whose account this is: a cursor means nothing to another.
    var user: Int64
    /// The newest message taken in: Zulip's message ids only grow.
    var newest: Int64
    /// Their order is the message's id.
    var followed = FollowedItems()

    init(user: Int64, newest: Int64) { (self.user, self.newest) = (user, newest) }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let user = json["user"]?.integer,
            let newest = json["newest"]?.integer, let followed = json["followed"].flatMap(FollowedItems.init)
        else { return nil }
        self.init(user: user, newest: newest)
        self.followed = followed
    }

    /// At most some 30 KB: a hundred numbers, and topics of 255 bytes.
    var encoded: [UInt8] {
        JSON.object([
            "v": .integer(Self.version), "user": .integer(user), "newest": .integer(newest), "followed": followed.json,
        ]).serializedBytes
    }
}
