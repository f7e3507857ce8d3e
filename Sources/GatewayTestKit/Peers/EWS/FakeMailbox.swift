internal import Base
internal import XML

/// An inbox as a log of changes: a sync state is a place in it.
struct FakeMailbox: Sendable {
    enum Change: Sendable {
        case create(String)
        case delete(String)
        case read(String)
    }

    struct Message: Sendable {
        let news: TestNews
        var isRead: Bool
    }

    private(set) var log: [Change] = []
    private(set) var messages: [String: Message] = [:]
    /// Part of every sync state: another one makes those given out invalid.
    var generation = 1
    private var lastID = 0

    mutating func deliver(_ news: TestNews, isRead: Bool) -> String {
        lastID += 1
        // As long as Exchange's are.
        let id = "AAMkAD" + String(repeating: "x", count: 130) + "\(lastID)="
        messages[id] = Message(news: news, isRead: isRead)
        log.append(.create(id))
        return id
    }

    mutating func markRead(_ id: String) {
        guard messages[id] != nil else { return }
        messages[id]?.isRead = true
        log.append(.read(id))
    }

    mutating func remove(_ id: String) {
        if messages.removeValue(forKey: id) != nil { log.append(.delete(id)) }
    }

    var syncStateNow: String { syncState(at: log.count) }

    private func syncState(at place: Int) -> String { Array("\(generation)/\(place)".utf8).base64 }

    /// A page of changes behind a sync state; nil when that is none of this mailbox.
    func page(after syncState: String?, limit: Int) -> (changes: [Change], state: String, isLast: Bool)? {
        var place = 0
        if let syncState {
            guard let bytes = [UInt8](base64: syncState) else { return nil }
            let parts = String(decoding: bytes, as: UTF8.self).split(separator: "/").compactMap { Int($0) }
            guard parts.count == 2, parts[0] == generation, (0...log.count).contains(parts[1]) else { return nil }
            place = parts[1]
        }
        let end = min(place + limit, log.count)
        return (Array(log[place..<end]), self.syncState(at: end), end == log.count)
    }
}
