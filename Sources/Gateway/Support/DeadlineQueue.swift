package import Base

/// Keys ordered by when they are due: a binary heap. A key may stand in it several times; whoever takes
/// a key checks whether it is still due, so that moving a deadline is just another insertion.
package struct DeadlineQueue<Key: Sendable>: Sendable {
    private struct Entry: Comparable, Sendable {
        let due: Moment
        let key: Key
        static func < (a: Entry, b: Entry) -> Bool { a.due < b.due }
        static func == (a: Entry, b: Entry) -> Bool { a.due == b.due }
    }

    private var heap = Heap<Entry>()

    package init() {}

    package var next: Moment? { heap.first?.due }
    package var count: Int { heap.count }

    package mutating func insert(_ key: Key, due: Moment) { heap.insert(Entry(due: due, key: key)) }

    /// Drops the keys that do not fit.
    package mutating func keep(where fits: (Key) -> Bool) { heap.keep { fits($0.key) } }

    /// Takes the first key that is due at `now`, nil when none is.
    package mutating func pop(at now: Moment) -> Key? {
        guard let first = heap.first, first.due <= now else { return nil }
        heap.popFirst()
        return first.key
    }
}
