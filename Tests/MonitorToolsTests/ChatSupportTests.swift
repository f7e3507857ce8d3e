import Base
import Gateway
import Testing

@testable import MonitorTools

@Suite struct ChatSupportTests {
    @Test(
        "texts are one bounded line without controls and direction marks",
        arguments: [
            ("hello", "hello"), ("  a \r\n\t b\u{0}c ", "a b c"), ("\u{202E}evil\u{2066}", "evil"),
            ("你好\u{FFFD}", "你好\u{FFFD}"),
            ("\u{1B}[31mred\u{85}x", "[31mred x"),
        ])
    func line(text: String, expected: String) { #expect(ItemText.line(text) == expected) }

    @Test("long texts are cut within their bytes; empty ones are none")
    func cut() {
        for unit in ["x", "é", "語", "😀"] {
            let line = ItemText.line(String(repeating: unit, count: 200_000), limit: 100) ?? ""
            #expect(line.utf8.count <= 100 && line.utf8.count > 90 && line.hasSuffix("…"))
        }
        #expect(ItemText.line(" \n\u{0}\u{202A}") == nil)
        #expect(ItemText.sender("Anna", room: "Team") == "Anna (Team)")
        #expect(ItemText.sender(nil, room: "Team") == "Team" && ItemText.sender("Anna", room: " ") == "Anna")
    }

    @Test("followed items are bounded, keep their stored form, and end once")
    func followed() throws {
        var items = FollowedItems()
        for number in 0..<150 { items.follow("k\(number)", in: "room\(number % 3)", order: Int64(number)) }
        items.follow(String(repeating: "k", count: 300), in: "room0", order: 1)
        items.follow("k149", in: "room0", order: 1)
        #expect(items.entries.count == FollowedItems.limit && items.entries.first?.key == "k50")
        let stored = try #require(FollowedItems(items.json))
        #expect(Set(stored.entries) == Set(items.entries) && stored.json == FollowedItems(stored.json)?.json)
        #expect(items.seen { $0.room == "room0" && $0.order <= 51 } == [.seen(key: "k51")])
        #expect(items.seen { $0.room == "room0" && $0.order <= 51 } == [])
        #expect(items.gone { $0.key == "k52" } == [.gone(key: "k52")])
        #expect(!items.contains("k52") && items.entries.count == 98)
        for bad: JSON in ["x", [["room"]], [["room", ["k"]]], [["room", ["k", "1"]]], [[1, ["k", 1]]]] {
            #expect(FollowedItems(bad) == nil)
        }
    }

    @Test("a hundred followed items of the longest names fit a cursor")
    func size() {
        var items = FollowedItems()
        for number in 0..<100 {
            let name = String(repeating: "n", count: 252) + String(number + 100)
            items.follow(name, in: name, order: .max)
        }
        items.follow(String(repeating: "\u{1}", count: 200), in: "room", order: 1)
        #expect(items.entries.count == 100 && items.entries.last?.room != "room")
        #expect(items.json.serializedBytes.count < MonitorBatch.cursorLimit - 8_500)
    }

    @Test("kept sessions belong to one registration and one secret")
    func sessions() {
        let cache = SessionCache<Int>()
        cache.keep(1, of: "r1", for: Secret("old"))
        #expect(cache.session(of: "r1", for: Secret("old")) == 1)
        #expect(cache.session(of: "r1", for: Secret("new")) == nil)
        #expect(cache.session(of: "r2", for: Secret("old")) == nil)
        cache.drop("r1")
        #expect(cache.session(of: "r1", for: Secret("old")) == nil)
    }
}
