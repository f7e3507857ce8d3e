internal import Base
internal import Gateway
internal import MonitorTools

/// Where watching an account goes on. Times are the server's, in milliseconds.
struct MattermostCursor: PolledChatCursor, Hashable {
    private static let version: Int64 = 1

    /// Whose account this is: a cursor means nothing to another.
    var user: String
    /// Nothing up to here ever rings.
    var baseline: Int64
    /// The latest change of a membership, and the latest post, that was looked at.
    var handled: Int64
    /// Their order is the time of the post.
    var followed = FollowedItems()

    init(user: String, baseline: Int64) { (self.user, self.baseline, handled) = (user, baseline, baseline) }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let user = json["user"]?.string,
            let baseline = json["baseline"]?.integer, let handled = json["handled"]?.integer,
            let followed = json["followed"].flatMap(FollowedItems.init)
        else { return nil }
        self.init(user: user, baseline: baseline)
        (self.handled, self.followed) = (handled, followed)
    }

    /// Some 6 KB at most: Mattermost's ids have 26 characters.
    var encoded: [UInt8] {
        JSON.object([
            "v": .integer(Self.version), "user": .string(user), "baseline": .integer(baseline),
            "handled": .integer(handled), "followed": followed.json,
        ]).serializedBytes
    }
}
