internal import Base
internal import Gateway

/// Where watching several folders goes on: a cursor each, and the messages announced last, in any of them.
struct IMAPFolderCursor: Sendable {
    /// UIDs followed, and Message-IDs of each folder remembered, in all folders together.
    static let unseenLimit = 1_800
    static let recentLimit = 640
    /// Message-IDs remembered for all folders, so that a message in two of them rings once.
    static let announcedLimit = 512

    private(set) var folders: [String: IMAPCursor] = [:]
    private(set) var announced: [UInt64] = []

    init() {}

    /// Reads the stored form, or that of a monitor with one mailbox of this name; nil when it is neither.
    init?(_ bytes: [UInt8], single: String) {
        if let cursor = IMAPCursor(bytes) {
            folders[single] = cursor
            return
        }
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let members = json["folders"]?.object?.members,
            let hashes = json["announced"]?.string.flatMap({ [UInt8](base64URL: $0) }), hashes.count % 8 == 0
        else { return nil }
        for member in members {
            guard let cursor = IMAPCursor(member.value.serializedBytes) else { return nil }
            folders[member.key] = cursor
        }
        announced = stride(from: 0, to: hashes.count, by: 8).map { start in
            hashes[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    private static let version: Int64 = 2

    var encoded: [UInt8] {
        var members = JSONObject()
        for (name, cursor) in folders.sorted(by: { $0.key < $1.key }) {
            if let json = try? JSONParser.parse(cursor.encoded) { members.append(name, json) }
        }
        let bytes = announced.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) } }
        let object: JSONObject = [
            "v": .integer(Self.version), "folders": .object(members), "announced": .string(bytes.base64URL),
        ]
        return JSON.object(object).serializedBytes
    }

    /// Keeps these folders only. One that is new in a mailbox that is known counts as rebuilt: what came since the last
    /// comparison is announced, what is older is not.
    mutating func keep(_ names: [String]) {
        let checked = folders.values.map(\.checked).max()
        folders = folders.filter { names.contains($0.key) }
        guard let checked else { return }
        for name in names where folders[name] == nil {
            folders[name] = IMAPCursor(validity: .max, next: 1, checked: checked)
        }
    }

    /// A folder's batch, with keys that are unique in the mailbox and without what another folder has announced.
    mutating func take(_ batch: MonitorBatch, of folder: String, among count: Int) -> [MonitorBatch.Change] {
        if var cursor = IMAPCursor(batch.cursor) {
            cursor.limit(unseen: Self.unseenLimit / count, recent: Self.recentLimit / count)
            folders[folder] = cursor
        }
        return batch.changes.compactMap { change in
            switch change {
            case .seen(let key): return .seen(key: Self.key(key, folder))
            case .gone(let key): return .gone(key: Self.key(key, folder))
            case .new(var item):
                item.key = Self.key(item.key, folder)
                if let content = item.contentKey {
                    let hash = IMAPCursor.hash(content)
                    if announced.contains(hash) { return nil }
                    announced.append(hash)
                    if announced.count > Self.announcedLimit { announced.removeFirst() }
                }
                return .new(item)
            }
        }
    }

    /// The inbox's keys are those of a monitor that watches nothing else.
    static func key(_ key: String, _ folder: String) -> String {
        folder == "INBOX" ? key : String(IMAPCursor.hash(folder), radix: 36) + "/" + key
    }
}
