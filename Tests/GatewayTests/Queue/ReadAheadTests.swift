import Testing

@testable import Gateway

@Suite struct ReadAheadTests {
    @Test("a queue that is in memory is never read ahead; one that is not, before it runs dry")
    func schedule() {
        var ahead = ReadAhead()
        for _ in 0..<10 {
            let count = ahead.taken(1, missed: false)
            #expect(count == 0)
        }
        let first = ahead.taken(1, missed: true)
        #expect(first == ReadAhead.messagesLimit)
        let second = ahead.taken(1, missed: true)
        #expect(second == 0, "one read at a time")
        ahead.read(256, bytes: 256 * 100)
        var reads = 0
        for _ in 0..<128 { reads += ahead.taken(1, missed: false) == 0 ? 0 : 1 }
        #expect(reads == 0, "half of it is left")
        let next = ahead.taken(1, missed: false)
        #expect(next == ReadAhead.messagesLimit)
        ahead.read(0, bytes: 0)
        let done = ahead.taken(200, missed: false)
        #expect(done == 0, "nothing is left to read")
    }

    @Test("large bodies are read a few at a time")
    func large() {
        var ahead = ReadAhead()
        _ = ahead.taken(1, missed: true)
        ahead.read(4, bytes: 4 << 20)
        let count = ahead.taken(4, missed: false)
        #expect(count == 3)
    }
}
