/// Who sleeps until when: a heap of deadlines in which the cancelled stay until they come up or until they
/// are the greater part. No clock, no lock.
package struct SleepQueue<Sleeper> {
    private struct Entry: Comparable {
        let due: Moment
        let id: UInt64
        static func < (a: Entry, b: Entry) -> Bool { (a.due, a.id) < (b.due, b.id) }
    }

    /// Below this many entries the cancelled are not cleared away.
    private static var smallSize: Int { 64 }

    private var heap = Heap<Entry>()
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
        heap.insert(Entry(due: due, id: id))
    }

    /// Takes a sleeper out before its time; nil when it is not there any more.
    package mutating func remove(_ id: UInt64) -> Sleeper? {
        guard let sleeper = sleepers.removeValue(forKey: id) else { return nil }
        // Costs as much as the heap is long, and comes only after half of it was cancelled.
        if heap.count > Self.smallSize, heap.count > 2 * sleepers.count { heap.keep { sleepers[$0.id] != nil } }
        return sleeper
    }

    /// Takes out those whose time has come, in the order of their deadlines.
    package mutating func due(at now: Moment) -> [Sleeper] {
        var awake: [Sleeper] = []
        while let first = heap.first, first.due <= now {
            heap.popFirst()
            if let sleeper = sleepers.removeValue(forKey: first.id) { awake.append(sleeper) }
        }
        return awake
    }
}
