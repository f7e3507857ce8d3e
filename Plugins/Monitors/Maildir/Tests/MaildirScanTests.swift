import Base
import Gateway
import Testing

@testable import MaildirMonitor

/// A Maildir in memory.
struct MemoryMaildir: MaildirFolder {
    struct File {
        var arrival: Int64
        var bytes: [UInt8]?
    }
    var parts: [MaildirPart: [String: File]] = [.new: [:], .cur: [:]]
    var times: [MaildirPart: Int64]?

    func names(in part: MaildirPart) throws -> [String] {
        guard let files = parts[part] else { throw MaildirError(isMissing: true, message: "gone") }
        return Array(files.keys)
    }
    func changed(_ part: MaildirPart) -> Int64? { times?[part] }
    func arrival(of name: String, in part: MaildirPart) -> Int64? { parts[part]?[name]?.arrival }
    func beginning(of name: String, in part: MaildirPart, limit: Int) -> [UInt8]? { parts[part]?[name]?.bytes }

    mutating func deliver(_ name: String, _ subject: String = "x", arrival: Int64) {
        parts[.new]?[name] = File(arrival: arrival, bytes: Array("Subject: \(subject)\n\nbody".utf8))
    }
    mutating func move(_ name: String, flags: String) {
        let file = parts[.new]?.removeValue(forKey: name)
        parts[.cur]?["\(name):2,\(flags)"] = file
    }
}

@Suite struct MaildirScanTests {
    static let start: Int64 = 1_795_248_000
    var folder = MemoryMaildir()
    var scan = MaildirScan(cursor: nil, seen: .moved)
    var now = Timestamp(seconds: start)
    var stored: [UInt8] = []

    mutating func look() throws -> [MonitorBatch.Change] {
        var changes: [MonitorBatch.Change] = []
        while true {
            let outcome = try scan.look(folder, now: now)
            for batch in outcome.batches {
                #expect(batch.changes.count <= 100 && batch.cursor.count <= MonitorBatch.cursorLimit)
                changes += batch.changes
                stored = batch.cursor
            }
            if !outcome.hasMore { return changes }
        }
    }
    mutating func restart(_ seen: MaildirScan.Seen = .moved) {
        let cursor: MaildirCursor? = MaildirCursor(stored)
        #expect(cursor != nil)
        scan = MaildirScan(cursor: cursor, seen: seen)
    }
    static func keys(_ changes: [MonitorBatch.Change]) -> [String] {
        changes.compactMap { if case .new(let item) = $0 { item.key } else { nil } }
    }
    static func name(_ offset: Int64, _ rest: String = "M1P2.host") -> String { "\(start + offset).\(rest)" }

    @Test("the first look is silent, the next tells what came, each once, also over restarts")
    mutating func baseline() throws {
        folder.deliver(Self.name(-5), arrival: Self.start - 5)
        folder.deliver(Self.name(-90_000), arrival: Self.start - 90_000)
        folder.deliver("unnumbered", arrival: Self.start - 10)
        #expect(try look().isEmpty)
        restart()
        #expect(try look().isEmpty)
        folder.deliver(Self.name(0), "one", arrival: Self.start)
        folder.deliver("odd-name", "two", arrival: Self.start + 1)
        now = Timestamp(seconds: Self.start + 2)
        #expect(try Self.keys(look()) == [Self.name(0), "odd-name"])
        #expect(try look().isEmpty)
        restart()
        #expect(try look().isEmpty)
    }

    @Test("a delivery that began earlier but ended later is told")
    mutating func overtaken() throws {
        _ = try look()
        folder.deliver(Self.name(100), arrival: Self.start + 100)
        now = Timestamp(seconds: Self.start + 100)
        #expect(try look().count == 1)
        restart()
        folder.deliver(Self.name(-200), arrival: Self.start + 101)
        #expect(try Self.keys(look()) == [Self.name(-200)])
    }

    @Test("a host with a wrong clock is believed, a restore of old mail is silent")
    mutating func oldNames() throws {
        _ = try look()
        now = Timestamp(seconds: Self.start + 10)
        folder.deliver(Self.name(-500_000), arrival: Self.start + 5)
        #expect(try look().count == 1)
        for number in 0..<21 { folder.deliver(Self.name(-500_000, "r\(number)"), arrival: Self.start + 6) }
        #expect(try look().isEmpty)
        #expect(try look().isEmpty)
    }

    @Test("a time in the future does not hide what comes after it")
    mutating func future() throws {
        folder.deliver("9999999999.M1.host", arrival: Self.start)
        #expect(try look().isEmpty)
        now = Timestamp(seconds: Self.start + 1_000)
        folder.deliver(Self.name(1_000), arrival: Self.start + 1_000)
        #expect(try look().count == 1)
        restart()
        folder.deliver(Self.name(1_001), arrival: Self.start + 1_001)
        #expect(try Self.keys(look()) == [Self.name(1_001)])
    }

