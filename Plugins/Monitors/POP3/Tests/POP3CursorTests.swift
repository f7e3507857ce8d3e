import Base
import Gateway
import Testing

@testable import POP3Monitor

@Suite struct POP3CursorTests {
    private func list(_ ids: some Sequence<String>) -> [POP3Cursor.Entry] {
        ids.enumerated().map { .init(number: $0 + 1, digest: POP3Cursor.digest(Array($1.utf8))) }
    }

    private func ids(_ range: ClosedRange<Int>) -> [String] { range.map { "0000\($0)5f3a" } }

    /// The ids that are news, through the stored form; nil: the mailbox counts as rebuilt.
    private func news(_ cursor: POP3Cursor, _ ids: [String]) throws -> [String]? {
        let stored = cursor.encoded
        #expect(stored.count <= MonitorBatch.cursorLimit)
        let read = try #require(POP3Cursor(stored))
        #expect(read == cursor)
        guard case .messages(let indices) = read.news(in: list(ids)) else { return nil }
        return indices.map { ids[$0] }
    }

    @Test("what was not there is new, wherever the server lists it")
    func small() throws {
        let cursor = POP3Cursor(list(ids(1...50)))
        #expect(try news(cursor, ids(1...50)) == [])
        #expect(try news(cursor, ["new"] + ids(1...20) + ["other"] + ids(30...50)) == ["new", "other"])
        #expect(try news(POP3Cursor(list([])), ids(1...100))?.count == 100)
    }

    @Test("digests do not collide in a large mailbox")
    func digests() {
        #expect(Set((0..<200_000).map { POP3Cursor.digest(Array("0000\($0)5f3a".utf8)) }).count == 200_000)
    }

    @Test("10,000 messages are known one by one")
    func full() throws {
        let cursor = POP3Cursor(list(ids(1...10_000)))
        #expect(cursor.headCount == nil)
        #expect(try news(cursor, ids(1...10_000).shuffled() + ["new"]) == ["new"])
    }

    @Test("of 60,000 messages none rings again and none is lost")
    func large() throws {
        let all = ids(1...60_000)
        var cursor = POP3Cursor(list(all))
        #expect(cursor.headCount == POP3Cursor.headLimit)
        #expect(try news(cursor, all) == [])
        #expect(try news(cursor, all + ["a", "b"]) == ["a", "b"])
        // A server that lists the newest first.
        #expect(try news(cursor, ["a"] + all) == ["a"])
        // Deletions everywhere, and news.
        #expect(try news(cursor, all.enumerated().filter { $0.offset % 3 != 0 }.map(\.element) + ["a"]) == ["a"])
        #expect(try news(cursor, Array(all.dropFirst(30_000)) + ["a"]) == ["a"])
        // What stands between must not be guessed at.
        #expect(try news(cursor, Array(all.dropLast(20_000)) + ["a"]) == nil)
        #expect(try news(cursor, ["x", "y"]) == nil)
        // It shrinks to what can be known again.
        cursor.learn(list(all.suffix(100)))
        #expect(cursor.headCount == nil)
        #expect(try news(cursor, all.suffix(100) + ["a"]) == ["a"])
    }

    @Test("a mailbox grows beyond what can be kept, and nothing old rings")
    func growth() throws {
        var cursor = POP3Cursor(list(ids(1...9_990)))
        for size in stride(from: 9_995, through: 10_050, by: 5) {
            #expect(try news(cursor, ids(1...size)) == ids((size - 4)...size))
            cursor.learn(list(ids(1...size)))
        }
    }

    @Test("a list that is empty once makes nothing ring afterwards")
    func glitch() throws {
        var cursor = POP3Cursor(list(ids(1...500)))
        cursor.learn([])
        #expect(try news(cursor, ids(1...500) + ["a"]) == ["a"])
    }

    @Test("other ids for everything are a rebuilt mailbox; few are told one by one")
    func rebuilt() throws {
        let cursor = POP3Cursor(list(ids(1...500)))
        #expect(try news(cursor, ids(1001...1500)) == nil)
        #expect(try news(cursor, ids(1001...1020))?.count == 20)
    }

    @Test("the deletion of announced messages is told once")
    func gone() throws {
        var cursor = POP3Cursor(list(ids(1...3)))
        for entry in list(["a", "b"]) { cursor.follow(entry.digest) }
        let read = try #require(POP3Cursor(cursor.encoded))
        #expect(read == cursor)
        #expect(cursor.takeGone(list(ids(1...3) + ["b"])) == [POP3Cursor.digest(Array("a".utf8))])
        #expect(cursor.takeGone(list(ids(1...3) + ["b"])) == [])
        for number in 0..<1000 { cursor.follow(UInt64(number)) }
        #expect(cursor.followed.count == POP3Cursor.followedLimit)
    }

    @Test("what is no cursor of ours is none")
    func unreadable() {
        let good = POP3Cursor(list(ids(1...3))).encoded
        for bytes in [[], Array("rubbish".utf8), Array(good.dropLast()), good + [0], [0] + good] as [[UInt8]] {
            #expect(POP3Cursor(bytes) == nil)
        }
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            var bytes = good
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            if let cursor = POP3Cursor(bytes) { #expect(POP3Cursor(cursor.encoded) == cursor) }
        }
    }

    @Test("keys are stable and distinct")
    func keys() {
        #expect(POP3Cursor.key(0xAB) == "uidl/0000000000ab")
        #expect(POP3Cursor.key(0xFFFF_FFFF_FFFF) == "uidl/ffffffffffff")
    }
}
