import Base
import Testing

@testable import Outbound

@Suite("Which HTTP/2 connection a request takes") struct HTTP2PoolMachineTests {
    private typealias Action = HTTP2PoolMachine.Action

    /// The macros do not take functions that change a value. Place 1 unless another is said.
    private final class Subject {
        private var machine: HTTP2PoolMachine
        private(set) var now = Moment(nanoseconds: 0)

        init(perPlace: Int = 2, connections: Int = 3, streams: Int = 10) {
            machine = HTTP2PoolMachine(
                limits: HTTP2PoolMachine.Limits(
                    connectionsPerPlace: perPlace, connections: connections, streams: streams,
                    idleAge: .seconds(3000), lifetime: .seconds(40_000)))
        }

        func pass(_ time: Duration) { now = now + time }
        func submit(_ id: UInt64, place: Int = 1, proves: Bool = false) -> [Action] {
            machine.submit(id, place: place, proves: proves, now: now)
        }
        func ended(_ id: UInt64, isProof: Bool = false) -> [Action] { machine.ended(id, isProof: isProof, now: now) }
        func refused(_ id: UInt64) -> [Action] { machine.refused(id, now: now) }
        func opened(_ number: Int) -> [Action] { machine.opened(number, now: now) }
        func allowed(_ number: Int, _ streams: Int) -> [Action] {
            machine.allowed(number, streams: streams, now: now)
        }
        func failed(_ number: Int) -> [UInt64] { machine.failed(number) }
        func leaving(_ number: Int) -> [Action] { machine.leaving(number, now: now) }
        func lost(_ number: Int) -> [Action] { machine.lost(number, now: now) }
        func retire() -> [Action] { machine.retire(now: now) }
        func connection(of id: UInt64) -> Int? { machine.connection(of: id) }
        func uses(_ place: Int) -> Bool { machine.uses(place) }
        var counts: [Int] { [machine.connectionCount, machine.requestCount] }

        /// An open connection to the place, whose server has said how many it takes, with one request under way.
        func open(_ number: Int, by id: UInt64, place: Int = 1, streams: Int = 100) {
            #expect(submit(id, place: place) == [.dial(number, place: place)])
            #expect(opened(number) == [.send(id, on: number)])
            #expect(allowed(number, streams) == [])
        }
    }

    @Test("a burst has one connection made, and goes onto it when its server has said how many it takes")
    func burst() {
        let pool = Subject()
        #expect(pool.submit(1) == [.dial(1, place: 1)])
        #expect(pool.submit(2) == [])
        #expect(pool.submit(3) == [])
        #expect(pool.connection(of: 1) == nil)
        #expect(pool.opened(1) == [.send(1, on: 1)], "one does no harm before")
        #expect(pool.submit(4) == [])
        #expect(pool.allowed(1, 100) == [.send(2, on: 1), .send(3, on: 1), .send(4, on: 1)])
        #expect(pool.submit(5) == [.send(5, on: 1)])
        #expect(pool.connection(of: 5) == 1)
    }

    @Test("only a full connection has another one made, up to the bound; then requests wait in their order")
    func full() {
        let pool = Subject()
        pool.open(1, by: 1, streams: 2)
        #expect(pool.submit(2) == [.send(2, on: 1)])
        #expect(pool.submit(3) == [.dial(2, place: 1)])
        #expect(pool.submit(4) == [], "one is being made")
        #expect(pool.opened(2) == [.send(3, on: 2)])
        #expect(pool.allowed(2, 1) == [], "no third connection")
        #expect(pool.submit(5) == [])
        #expect(pool.ended(1) == [.send(4, on: 1)])
        #expect(pool.ended(3) == [.send(5, on: 2)])
    }

    @Test("our own bound of requests on a connection holds where the server has none")
    func ownBound() {
        let pool = Subject(perPlace: 1, streams: 2)
        pool.open(1, by: 1, streams: .max)
        #expect(pool.submit(2) == [.send(2, on: 1)])
        #expect(pool.submit(3) == [])
    }

    @Test("a server that takes fewer than before gets no more until there is room, and its new bound is used")
    func limitChanges() {
        let pool = Subject(perPlace: 1)
        pool.open(1, by: 1)
        #expect(pool.submit(2) == [.send(2, on: 1)])
        #expect(pool.allowed(1, 1) == [])
        #expect(pool.submit(3) == [])
        #expect(pool.ended(1) == [])
        #expect(pool.ended(2) == [.send(3, on: 1)])
        #expect(pool.submit(4) == [])
        #expect(pool.allowed(1, 2) == [.send(4, on: 1)])
    }

    @Test("until its first good answer a connection carries one of those that prove it, and no other is made")
    func proof() {
        let pool = Subject()
        #expect(pool.submit(1, proves: true) == [.dial(1, place: 1)])
        #expect(pool.opened(1) == [.send(1, on: 1)])
        #expect(pool.allowed(1, 100) == [])
        #expect(pool.submit(2, proves: true) == [])
        #expect(pool.submit(3, proves: true) == [])
        #expect(pool.ended(1, isProof: false) == [.send(2, on: 1)], "another answer hands the one place on")
        #expect(pool.ended(2, isProof: true) == [.send(3, on: 1)])
        #expect(pool.submit(4, proves: true) == [.send(4, on: 1)])
        // Each connection for itself.
        #expect(pool.leaving(1) == [])
        #expect(pool.submit(5, proves: true) == [.dial(2, place: 1)])
        #expect(pool.submit(6, proves: true) == [])
        #expect(pool.opened(2) == [.send(5, on: 2)])
        #expect(pool.allowed(2, 100) == [])
        #expect(pool.ended(5, isProof: true) == [.send(6, on: 2)])
    }

