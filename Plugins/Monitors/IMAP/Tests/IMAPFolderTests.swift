import Base
import Gateway
import Testing

@testable import IMAPMonitor

@Suite struct IMAPFolderTests {
    private func folder(_ name: String, _ attributes: String...) -> IMAPFolder {
        IMAPFolder(attributes: Set(attributes), separator: "/", name: name)
    }

    @Test("LIST is read, with names in modified UTF-7")
    func list() {
        func read(_ line: String) -> IMAPResponse { IMAPReader.response(Array("\(line)\r\n".utf8)) }
        #expect(
            read(#"* LIST (\HasNoChildren \Junk) "/" "Entw&APw-rfe &- &ZeVnLA-""#)
                == .folder(folder("Entwürfe & 日本", "\\hasnochildren", "\\junk")))
        #expect(read("* LIST () NIL INBOX") == .folder(IMAPFolder(attributes: [], separator: nil, name: "INBOX")))
        #expect(read("* LIST () \"/\"") == .unreadable)
        for name in ["a&b", "日本語/Ä", "&", "plain"] {
            let wire = IMAPSyntax.quotedMailbox(name).dropFirst().dropLast()
            #expect(IMAPSyntax.mailbox(String(wire)) == name)
        }
        for broken in ["&", "&!!-", "&ZeV-x"] { _ = IMAPSyntax.mailbox(broken) }
        #expect(read("* VANISHED (EARLIER) 1:3,9") == .vanished([1...3, 9...9]))
        #expect(read("* VANISHED 7") == .vanished([7...7]))
    }

    @Test(
        "patterns",
        arguments: [
            (["INBOX"], ["INBOX"]), (["inbox"], ["INBOX"]), (["*"], ["INBOX", "Lists", "Lists/swift", "Work"]),
            (["%"], ["INBOX", "Lists", "Work"]), (["Lists/*"], ["Lists/swift"]),
            (["W*k", "INBOX"], ["INBOX", "Work"]),
            (["Spam"], []), (["None"], []), (["L%/s%"], ["Lists/swift"]),
        ])
    func patterns(patterns: [String], chosen: [String]) {
        let folders = [
            folder("Work"), folder("Lists"), folder("Lists/swift"), folder("Inbox"), folder("Spam", "\\junk"),
            folder("Gesendet", "\\sent"), folder("Papierkorb", "\\trash"), folder("All", "\\all"),
            folder("Top", "\\noselect"),
        ]
        #expect(IMAPFolderList.chosen(folders, patterns: patterns) == chosen)
    }

    @Test("without attributes, well-known names are left out; never more than the limit")
    func names() {
        let folders = ["INBOX", "Sent Items", "INBOX/Trash", "Junk E-mail", "Work"].map { folder($0) }
        #expect(IMAPFolderList.chosen(folders, patterns: ["*"]) == ["INBOX", "Work"])
        let many = (0..<100).map { folder("f\($0)") } + [folder("INBOX")]
        let chosen = IMAPFolderList.chosen(many, patterns: ["*"])
        #expect(chosen.count == IMAPFolderWatch.limit && chosen.first == "INBOX")
    }

    @Test("the largest cursor of the most folders fits, and is read again")
    func size() throws {
        var cursor = IMAPFolderCursor()
        let names = (0..<IMAPFolderWatch.limit).map { "Lists/\($0)/" + String(repeating: "ä", count: 40) }
        for name in names {
            var one = IMAPCursor(validity: .max, next: .max, checked: Timestamp(seconds: 1_795_248_000))
            one.modified = .max
            for number in 0..<600 {
                one.follow(4_294_000_000 + UInt32(number))
                one.remember("\(name)\(number)")
            }
            let items = (0..<100).map {
                MonitorBatch.Change.new(Item(key: "1/\($0)", contentKey: "\(name)\($0)"))
            }
            _ = cursor.take(MonitorBatch(changes: items, cursor: one.encoded), of: name, among: names.count)
        }
        #expect(cursor.encoded.count <= MonitorBatch.cursorLimit)
        let read = try #require(IMAPFolderCursor(cursor.encoded, single: "INBOX"))
        #expect(read.encoded == cursor.encoded && read.folders.count == names.count)
    }

    @Test("one mailbox becomes several: its cursor is the inbox's, a folder that is new counts from the last look")
    func migration() throws {
        var single = IMAPCursor(validity: 7, next: 5, checked: Timestamp(seconds: 100))
        single.follow(4)
        var cursor = try #require(IMAPFolderCursor(single.encoded, single: "INBOX"))
        cursor.keep(["INBOX", "Work"])
        #expect(cursor.folders["INBOX"] == single)
        #expect(cursor.folders["Work"]?.checked == Timestamp(seconds: 100))
        #expect(cursor.folders["Work"]?.validity == .max)
        var fresh = IMAPFolderCursor()
        fresh.keep(["INBOX", "Work"])
        #expect(fresh.folders.isEmpty)
        #expect(IMAPFolderCursor(Array("rubbish".utf8), single: "INBOX") == nil)
    }

    @Test("one at a time, also when some are cancelled")
    func turnstile() async {
        let turnstile = Turnstile()
        let (inside, most, done) = (Locked(0), Locked(0), Locked(0))
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let task = Task {
                        try await turnstile.enter()
                        defer { turnstile.leave() }
                        let count = inside.withLock { count in
                            count += 1
                            return count
                        }
                        most.withLock { $0 = max($0, count) }
                        await Task.yield()
                        inside.withLock { $0 -= 1 }
                        done.withLock { $0 += 1 }
                    }
                    if number % 3 == 0 { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(most.withLock { $0 } == 1 && inside.withLock { $0 } == 0)
        #expect(done.withLock { $0 } >= 133)
    }

    @Test("QRESYNC: what changed and what went since the last comparison is asked for, nothing else")
    func quickResync() {
        var stored = SessionRig.stored(next: 10, unseen: [3, 5, 7])
        stored.modified = 40
        var rig = SessionRig(cursor: stored)
        rig.server("* CAPABILITY IDLE CONDSTORE QRESYNC", "$ OK done")
        #expect(rig.sent.last?.hasSuffix("ENABLE QRESYNC") == true)
        rig.server("* ENABLED QRESYNC", "$ OK done")
        rig.server(
            "* 9 EXISTS", "* OK [UIDVALIDITY 9] v", "* OK [UIDNEXT 10] n", "* OK [HIGHESTMODSEQ 55] m", "$ OK done")
        rig.server("$ OK done")
        #expect(rig.sent.last?.hasSuffix("UID FETCH 3,5,7 (UID FLAGS) (CHANGEDSINCE 40 VANISHED)") == true)
        rig.server(
            "* VANISHED (EARLIER) 1:3", "* 4 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (51))", "$ OK [HIGHESTMODSEQ 55] done")
        #expect(rig.changes == [.seen(key: "9/5"), .gone(key: "9/3")])
        #expect(rig.cursor?.unseen == [7] && rig.cursor?.modified == 55)
    }
}
