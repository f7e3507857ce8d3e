internal import Base
internal import Gateway

/// Where watching a mailbox goes on: the sync state of its inbox, as the server gave it.
struct EWSCursor: Hashable {
    /// Longer sync states fit into no batch's cursor.
    static let stateLimit = 60_000
    private static let version: Int64 = 1

    let state: String

    init(state: String) { self.state = state }

    /// Nil when the bytes are no cursor of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let state = json["state"]?.string, !state.isEmpty
        else { return nil }
        self.state = state
    }

    var encoded: [UInt8] {
        JSON.object(["v": .integer(Self.version), "state": .string(state)]).serializedBytes
    }
}