    @Test("a request that was surely not processed goes before those that wait, five times at most")
    func refused() {
        let pool = Subject(perPlace: 1, streams: 1)
        pool.open(1, by: 1)
        #expect(pool.submit(2) == [])
        for _ in 0..<HTTP2PoolMachine.repeatLimit { #expect(pool.refused(1) == [.send(1, on: 1)]) }
        #expect(pool.refused(1) == [.giveUp(1), .send(2, on: 1)])
        #expect(pool.counts == [1, 1])
    }

    @Test("a connection that is left takes no more, is closed after its last request, and another is made")
    func leaving() {
        let pool = Subject()
        pool.open(1, by: 1)
        #expect(pool.submit(2) == [.send(2, on: 1)])
        #expect(pool.leaving(1) == [])
        #expect(pool.refused(2) == [.dial(2, place: 1)])
        #expect(pool.ended(1) == [.close(1)])
        #expect(pool.opened(2) == [.send(2, on: 2)])
        #expect(pool.ended(2) == [])
        #expect(pool.leaving(2) == [.close(2)], "nobody is on it")
        #expect(pool.counts == [0, 0])
    }

    @Test("what waits for a connection that ends gets another")
    func lost() {
        let pool = Subject(perPlace: 1)
        pool.open(1, by: 1, streams: 1)
        #expect(pool.submit(2) == [])
        #expect(pool.lost(1) == [.dial(2, place: 1)])
        #expect(pool.ended(1) == [])
        #expect(pool.opened(2) == [.send(2, on: 2)])
        #expect(pool.lost(1) == [], "it is forgotten")
    }

    @Test("where none can be made all that wait for the place are told; not while there is another")
    func failed() {
        let pool = Subject()
        #expect(pool.submit(1) == [.dial(1, place: 1)])
        #expect(pool.submit(2) == [])
        #expect(pool.submit(3, place: 7) == [.dial(2, place: 7)])
        #expect(pool.ended(2) == [], "cancelled")
        #expect(pool.submit(4) == [])
        #expect(pool.failed(1) == [1, 4])
        #expect(pool.counts == [1, 1])
        #expect(pool.submit(5) == [.dial(3, place: 1)], "the next one tries again")
        #expect(pool.opened(3) == [.send(5, on: 3)])
        #expect(pool.allowed(3, 1) == [])
        #expect(pool.submit(6) == [.dial(4, place: 1)])
    }

    @Test("a second connection that cannot be made leaves those that wait to the first")
    func secondFails() {
        let pool = Subject()
        pool.open(1, by: 1, streams: 1)
        #expect(pool.submit(2) == [.dial(2, place: 1)])
        #expect(pool.failed(2) == [])
        #expect(pool.ended(1) == [.send(2, on: 1)])
    }

    @Test("at the bound of connections the one unused longest makes room; with none idle requests wait")
    func connectionBound() {
        let pool = Subject(connections: 2)
        pool.open(1, by: 1, place: 1)
        pool.pass(.seconds(1))
        pool.open(2, by: 2, place: 2)
        #expect(pool.submit(3, place: 3) == [], "both are in use")
        pool.pass(.seconds(1))
        #expect(pool.ended(2) == [])
        pool.pass(.seconds(1))
        #expect(pool.ended(1) == [])
        #expect(pool.submit(4, place: 3) == [.close(2), .dial(3, place: 3)])
        #expect(pool.opened(3) == [.send(3, on: 3)])
        #expect(!pool.uses(2) && pool.uses(1) && pool.uses(3))
    }

    @Test("a connection that stood idle, or lasted, for too long is not used again")
    func age() {
        let pool = Subject()
        pool.open(1, by: 1)
        #expect(pool.ended(1) == [])
        pool.pass(.seconds(3000))
        #expect(pool.submit(2) == [.send(2, on: 1)])
        #expect(pool.ended(2) == [])
        pool.pass(.seconds(3001))
        #expect(pool.submit(3) == [.close(1), .dial(2, place: 1)])
        #expect(pool.opened(2) == [.send(3, on: 2)])
        pool.pass(.seconds(40_001))
        #expect(pool.submit(4) == [.dial(3, place: 1)], "the old one goes with its request")
        #expect(pool.ended(3) == [.close(2)])
    }

    @Test("retired connections end with what is on them; what waits gets new ones")
    func retire() {
        let pool = Subject(perPlace: 1)
        pool.open(1, by: 1, streams: 1)
        #expect(pool.submit(2) == [])
        #expect(pool.retire() == [.dial(2, place: 1)])
        #expect(pool.ended(1) == [.close(1)])
        #expect(pool.opened(2) == [.send(2, on: 2)])
        #expect(pool.ended(2) == [])
        #expect(pool.retire() == [.close(2)])
    }

    @Test("a request that was cancelled while it waited is passed over")
    func cancelled() {
        let pool = Subject()
        #expect(pool.submit(1) == [.dial(1, place: 1)])
        #expect(pool.submit(2) == [])
        #expect(pool.ended(1) == [])
        #expect(pool.opened(1) == [.send(2, on: 1)])
        #expect(pool.ended(1) == [] && pool.refused(1) == [], "it is forgotten")
        #expect(pool.counts == [1, 1])
    }
}
