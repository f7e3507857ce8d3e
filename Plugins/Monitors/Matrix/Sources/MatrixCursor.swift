internal import Base
internal import Gateway
internal import MonitorTools

/// Where watching an account goes on.
struct MatrixCursor: Sendable, Hashable {
    /// Longer tokens of a server are a fault of its own.
    static let tokenLimit = 4_096
    private static let version: Int64 = 1

    /// Whose account this is: a cursor means nothing to another.
    var user: String
    /// The token of the last sync taken in.
    var since: String
    /// The filter as the server has registered it.
    var filter: String
    /// The server's time, in milliseconds, of the latest notification evaluated.
    var handled: Int64 = 0
    var followed = FollowedItems()

    init(user: String, since: String, filter: String) { (self.user, self.since, self.filter) = (user, since, filter) }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let user = json["user"]?.string, let since = json["since"]?.string,
            let filter = json["filter"]?.string, let handled = json["handled"]?.integer,
            let followed = json["followed"].flatMap(FollowedItems.init)
        else { return nil }
        self.init(user: user, since: since, filter: filter)
        (self.handled, self.followed) = (handled, followed)
    }

    /// At most some 60 KB: a hundred ids and rooms of 255 bytes, and two tokens.
    var encoded: [UInt8] {
        JSON.object([
            "v": .integer(Self.version), "user": .string(user), "since": .string(since), "filter": .string(filter),
            "handled": .integer(handled), "followed": followed.json,
        ]).serializedBytes
    }
}
