internal import Base

/// Which connection of a pool a request over HTTP/2 takes, which connections are made and which are closed. No socket,
/// no clock, no nghttp2. Places are what requests may share connections to; the caller numbers them.
struct HTTP2PoolMachine: Sendable {
    /// What a pool may have.
    struct Limits: Sendable, Equatable {
        /// Connections to one place.
        var connectionsPerPlace: Int
        /// Connections in all.
        var connections: Int
        /// Requests under way on one connection, if its server allows as many.
        var streams: Int
        /// A connection on which nothing was under way for so long is not used again.
        var idleAge: Duration
        /// A connection is replaced after this time, so that changed addresses are found.
        var lifetime: Duration
    }

    enum Action: Equatable, Sendable {
        /// Make a connection; answer with `opened` or `failed`.
        case dial(Int, place: Int)
        case send(UInt64, on: Int)
        /// The connection is forgotten already.
        case close(Int)
        /// Servers have refused the request so often without a look at it that it is not sent again.
        case giveUp(UInt64)
    }

    /// How often a request is sent again that was surely not processed (RFC 9113 section 8.7).
    static let repeatLimit = 5

    private struct Link {
        let number: Int
        let place: Int
        var isOpen = false
        /// Takes no further requests.
        var isLeaving = false
        /// Requests that the server allows at once; nil until it has said so.
        var limit: Int?
        var isProven = false
        var requests = 0
        let made: Moment
        var lastUse: Moment
    }

    private struct Request {
        let place: Int
        let proves: Bool
        /// The connection's number; nil while it waits.
        var link: Int?
        var repeats = 0
    }

    /// Requests that wait for a connection to one place, the first at the end: taking it costs nothing.
    private struct Line {
        private var front: [UInt64] = []
        private var back: [UInt64] = []

        var isEmpty: Bool { front.isEmpty && back.isEmpty }
        var all: [UInt64] { front.reversed() + back }

        mutating func append(_ id: UInt64) { back.append(id) }
        mutating func insertFirst(_ id: UInt64) { front.append(id) }
        mutating func first() -> UInt64? {
            if front.isEmpty { (front, back) = (back.reversed(), []) }
            return front.last
        }
        mutating func removeFirst() { if first() != nil { front.removeLast() } }
    }

    private let limits: Limits
    /// Oldest first; a pool has few.
    private var links: [Link] = []
    private var requests: [UInt64: Request] = [:]
    /// Ids of requests that were cancelled stay until they come up.
    private var lines: [Int: Line] = [:]
    private var lastNumber = 0

    init(limits: Limits) { self.limits = limits }

    /// Connections, those being made among them.
    var connectionCount: Int { links.count }
    /// Requests waiting or under way.
    var requestCount: Int { requests.count }

    // MARK: Requests

    /// A new request.
    /// - Parameter proves: it goes alone onto a connection that has had no good answer.
    mutating func submit(_ id: UInt64, place: Int, proves: Bool, now: Moment) -> [Action] {
        let closed = retireOld(place, now)
        if lines[place] == nil, let index = roomy(place, proves: proves) {
            requests[id] = Request(place: place, proves: proves)
            return closed + [send(id, on: index, now)]
        }
        requests[id] = Request(place: place, proves: proves)
        lines[place, default: Line()].append(id)
        return closed + fill(place, now)
    }

    /// A request has its answer, or will not get any.
    /// - Parameter isProof: the answer was a good one.
    mutating func ended(_ id: UInt64, isProof: Bool, now: Moment) -> [Action] {
        guard let request = requests.removeValue(forKey: id) else { return [] }
        guard let number = request.link else { return [] }
        if isProof { change(number) { $0.isProven = true } }
        return leave(number, now) + fill(request.place, now)
    }

    /// A request under way was surely not processed: it is sent again, before those that came later.
    mutating func refused(_ id: UInt64, now: Moment) -> [Action] {
        guard var request = requests[id], let number = request.link else { return [] }
        guard request.repeats < Self.repeatLimit else {
            return [.giveUp(id)] + ended(id, isProof: false, now: now)
        }
        (request.link, request.repeats) = (nil, request.repeats + 1)
        requests[id] = request
        lines[request.place, default: Line()].insertFirst(id)
        return leave(number, now) + fill(request.place, now)
    }

    /// Where a request is under way; nil while it waits.
    func connection(of id: UInt64) -> Int? { requests[id]?.link }

    /// Whether there is a connection to a place, or a request for it.
    func uses(_ place: Int) -> Bool {
        links.contains { $0.place == place } || requests.values.contains { $0.place == place }
    }

    // MARK: Connections

    /// A connection is up.
    mutating func opened(_ number: Int, now: Moment) -> [Action] {
        guard let place = change(number, { $0.isOpen = true }) else { return [] }
        return fill(place, now)
    }

    /// How many requests the server takes at once on a connection; it may change its mind.
    mutating func allowed(_ number: Int, streams: Int, now: Moment) -> [Action] {
        guard let place = change(number, { $0.limit = streams }) else { return [] }
        return fill(place, now)
    }

