/// Who sleeps until when: a heap of deadlines in which the cancelled stay until they come up or until they
/// are the greater part. No clock, no lock.
package struct SleepQueue<Sleeper> {
    private struct Entry {
        let due: Moment
        let id: UInt64
    }

    /// Below this many entries the cancelled are not cleared away.
    private static var smallSize: Int { 64 }

    private var heap: [Entry] = []
    private var sleepers: [UInt64: Sleeper] = [:]

    package init() {}

    /// How many sleep.
    package var count: Int { sleepers.count }
    /// Places in the heap, those of the cancelled among them.
    package var size: Int { heap.count }
    /// When to look next; it may turn out that nobody is due then.
    package var next: Moment? { heap.first?.due }

    /// - Parameter id: used for no other sleeper.
    package mutating func insert(_ sleeper: Sleeper, id: UInt64, due: Moment) {
        sleepers[id] = sleeper
        heap.append(Entry(due: due, id: id))
        rise(heap.count - 1)
    }

    /// Takes a sleeper out before its time; nil when it is not there any more.
    package mutating func remove(_ id: UInt64) -> Sleeper? {
        guard let sleeper = sleepers.removeValue(forKey: id) else { return nil }
        if heap.count > Self.smallSize, heap.count > 2 * sleepers.count { clear() }
        return sleeper
    }

    /// Takes out those whose time has come, in the order of their deadlines.
    package mutating func due(at now: Moment) -> [Sleeper] {
        var awake: [Sleeper] = []
        while let first = heap.first, first.due <= now {
            dropFirst()
            if let sleeper = sleepers.removeValue(forKey: first.id) { awake.append(sleeper) }
        }
        return awake
    }

    private mutating func dropFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        sink(0)
    }

    /// Costs as much as the heap is long, and comes only after half of it was cancelled.
    private mutating func clear() {
        heap.removeAll { sleepers[$0.id] == nil }
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { sink(index) }
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard heap[index].due < heap[parent].due else { return }
            heap.swapAt(index, parent)
            index = parent
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child].due < heap[least].due {
                least = child
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
