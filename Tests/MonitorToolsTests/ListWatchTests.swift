import Base
import Gateway
import GatewayTestKit
import Testing

@testable import MonitorTools

@Suite struct ListWatchTests {
    private static let start = Timestamp(seconds: 1_795_248_000)

    private static func entries(
        _ keys: some Sequence<String>, read: Set<String> = [], time: Timestamp? = nil
    )
        -> [ListWatch.Entry]
    {
        keys.map { ListWatch.Entry(Item(key: $0, title: $0, time: time), isRead: read.contains($0)) }
    }

    private static func told(_ batches: [MonitorBatch]) -> [String] {
        batches.flatMap(\.changes).map { change in
            switch change {
            case .new(let item): "new \(item.key)"
            case .seen(let key): "seen \(key)"
            case .gone(let key): "gone \(key)"
            }
        }
    }

    @Test("SG-5 the first list is the baseline; then what is new is told oldest first, read or missing once")
    func course() {
        var list = ListWatch(cursor: nil)
        func look(_ entries: [ListWatch.Entry], whole: Bool = true) -> [String] {
            Self.told(list.look(entries, missingIsGone: whole, now: Self.start))
        }
        #expect(look(Self.entries(["b", "a"])) == [])
        #expect(list.cursor != nil)
        #expect(look(Self.entries(["d", "c", "b", "a"])) == ["new c", "new d"])
        #expect(look(Self.entries(["d", "c"], read: ["c"])) == ["seen c"])
        #expect(look(Self.entries(["c"]), whole: false) == [])
        #expect(look(Self.entries(["c"])) == ["gone d"])
        #expect(look([]) == [])
        #expect(look(Self.entries(["a", "b", "c", "d", "e", "e"])) == ["new e"])
    }

    @Test("the cursor goes with each batch: after a crash the rest is told, and nothing twice")
    func crash() {
        var list = ListWatch(cursor: ListCursor(time: Self.start))
        let all = (0..<250).map { "k\($0)" }
        let batches = list.look(Self.entries(all), missingIsGone: true, now: Self.start)
        #expect(batches.map(\.changes.count) == [100, 100, 50])
        let stored = ListCursor(batches[0].cursor)
        #expect(stored != nil)
        var again = ListWatch(cursor: stored)
        let rest = again.look(Self.entries(all), missingIsGone: true, now: Self.start)
        #expect(Set(Self.told(rest)).isDisjoint(with: Self.told([batches[0]])))
        #expect(Self.told(rest).count == 150)
    }

    @Test("a list whose items all got new ids rings for what is new by its date only")
    func rebuilt() {
        let old = (0..<12).map { "old\($0)" }
        var list = ListWatch(cursor: nil)
        _ = list.look(Self.entries(old), missingIsGone: false, now: Self.start)
        let renamed = Self.entries((0..<12).map { "new\($0)" }, time: Self.start + .seconds(-86_400))
        let fresh = Self.entries(["fresh"], time: Self.start + .seconds(60))
        let told = Self.told(list.look(renamed + fresh, missingIsGone: false, now: Self.start + .seconds(120)))
        #expect(told == ["new fresh"])
        // The first items of an empty list are news, whatever their date.
        var empty = ListWatch(cursor: nil)
        _ = empty.look([], missingIsGone: false, now: Self.start)
        #expect(Self.told(empty.look(renamed, missingIsGone: false, now: Self.start)).count == 12)
    }

    @Test("the largest cursor fits, and is read again; anything else is none")
    func cursor() {
        var cursor = ListCursor(time: Self.start)
        cursor.known = (0..<ListCursor.knownLimit).map { UInt64.max - UInt64($0) }
        cursor.open = (0..<ListCursor.openLimit).map { _ in String(repeating: "\"", count: ListCursor.keyLimit) }
        #expect(cursor.encoded.count <= MonitorBatch.cursorLimit)
        #expect(ListCursor(cursor.encoded) == cursor)
        for text in ["", "{}", #"{"v":2,"time":1,"known":"","open":[]}"#, #"{"v":1,"time":1,"known":"AA","open":[]}"#] {
            #expect(ListCursor(Array(text.utf8)) == nil)
        }
    }

    @Test("keys are bounded, and different ids stay different")
    func keys() {
        let long = String(repeating: "x", count: 1_000)
        #expect(ListCursor.key("a b/ü") == "a b/ü")
        #expect(ListCursor.key(long + "1") != ListCursor.key(long + "2"))
        #expect(ListCursor.key("a\nb") != ListCursor.key("ab") && !ListCursor.key("a\nb").contains("\n"))
        for id in [long, "", "\u{0}", String(repeating: "🎈", count: 100)] {
            #expect((1...ListCursor.keyLimit).contains(ListCursor.key(id).utf8.count))
        }
    }

    @Test("a large list is looked at again and again without telling anything twice")
    func large() {
        var list = ListWatch(cursor: nil)
        let all = (0..<ListCursor.knownLimit).map { "k\($0)" }
        _ = list.look(Self.entries(all), missingIsGone: false, now: Self.start)
        for _ in 0..<3 {
            #expect(list.look(Self.entries(all.reversed()), missingIsGone: false, now: Self.start).isEmpty)
        }
        #expect(list.cursor?.known.count == ListCursor.knownLimit)
    }
}
