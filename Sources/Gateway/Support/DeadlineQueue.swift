package import Base

/// Keys ordered by when they are due: a binary heap. A key may stand in it several times; whoever takes
/// a key checks whether it is still due, so that moving a deadline is just another insertion.
package struct DeadlineQueue<Key: Sendable>: Sendable {
    private var heap: [(due: Moment, key: Key)] = []

    package init() {}

    package var next: Moment? { heap.first?.due }
    package var count: Int { heap.count }

    package mutating func insert(_ key: Key, due: Moment) {
        heap.append((due, key))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].due < heap[parent].due else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Drops the keys that do not fit.
    package mutating func keep(where fits: (Key) -> Bool) {
        var rest = DeadlineQueue()
        for entry in heap where fits(entry.key) { rest.insert(entry.key, due: entry.due) }
        self = rest
    }

    /// Takes the first key that is due at `now`, nil when none is.
    package mutating func pop(at now: Moment) -> Key? {
        guard let first = heap.first, first.due <= now else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            var parent = 0
            while true {
                var smallest = parent
                for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                    if heap[child].due < heap[smallest].due { smallest = child }
                }
                if smallest == parent { break }
                heap.swapAt(parent, smallest)
                parent = smallest
            }
        }
        return first.key
    }
}
