package import Base

/// A Matrix homeserver with what a watcher needs of it: login, filters, sync, notifications, room names. Everybody is
/// in every room, unless it is said who is. A sync that hangs is answered as soon as there is something.
package final class FakeMatrix: Sendable {
    package static let serverName = "example.org"

    private let core: MatrixCore
    private let peer: ChatPeer
    private let scheme: String

    /// - Parameter users: names and passwords.
    /// - Throws: `PeerError` when there is no port.
    package init(users: [String: String], identity: TestIdentity? = nil) throws {
        let core = MatrixCore(users: users)
        self.core = core
        scheme = identity == nil ? "http" : "https"
        peer = try ChatPeer(
            name: "fake-matrix", identity: identity, refusals: core.refusals,
            throttled: { seconds in
                let body: JSON = [
                    "errcode": "M_LIMIT_EXCEEDED", "error": "Too Many Requests",
                    "retry_after_ms": .integer(seconds * 1000),
                ]
                return ChatAnswer(body, status: 429)
            }, respond: { core.respond($0) })
    }

    package var url: String { "\(scheme)://localhost:\(peer.port)" }
    package var refusals: [String] { peer.refusals.all }
    package var requests: [String] { peer.requests.all }
    package var loginAttempts: Int { core.state.withLock { $0.loginAttempts } }
    /// Devices with a session.
    package var devices: Set<String> { core.state.withLock { Set($0.tokens.values.map(\.device)) } }
    /// Sessions whose sync hangs, or did when it was last asked.
    package var hanging: Int { core.state.withLock { $0.sleepers.count } }
    /// Counts anew, after a client has gone away.
    package func forgetHanging() { core.state.withLock { $0.sleepers = [:] } }
    /// How many connections are open.
    /// - Throws: `PeerError` when it has been stopped.
    package func openConnections() async throws -> Int { try await peer.openConnections() }
    package func set(_ change: @Sendable (inout ChatPeer.Faults) -> Void) { peer.set(change) }
    package func stop() { peer.stop() }

    /// From now on only these, by full ids, are in a room.
    package func setMembers(of room: String, _ users: Set<String>) {
        core.state.withLock { $0.members[room] = users }
    }

    /// Makes a room, or gives it another name.
    package func nameRoom(_ room: String, _ name: String?) {
        core.state.withLock { state in
            state.names[room] = name
            state.add(
                room,
                [
                    "type": "m.room.name", "state_key": "", "sender": "@admin:example.org",
                    "content": ["name": .string(name ?? "")],
                ],
                notifies: false)
        }
    }

    /// Sends an event and returns its id.
    @discardableResult
    package func send(
        _ content: JSON, type: String = "m.room.message", to room: String, from sender: String,
        displayName: String? = nil, time: Int64 = 1_795_248_000_000, notifies: Bool = true, isHighlight: Bool = false
    ) -> String {
        core.state.withLock { state in
            if let displayName { state.displayNames[sender] = displayName }
            return state.add(
                room,
                [
                    "type": .string(type), "sender": .string(sender), "content": content,
                    "origin_server_ts": .integer(time),
                ],
                notifies: notifies, isHighlight: isHighlight)
        }
    }

    /// Redacts an event.
    package func redact(_ event: String) {
        core.state.withLock { state in
            guard let index = state.updates.firstIndex(where: { $0.id == event }) else { return }
            state.updates[index].event["content"] = [:]
            state.updates[index].notifies = false
            state.add(
                state.updates[index].room,
                [
                    "type": "m.room.redaction", "sender": "@anna:example.org", "redacts": .string(event),
                    "content": ["redacts": .string(event)],
                ], notifies: false)
        }
    }

    /// A user has read a room up to an event.
    package func read(_ event: String, by user: String) {
        core.state.withLock { state in
            guard let index = state.updates.firstIndex(where: { $0.id == event }) else { return }
            state.receipts["\(user) \(state.updates[index].room)"] = index
            state.addReceipt(state.updates[index].room, event, user)
        }
    }

    /// The room of an event.
    package func room(of event: String) -> String? {
        core.state.withLock { state in state.updates.first { $0.id == event }?.room }
    }

    package func invite(_ user: String, to room: String, named name: String?, by inviter: String) {
        core.state.withLock { $0.invite(user, room, name, inviter) }
    }

    package func leave(_ user: String, _ room: String) { core.state.withLock { $0.leave(user, room) } }

    /// Ends all sessions.
    package func endSessions(soft: Bool) {
        core.state.withLock { state in
            for token in state.tokens.keys { state.ended[token] = soft }
            state.tokens = [:]
        }
    }

    /// From now on the server does not know `GET /notifications`, as some do not.
    package func forgetNotifications() { core.state.withLock { $0.hasNotifications = false } }

    /// An access token for a user, as an administrator makes one.
    package func makeToken(for user: String) -> String {
        core.state.withLock { $0.makeToken(user: user, device: "ADMIN") }
    }
}

