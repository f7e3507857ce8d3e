internal import Base

/// Numbers in ascending order: new ones come at the end and cost nothing, those that come back to their old
/// place stand in a heap beside them. A number may stand in it although it is not wanted any more; whoever takes
/// it checks.
struct ReadyList: Sendable {
    private var fresh: [Int64] = []
    /// Those before it were taken; they are removed in bulk.
    private var head = 0
    private var returned = Heap<Int64>()

    var count: Int { fresh.count - head + returned.count }

    mutating func insert(_ number: Int64) {
        if head == fresh.count || fresh[fresh.count - 1] < number {
            fresh.append(number)
        } else {
            returned.insert(number)
        }
    }

    var first: Int64? {
        guard head < fresh.count else { return returned.first }
        return min(fresh[head], returned.first ?? .max)
    }

    /// Numbers that come up soon, about in their order; not all that come back.
    func upcoming(_ limit: Int) -> ArraySlice<Int64> { fresh[head...].prefix(limit) }

    mutating func removeFirst() {
        guard let first else { return }
        if first == returned.first {
            returned.popFirst()
            return
        }
        head += 1
        if head == fresh.count {
            fresh.removeAll(keepingCapacity: fresh.count < 4096)
            head = 0
        } else if head > 1024, head > fresh.count / 2 {
            fresh.removeFirst(head)
            head = 0
        }
    }
}
