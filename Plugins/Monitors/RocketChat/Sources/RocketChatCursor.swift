internal import Base
internal import Gateway
internal import MonitorTools

/// Where watching an account goes on. Times are the server's, in milliseconds.
struct RocketChatCursor: PolledChatCursor, Hashable {
    private static let version: Int64 = 1

    /// Whose account this is: a cursor means nothing to another.
    var user: String
    /// Nothing up to here ever rings.
    var baseline: Int64
    /// The latest change of a subscription that was taken in.
    var since: Int64
    /// Their order is the time of the message.
    var followed = FollowedItems()

    init(user: String, baseline: Int64) { (self.user, self.baseline, since) = (user, baseline, baseline) }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let user = json["user"]?.string,
            let baseline = json["baseline"]?.integer, let since = json["since"]?.integer,
            let followed = json["followed"].flatMap(FollowedItems.init)
        else { return nil }
        self.init(user: user, baseline: baseline)
        (self.since, self.followed) = (since, followed)
    }

    /// Some 6 KB at most: Rocket.Chat's ids have 17 characters, and those of direct rooms 34.
    var encoded: [UInt8] {
        JSON.object([
            "v": .integer(Self.version), "user": .string(user), "baseline": .integer(baseline),
            "since": .integer(since), "followed": followed.json,
        ]).serializedBytes
    }
}
