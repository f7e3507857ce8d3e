package import Base
package import Gateway

/// The announced items of a chat whose fate is still followed, until they are read or withdrawn: at most
/// `limit`, the oldest go first. Part of a cursor, so it is small and has a stored form.
package struct FollowedItems: Sendable, Hashable {
    package struct Entry: Sendable, Hashable {
        /// What is read together: a room, a channel or a conversation.
        package let room: String
        package let key: String
        /// Grows within a room, such as a time or a number: reading one item reads those before it.
        package let order: Int64
    }

    /// Entries, and bytes of the longest room or key as they are stored; an item with a longer one is not followed.
    package static let limit = 100, nameLimit = 255

    package private(set) var entries: [Entry] = []

    package init() {}

    package var isEmpty: Bool { entries.isEmpty }
    package func contains(_ key: String) -> Bool { entries.contains { $0.key == key } }
    /// The rooms with followed items, each once, the longest followed first.
    package var rooms: [String] {
        entries.reduce(into: []) { rooms, entry in if !rooms.contains(entry.room) { rooms.append(entry.room) } }
    }

    package mutating func follow(_ key: String, in room: String, order: Int64) {
        guard Self.fits(key), Self.fits(room), !contains(key) else { return }
        entries.append(Entry(room: room, key: key, order: order))
        if entries.count > Self.limit { entries.removeFirst(entries.count - Self.limit) }
    }

    /// As it is stored: a server's ids could be made of what JSON writes with six bytes.
    private static func fits(_ name: String) -> Bool {
        name.utf8.count <= nameLimit && JSON.string(name).serializedBytes.count <= nameLimit + 2
    }

    /// What was read elsewhere: it is followed no longer.
    package mutating func seen(where isSeen: (Entry) -> Bool) -> [MonitorBatch.Change] {
        let seen = entries.filter(isSeen)
        if !seen.isEmpty { entries.removeAll(where: isSeen) }
        return seen.map { .seen(key: $0.key) }
    }

    /// What was withdrawn: it is followed no longer.
    package mutating func gone(where isGone: (Entry) -> Bool) -> [MonitorBatch.Change] {
        let gone = entries.filter(isGone)
        if !gone.isEmpty { entries.removeAll(where: isGone) }
        return gone.map { .gone(key: $0.key) }
    }

    // MARK: Stored form

    /// `[[room,[key,order,key,order,…]],…]`
    package var json: JSON {
        .array(
            rooms.map { room in
                .array([
                    .string(room),
                    .array(entries.filter { $0.room == room }.flatMap { [.string($0.key), .integer($0.order)] }),
                ])
            })
    }

    /// Nil when this is not the stored form.
    package init?(_ json: JSON) {
        guard let rooms = json.array else { return nil }
        for item in rooms {
            guard let room = item[0]?.string, let pairs = item[1]?.array, pairs.count % 2 == 0 else { return nil }
            for index in stride(from: 0, to: pairs.count, by: 2) {
                guard let key = pairs[index].string, let order = pairs[index + 1].integer else { return nil }
                follow(key, in: room, order: order)
            }
        }
    }
}