    /// A connection could not be made.
    /// - Returns: the requests that get no connection; none while there is another one to their place.
    mutating func failed(_ number: Int) -> [UInt64] {
        guard let place = remove(number) else { return [] }
        guard !links.contains(where: { $0.place == place && !$0.isLeaving }) else { return [] }
        let left = lines.removeValue(forKey: place)?.all.filter { requests[$0] != nil } ?? []
        for id in left { requests[id] = nil }
        return left
    }

    /// The server takes no further requests on a connection, or nobody shall send any: it ends with those under way.
    mutating func leaving(_ number: Int, now: Moment) -> [Action] {
        guard let index = links.firstIndex(where: { $0.number == number }) else { return [] }
        let place = links[index].place
        links[index].isLeaving = true
        return closeIfLeft(index) + fill(place, now)
    }

    /// A connection has ended; what was under way on it is told of one by one (`ended`, `refused`).
    mutating func lost(_ number: Int, now: Moment) -> [Action] {
        guard let place = remove(number) else { return [] }
        return fill(place, now)
    }

    /// No connection that is open now takes a further request; those that wait get another.
    mutating func retire(now: Moment) -> [Action] {
        for index in links.indices where links[index].isOpen { links[index].isLeaving = true }
        let closed = links.indices.reversed().flatMap { closeIfLeft($0) }
        return closed + lines.keys.sorted().flatMap { fill($0, now) }
    }

    // MARK: Inside

    /// Sends what waits for a place as far as there is room, and has a connection made for the rest.
    private mutating func fill(_ place: Int, _ now: Moment) -> [Action] {
        guard lines[place] != nil else { return [] }
        var actions: [Action] = []
        while let id = lines[place]?.first() {
            guard let request = requests[id], request.link == nil else {
                lines[place]?.removeFirst()
                continue
            }
            guard let index = roomy(place, proves: request.proves) else {
                return actions + dial(place, proves: request.proves, now)
            }
            lines[place]?.removeFirst()
            actions.append(send(id, on: index, now))
        }
        lines[place] = nil
        return actions
    }

    private mutating func send(_ id: UInt64, on index: Int, _ now: Moment) -> Action {
        links[index].requests += 1
        links[index].lastUse = now
        requests[id]?.link = links[index].number
        return .send(id, on: links[index].number)
    }

    /// The oldest connection with room for one more: the younger ones get to rest.
    private func roomy(_ place: Int, proves: Bool) -> Int? {
        links.firstIndex { link in
            link.place == place && link.isOpen && !link.isLeaving && link.requests < room(link, proves: proves)
        }
    }

    private func room(_ link: Link, proves: Bool) -> Int {
        // One does no harm before the server has said how many it takes.
        guard let limit = link.limit, link.isProven || !proves else { return 1 }
        return min(limit, limits.streams)
    }

    /// Has a further connection made, if there may be one and none is about to have room.
    private mutating func dial(_ place: Int, proves: Bool, _ now: Moment) -> [Action] {
        let siblings = links.filter { $0.place == place && !$0.isLeaving }
        let isComing = siblings.contains { !$0.isOpen || $0.limit == nil || proves && !$0.isProven }
        guard !isComing, siblings.count < limits.connectionsPerPlace else { return [] }
        var actions: [Action] = []
        if links.count >= limits.connections {
            let idle = links.filter { $0.isOpen && $0.requests == 0 }
            guard let oldest = idle.min(by: { $0.lastUse < $1.lastUse }) else { return [] }
            remove(oldest.number)
            actions.append(.close(oldest.number))
        }
        lastNumber += 1
        links.append(Link(number: lastNumber, place: place, made: now, lastUse: now))
        return actions + [.dial(lastNumber, place: place)]
    }

    /// Takes connections to a place out of use that have stood idle, or lasted, for too long.
    private mutating func retireOld(_ place: Int, _ now: Moment) -> [Action] {
        var actions: [Action] = []
        for index in links.indices.reversed() where links[index].place == place && links[index].isOpen {
            let link = links[index]
            let isStale = link.requests == 0 && now - link.lastUse > limits.idleAge
            guard isStale || now - link.made > limits.lifetime else { continue }
            links[index].isLeaving = true
            actions += closeIfLeft(index)
        }
        return actions
    }

    /// A request is no longer on a connection.
    private mutating func leave(_ number: Int, _ now: Moment) -> [Action] {
        guard let index = links.firstIndex(where: { $0.number == number }) else { return [] }
        links[index].requests -= 1
        links[index].lastUse = now
        return closeIfLeft(index)
    }

    private mutating func closeIfLeft(_ index: Int) -> [Action] {
        let link = links[index]
        guard link.isLeaving, link.isOpen, link.requests == 0 else { return [] }
        links.remove(at: index)
        return [.close(link.number)]
    }

    /// - Returns: the connection's place; nil when it is forgotten already.
    @discardableResult
    private mutating func change(_ number: Int, _ body: (inout Link) -> Void) -> Int? {
        guard let index = links.firstIndex(where: { $0.number == number }) else { return nil }
        body(&links[index])
        return links[index].place
    }

    @discardableResult
    private mutating func remove(_ number: Int) -> Int? {
        guard let index = links.firstIndex(where: { $0.number == number }) else { return nil }
        return links.remove(at: index).place
    }
}
