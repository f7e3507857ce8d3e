package import Base
package import Gateway

/// Compares a list with what is known of it. Plain values: whoever fetched the list passes it in.
///
/// What is new is told by keys alone: a list may be sorted anew, items may be edited, and some come back.
package struct ListWatch: Sendable {
    /// One entry of the list as it is now.
    package struct Entry: Sendable, Hashable {
        package var item: Item
        /// Whether the source says that it was read; false where it does not tell.
        package var isRead: Bool

        package init(_ item: Item, isRead: Bool = false) { (self.item, self.isRead) = (item, isRead) }
    }

    /// Items of one batch.
    package static let batchLimit = 100
    /// A list of at least so many items, none of which is known, was probably renamed or moved.
    static let rebuiltCount = 10
    /// How much older than the last comparison a date must be, for an item of such a list to be no news.
    static let rebuiltAge: Duration = .seconds(3600)

    /// Nil until the first list set the baseline.
    package private(set) var cursor: ListCursor?

    package init(cursor: ListCursor?) { self.cursor = cursor }

    /// Takes a list.
    /// - Parameters:
    ///   - entries: in the source's order, which is taken to be newest first where items have no times.
    ///   - missingIsGone: an announced item that is not in the list any more is gone; pass true for whole lists only.
    /// - Returns: batches to emit in this order. The comparison counts as made once all are stored: emit the batches
    ///   before the next one, or start anew with the cursor stored last.
    package mutating func look(_ entries: [Entry], missingIsGone: Bool, now: Timestamp) -> [MonitorBatch] {
        let entries = Self.unique(entries)
        let isFirst = cursor == nil
        let before = cursor ?? ListCursor(time: now)
        let known = Set(before.known)
        var changes = ended(before.open, entries, missingIsGone: missingIsGone)
        let fresh = isFirst ? [] : entries.filter { !known.contains(ListCursor.hash($0.item.key)) }
        let isRebuilt = fresh.count == entries.count && fresh.count >= Self.rebuiltCount && !known.isEmpty
        let news = Self.inOrder(fresh).filter { entry in
            guard isRebuilt, let time = entry.item.time else { return !entry.isRead }
            return !entry.isRead && before.time - time < Self.rebuiltAge
        }
        let endedKeys = Set(changes.map(Self.key))
        var after = before
        after.open.removeAll { endedKeys.contains($0) }
        if news.isEmpty {
            after.note(entries)
            let isChanged = isFirst || !changes.isEmpty || !fresh.isEmpty
            if isChanged { after.time = now }
            cursor = after
            return isChanged ? [MonitorBatch(changes: changes, cursor: after.encoded)] : []
        }
        changes += news.map { .new($0.item) }
        var batches: [MonitorBatch] = []
        for start in stride(from: 0, to: changes.count, by: Self.batchLimit) {
            let part = Array(changes[start..<min(start + Self.batchLimit, changes.count)])
            for case .new(let item) in part { after.announce(item.key) }
            if start + part.count == changes.count {
                after.note(entries)
                after.time = now
            }
            batches.append(MonitorBatch(changes: part, cursor: after.encoded))
        }
        cursor = after
        return batches
    }

    /// What became of announced items.
    private func ended(_ open: [String], _ entries: [Entry], missingIsGone: Bool) -> [MonitorBatch.Change] {
        let wanted = Set(open)
        let here = Dictionary(
            entries.filter { wanted.contains($0.item.key) }.map { ($0.item.key, $0.isRead) }
        ) { $0 || $1 }
        return open.compactMap { key in
            guard let isRead = here[key] else { return missingIsGone ? .gone(key: key) : nil }
            return isRead ? .seen(key: key) : nil
        }
    }

    private static func key(_ change: MonitorBatch.Change) -> String {
        switch change {
        case .new(let item): item.key
        case .seen(let key), .gone(let key): key
        }
    }

    private static func unique(_ entries: [Entry]) -> [Entry] {
        var keys: Set<String> = []
        return entries.filter { keys.insert($0.item.key).inserted }
    }

    /// Oldest first: by time, or else as the list turned round.
    private static func inOrder(_ entries: [Entry]) -> [Entry] {
        let turned = Array(entries.reversed().enumerated())
        guard entries.allSatisfy({ $0.item.time != nil }) else { return turned.map(\.element) }
        return turned.sorted { a, b in
            (a.element.item.time ?? .earliest, a.offset) < (b.element.item.time ?? .earliest, b.offset)
        }.map(\.element)
    }
}

extension ListCursor {
    /// An item is told now.
    fileprivate mutating func announce(_ key: String) {
        open.append(key)
        if open.count > Self.openLimit { open.removeFirst(open.count - Self.openLimit) }
        known.append(Self.hash(key))
        if known.count > Self.knownLimit { known.removeFirst(known.count - Self.knownLimit) }
    }

    /// The list as a whole has been looked at: what is in it moves to the end of what is remembered.
    fileprivate mutating func note(_ entries: [ListWatch.Entry]) {
        // As they stand: the first of a list, mostly its newest, are remembered longest.
        let here = entries.prefix(Self.knownLimit).reversed().map { Self.hash($0.item.key) }
        let isHere = Set(here)
        // Twice the list and some: feeds drop items and take them up again.
        let rest = known.filter { !isHere.contains($0) }.suffix(min(Self.knownLimit - here.count, here.count + 100))
        known = rest + here
    }
}
