import Base
import Testing

@testable import GatewayAPI

@Suite struct SupportTests {
    private static let start = Moment(nanoseconds: 1_000_000_000)

    @Test("A bucket gives ten seconds' worth at once and then the rate") func bucket() {
        var table = RateTable(perSecond: 5)
        var now = Self.start
        for _ in 0..<50 { #expect(table.take("a", now: now) == nil) }
        #expect(table.take("a", now: now) == .milliseconds(200))
        now = now + .milliseconds(199)
        #expect(table.take("a", now: now) == .milliseconds(1))
        now = now + .milliseconds(2)
        #expect(table.take("a", now: now) == nil)
        #expect(table.take("a", now: now) != nil)
        #expect(table.take("b", now: now) == nil)
        // However long it waits, a burst is no larger.
        now = now + .seconds(1000)
        for _ in 0..<50 { #expect(table.take("a", now: now) == nil) }
        #expect(table.take("a", now: now) != nil)
    }

    @Test("A bounded number of callers is remembered, the busy ones before the idle") func bound() {
        var table = RateTable(perSecond: 1, limit: 8)
        for _ in 0..<10 { #expect(table.take("busy", now: Self.start) == nil) }
        for number in 0..<7 { #expect(table.take("idle \(number)", now: Self.start) == nil) }
        #expect(table.count == 8)
        let later = Self.start + .seconds(2)
        #expect(table.take("new", now: later) == nil)
        #expect(table.count == 2)
        for _ in 0..<2 { #expect(table.take("busy", now: later) == nil) }
        #expect(table.take("busy", now: later) != nil)
        for number in 0..<1000 { #expect(table.take("many \(number)", now: later) == nil) }
        #expect(table.count <= 8)
    }

    @Test("The process's numbers are read from proc, also with a strange name, and absent where it is silent")
    func usage() {
        let stat =
            "42 (a) b) (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 100 1000 300 18446744073709551615"
        let usage = ProcessUsage(
            memory: "2000 300 20 5 0 100 0", processor: stat, pageBytes: 4096, ticksPerSecond: 100, openDescriptors: 7)
        #expect(usage.residentBytes == 300 * 4096)
        #expect(usage.cpuSeconds == 3)
        #expect(usage.openDescriptors == 7)
        let silent = ProcessUsage(
            memory: nil, processor: "42 (x", pageBytes: 4096, ticksPerSecond: 100, openDescriptors: nil)
        #expect(silent.residentBytes == nil)
        #expect(silent.cpuSeconds == nil)
        var page = MetricsPage()
        page.add(silent)
        #expect(page.text.isEmpty)
        let now = ProcessUsage.now()
        #expect((now.residentBytes ?? 0) > 1 << 20)
        #expect((now.openDescriptors ?? 0) > 2)
        #expect(now.cpuSeconds != nil)
    }

    @Test("Labels of metrics are escaped, fractions kept") func metrics() {
        var page = MetricsPage()
        page.gauge("m", "Help.", label: "l", [("a\"b\\c\nd", 1.5)])
        #expect(page.text == "# HELP m Help.\n# TYPE m gauge\nm{l=\"a\\\"b\\\\c\\nd\"} 1.5\n")
    }
}
