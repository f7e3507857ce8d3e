internal import Base

/// Which requests may share connections. Besides the caller's name the version is part of it, so that a request
/// for HTTP/2 never meets an HTTP/1.1 connection, and the destination policy, because an open connection is
/// not checked again.
struct PoolKey: Hashable, Sendable {
    var name: String
    var http2Only: Bool
    var destination: HTTPRequest.Destination
    /// Answers that go on have connections apart: they would take every one that short requests need.
    var isStream = false
    /// Whose connections they are, where a scheme authenticates connections.
    var owner: HTTPRequest.Authentication?
}

/// Who may start and who waits, without libcurl: bounded numbers of pools, of running and of waiting requests.
struct PoolScheduler: Sendable {
    struct Limits: Sendable, Equatable {
        /// Running requests of one pool.
        var runningPerPool: Int
        /// Waiting requests of one pool.
        var waitingPerPool: Int
        /// Running requests of a pool whose answers go on.
        var streamsPerPool = 10_000
        /// Pools kept; the one unused longest makes room for a new one.
        var pools: Int
    }

    enum Action: Equatable, Sendable {
        case openPool(PoolKey)
        case closePool(PoolKey)
        case start(UInt64, PoolKey)
        /// The request cannot even wait.
        case refuse(UInt64)
        /// Its time was over before it could start.
        case expire(UInt64)
        /// Running: take it off the wire.
        case abort(UInt64)
    }

    private struct Pool {
        var running = 0
        var waiting = 0
        /// Ids in order of arrival; those of cancelled requests stay until they come up.
        var queue: [UInt64] = []
        var head = 0
        var lastUse: UInt64 = 0
    }

    private struct Entry {
        let key: PoolKey
        let deadline: Moment
        var isRunning: Bool
    }

    private let limits: Limits
    private var pools: [PoolKey: Pool] = [:]
    private var entries: [UInt64: Entry] = [:]
    private var uses: UInt64 = 0
    private(set) var waiting = 0

    init(limits: Limits) { self.limits = limits }

    var poolCount: Int { pools.count }
    var running: Int { entries.count - waiting }

    /// A new request.
    mutating func submit(_ id: UInt64, _ key: PoolKey, deadline: Moment) -> [Action] {
        var actions: [Action] = []
        uses += 1
        if pools[key] == nil {
            if pools.count >= limits.pools {
                let idle = pools.filter { $0.value.running == 0 && $0.value.waiting == 0 }
                guard let oldest = idle.min(by: { $0.value.lastUse < $1.value.lastUse })?.key else {
                    return [.refuse(id)]
                }
                pools[oldest] = nil
                actions.append(.closePool(oldest))
            }
            pools[key] = Pool()
            actions.append(.openPool(key))
        }
        pools[key]!.lastUse = uses
        if pools[key]!.running < (key.isStream ? limits.streamsPerPool : limits.runningPerPool) {
            pools[key]!.running += 1
            entries[id] = Entry(key: key, deadline: deadline, isRunning: true)
            actions.append(.start(id, key))
        } else if pools[key]!.waiting < limits.waitingPerPool {
            pools[key]!.waiting += 1
            pools[key]!.queue.append(id)
            waiting += 1
            entries[id] = Entry(key: key, deadline: deadline, isRunning: false)
        } else {
            actions.append(.refuse(id))
        }
        return actions
    }

    /// A running request has ended; the next one of its pool starts.
    mutating func finished(_ id: UInt64) -> [Action] {
        guard let entry = entries[id], entry.isRunning else { return [] }
        entries[id] = nil
        pools[entry.key]?.running -= 1
        guard let next = takeNext(entry.key) else { return [] }
        entries[next]?.isRunning = true
        pools[entry.key]?.running += 1
        return [.start(next, entry.key)]
    }

    /// Nobody wants the answer any more.
    mutating func cancel(_ id: UInt64) -> [Action] {
        guard let entry = entries[id] else { return [] }
        guard entry.isRunning else {
            dropWaiting(id, entry.key)
            return []
        }
        return [.abort(id)] + finished(id)
    }

    /// Gives up waiting requests whose time is over; running ones have their own timer.
    mutating func expire(now: Moment) -> [Action] {
        guard waiting > 0 else { return [] }
        let late = entries.filter { !$0.value.isRunning && $0.value.deadline <= now }
        for (id, entry) in late { dropWaiting(id, entry.key) }
        return late.keys.sorted().map { .expire($0) }
    }

    private mutating func dropWaiting(_ id: UInt64, _ key: PoolKey) {
        entries[id] = nil
        pools[key]?.waiting -= 1
        waiting -= 1
        if pools[key]?.waiting == 0 {
            pools[key]?.queue = []
            pools[key]?.head = 0
        }
    }

    private mutating func takeNext(_ key: PoolKey) -> UInt64? {
        guard var pool = pools.removeValue(forKey: key) else { return nil }
        defer { pools[key] = pool }
        while pool.head < pool.queue.count {
            let id = pool.queue[pool.head]
            pool.head += 1
            guard entries[id] != nil else { continue }
            pool.waiting -= 1
            waiting -= 1
            // Cuts off the used front now and then, at a cost that is constant on average.
            if pool.head * 2 > pool.queue.count {
                pool.queue.removeFirst(pool.head)
                pool.head = 0
            }
            return id
        }
        pool.queue = []
        pool.head = 0
        return nil
    }
}
