import Testing

@testable import Outbound

@Suite("Requests that share a connection") struct SharedConnectionsTests {
    /// The macros do not take functions that change a value.
    private final class Subject {
        private var shared = SharedConnections()

        func begin(_ transfer: UInt, port: Int) { shared.begin(transfer, port: port) }
        func failed(_ transfer: UInt) { shared.failed(transfer) }
        func end(_ transfer: UInt) { shared.end(transfer) }
        func suspectAll() { shared.suspectAll() }
        func next() -> Int? { shared.nextSuspect() }
    }

    @Test("where one loses it the others are told, one after the other")
    func failure() {
        let shared = Subject()
        for transfer in 1...3 { shared.begin(UInt(transfer), port: 9) }
        shared.begin(4, port: 10)
        #expect(shared.next() == nil)
        for transfer in 1...2 {
            shared.failed(UInt(transfer))
            shared.end(UInt(transfer))
            #expect(shared.next() == 9)
            #expect(shared.next() == nil)
        }
        shared.failed(3)
        shared.end(3)
        #expect(shared.next() == nil)
    }

    @Test("a request that was moved has lost its connection; the new one has not")
    func moved() {
        let shared = Subject()
        for transfer in 1...2 { shared.begin(UInt(transfer), port: 9) }
        shared.begin(3, port: 10)
        shared.begin(1, port: 10)
        #expect(shared.next() == 9)
        #expect(shared.next() == nil)
        // Its header was asked for again on the same connection.
        shared.begin(3, port: 10)
        #expect(shared.next() == nil)
    }

    @Test("nobody is told of a connection that has been left meanwhile")
    func left() {
        let shared = Subject()
        for transfer in 1...2 { shared.begin(UInt(transfer), port: 9) }
        shared.failed(1)
        shared.end(1)
        shared.end(2)
        #expect(shared.next() == nil)
        // Long over.
        shared.failed(2)
        shared.end(2)
        #expect(shared.next() == nil)
    }

    @Test("all that requests are on are looked at, once")
    func all() {
        let shared = Subject()
        shared.begin(1, port: 9)
        for transfer in 2...3 { shared.begin(UInt(transfer), port: 10) }
        shared.end(1)
        shared.begin(4, port: 11)
        shared.suspectAll()
        #expect([shared.next(), shared.next()].compactMap(\.self).sorted() == [10, 11])
        #expect(shared.next() == nil)
    }
}