/// Something that happened, in the order a sync tells it.
struct MatrixUpdate: Sendable {
    enum Kind: Sendable, Hashable { case event, receipt, invite(user: String), leave(user: String) }
    var kind: Kind
    var id: String
    var room: String
    var event: JSONObject
    var notifies = false
    var isHighlight = false
}

/// What a `FakeMatrix` knows.
struct MatrixState: Sendable {
    var users: [String: String]
    var tokens: [String: (user: String, device: String)] = [:]
    var ended: [String: Bool] = [:]
    var loginAttempts = 0
    var filters: [String: JSON] = [:]
    var updates: [MatrixUpdate] = []
    /// `user room`: the index of the last update read.
    var receipts: [String: Int] = [:]
    var names: [String: String] = [:]
    var displayNames: [String: String] = [:]
    var hasNotifications = true
    /// Who is in a room; everybody where there is none.
    var members: [String: Set<String>] = [:]
    /// Hanging syncs by their token.
    var sleepers: [String: (user: String, wake: PeerWake)] = [:]
    private var number = 0

    init(users: [String: String]) { self.users = users }

    private mutating func nextID(_ prefix: String) -> String {
        number += 1
        return "\(prefix)\(number)"
    }

    mutating func makeToken(user: String, device: String) -> String {
        let token = nextID("syt_secret_token_")
        // A device has one session: a new login ends the one before.
        for (old, session) in tokens where session == (user, device) {
            tokens[old] = nil
            sleepers[old] = nil
            ended[old] = false
        }
        tokens[token] = (user, device)
        return token
    }

    @discardableResult
    mutating func add(_ room: String, _ event: JSON, notifies: Bool, isHighlight: Bool = false) -> String {
        let id = nextID("$event")
        var object = event.object ?? [:]
        object["event_id"] = .string(id)
        tell(
            MatrixUpdate(kind: .event, id: id, room: room, event: object, notifies: notifies, isHighlight: isHighlight))
        return id
    }

    mutating func addReceipt(_ room: String, _ event: String, _ user: String) {
        var (readers, receipt) = (JSONObject(), JSONObject())
        readers.append(user, ["ts": 1])
        receipt.append(event, ["m.read": .object(readers)])
        tell(
            MatrixUpdate(
                kind: .receipt, id: nextID("receipt"), room: room,
                event: ["type": "m.receipt", "content": .object(receipt)]))
    }

    mutating func invite(_ user: String, _ room: String, _ name: String?, _ inviter: String) {
        var events: [JSON] = [
            [
                "type": "m.room.member", "state_key": .string(user), "sender": .string(inviter),
                "content": ["membership": "invite"],
            ],
            [
                "type": "m.room.member", "state_key": .string(inviter), "sender": .string(inviter),
                "content": ["membership": "join", "displayname": "Anna Example"],
            ],
        ]
        if let name {
            events.append([
                "type": "m.room.name", "state_key": "", "sender": .string(inviter), "content": ["name": .string(name)],
            ])
        }
        tell(
            MatrixUpdate(
                kind: .invite(user: user), id: nextID("invite"), room: room,
                event: ["invite_state": ["events": .array(events)]]))
    }

    mutating func leave(_ user: String, _ room: String) {
        tell(MatrixUpdate(kind: .leave(user: user), id: nextID("leave"), room: room, event: [:]))
    }

    /// Notes an update and wakes whom it concerns.
    private mutating func tell(_ update: MatrixUpdate) {
        updates.append(update)
        for sleeper in sleepers.values where concerns(update, sleeper.user) { sleeper.wake.wake() }
    }

    func concerns(_ update: MatrixUpdate, _ user: String) -> Bool {
        switch update.kind {
        case .event, .receipt: members[update.room]?.contains(user) ?? true
        case .invite(let who), .leave(let who): who == user
        }
    }

    func isRead(_ index: Int, by user: String) -> Bool {
        index <= receipts["\(user) \(updates[index].room)"] ?? -1
            || updates[index...].contains {
                $0.room == updates[index].room && $0.event["sender"]?.string == user && $0.kind == .event
            }
    }

    func unread(_ room: String, _ user: String) -> Int {
        updates.indices.filter { updates[$0].room == room && isNotification($0, user) && !isRead($0, by: user) }.count
    }

    func isNotification(_ index: Int, _ user: String) -> Bool {
        updates[index].notifies && concerns(updates[index], user) && updates[index].event["sender"]?.string != user
    }
}
