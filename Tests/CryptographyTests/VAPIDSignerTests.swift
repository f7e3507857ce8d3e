import Base
import Cryptography
import Testing

@Suite struct VAPIDSignerTests {
    @Test("a topic is the collapse value, or its hash where that is no topic")
    func topic() {
        let good = String(repeating: "aZ0-_", count: 6) + "ab"
        #expect(WebPushTopic.named(good) == good)
        #expect(WebPushTopic.named("") == nil)
        for bad in [good + "c", "with space", "a/b", "ü"] {
            let topic = WebPushTopic.named(bad)
            #expect(topic?.utf8.count == 32)
            #expect(topic == WebPushTopic.named(bad))
            #expect(topic != WebPushTopic.named(bad + "x"))
        }
    }

    @Test("a refused authorization is signed anew for the next push; the cache is bounded")
    func cache() {
        var cache = VAPIDCache()
        var made = 0
        func value(_ origin: String) -> String {
            cache.value(origin: origin, now: Moment(nanoseconds: Int64(made))) {
                made += 1
                return "v\(made)"
            }
        }
        #expect(value("a") == "v1")
        #expect(value("a") == "v1")
        cache.refused(origin: "a")
        #expect(value("a") == "v2")
        for number in 0..<VAPIDCache.originLimit { _ = value("o\(number)") }
        let before = made
        #expect(value("a") == "v\(before + 1)", "the oldest had to go")
        _ = value("o\(VAPIDCache.originLimit - 1)")
        #expect(made == before + 1)
    }
}