    @Test("moved to cur is seen, deleted or trashed is gone")
    mutating func fates() throws {
        _ = try look()
        for (offset, rest) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] as [(Int64, String)] {
            folder.deliver(Self.name(offset, rest), arrival: Self.start + offset)
        }
        now = Timestamp(seconds: Self.start + 10)
        #expect(try look().count == 4)
        folder.move(Self.name(1, "a"), flags: "")
        folder.parts[.new]?[Self.name(2, "b")] = nil
        folder.move(Self.name(3, "c"), flags: "ST")
        let changes = try look()
        #expect(
            changes == [.seen(key: Self.name(1, "a")), .gone(key: Self.name(2, "b")), .gone(key: Self.name(3, "c"))])
        #expect(MaildirCursor(stored)?.unseen == [Self.name(4, "d")])
    }

    @Test("with seen=flagged a move is no reading, and what is delivered to cur rings")
    mutating func flagged() throws {
        scan = MaildirScan(cursor: nil, seen: .flagged)
        _ = try look()
        folder.deliver(Self.name(1), arrival: Self.start + 1)
        now = Timestamp(seconds: Self.start + 10)
        #expect(try look().count == 1)
        folder.move(Self.name(1), flags: "")
        #expect(try look().isEmpty)
        restart(.flagged)
        #expect(try look().isEmpty)
        folder.deliver(Self.name(5, "direct"), arrival: Self.start + 5)
        folder.move(Self.name(5, "direct"), flags: "")
        #expect(try Self.keys(look()) == [Self.name(5, "direct")])
        let file = folder.parts[.cur]?.removeValue(forKey: "\(Self.name(1)):2,")
        folder.parts[.cur]?["\(Self.name(1)):2,S"] = file
        #expect(try look() == [.seen(key: Self.name(1))])
    }

    @Test("10,000 messages at once come in bounded batches, all of them, and the cursor stays small")
    mutating func flood() throws {
        _ = try look()
        now = Timestamp(seconds: Self.start + 60)
        for number in 0..<10_000 {
            folder.deliver(
                Self.name(Int64(number % 50), "flood\(number).\(String(repeating: "n", count: 60))"),
                arrival: Self.start)
        }
        #expect(try Set(Self.keys(look())).count == 10_000)
        #expect(stored.count <= MonitorBatch.cursorLimit)
        restart()
        // Beyond the hashes kept, the host hears of known messages again; that is bounded by the watermark.
        #expect(try Self.keys(look()).count <= 8_000)
        folder.deliver(Self.name(55, "after"), arrival: Self.start + 55)
        #expect(try Self.keys(look()) == [Self.name(55, "after")])
    }

    @Test("unchanged folders are not read again, just changed ones are")
    mutating func times() throws {
        let old = (Self.start - 100) * 1_000_000_000
        folder.times = [.new: old, .cur: old]
        _ = try look()
        #expect(try scan.look(folder, now: now, thorough: false).batches.isEmpty)
        folder.deliver(Self.name(1), arrival: Self.start + 1)
        now = Timestamp(seconds: Self.start + 1)
        #expect(try scan.look(folder, now: now, thorough: false).batches.isEmpty, "its times say that nothing changed")
        folder.times = [.new: (Self.start + 1) * 1_000_000_000, .cur: old]
        #expect(try scan.look(folder, now: now, thorough: false).batches.count == 1)
        // Within the same tick of the file system's clock.
        folder.deliver(Self.name(1, "same-tick"), arrival: Self.start + 1)
        now = Timestamp(seconds: Self.start + 60)
        #expect(try scan.look(folder, now: now, thorough: false).batches.count == 1)
    }

    @Test("a file that cannot be read rings without words; one that is gone does not")
    mutating func unreadable() throws {
        _ = try look()
        now = Timestamp(seconds: Self.start + 5)
        folder.parts[.new]?[Self.name(1)] = .init(arrival: Self.start + 1, bytes: nil)
        let changes = try look()
        #expect(changes == [.new(Item(key: Self.name(1), time: Timestamp(seconds: Self.start + 1)))])
    }

    @Test(
        "only the header block is read",
        arguments: [
            ("A: b\n\nbody", "A: b\n\n"), ("A: b\r\n\r\nbody", "A: b\r\n\r\n"), ("A: b\n", "A: b\n"), ("", ""),
            ("\nbody", "\n"),
        ])
    func header(file: String, header: String) {
        #expect(MaildirScan.header(Array(file.utf8)) == Array(header.utf8))
    }

    @Test(
        "what is no cursor of ours is refused",
        arguments: [
            "", "x", "{}", #"{"v":2,"watermark":1,"recent":"","unseen":[]}"#,
            #"{"v":1,"watermark":1,"recent":"A","unseen":[]}"#,
            #"{"v":1,"watermark":1,"recent":"","unseen":[1]}"#,
        ])
    func foreignCursor(text: String) { #expect(MaildirCursor(Array(text.utf8)) == nil) }
}
