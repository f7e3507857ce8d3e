import Gateway
import Testing

@testable import IMAPMonitor

@Suite struct IMAPHostileServerTests {
    private static let limit = 50

    /// In the middle of a question to the server.
    private func rig(_ phase: IMAPSession.Phase) throws -> SessionRig {
        var options = IMAPSession.Options()
        options.passLimit = Self.limit
        var cursor = SessionRig.stored(next: 4, unseen: [1])
        if phase == .rebuildSearch { cursor.validity = 8 }
        var rig = SessionRig(cursor: cursor, options: options)
        rig.server("* CAPABILITY IDLE", "$ OK done")
        rig.server("* 3 EXISTS", "* OK [UIDVALIDITY 9] v", "* OK [UIDNEXT 4] n", "$ OK done")
        if phase == .flags { rig.server("$ OK done") }
        try #require(rig.session.phase == phase)
        return rig
    }

    @Test(
        "an answer without an end ends the session",
        arguments: [
            (IMAPSession.Phase.newMail, "* # FETCH (UID #)"), (.newMail, "* 1 FETCH (UID 4)"),
            (.newMail, "* # FETCH (UID # BODY[HEADER.FIELDS (FROM)]<0> NIL)"), (.flags, "* # FETCH (UID # FLAGS ())"),
            (.flags, "* 1 FETCH (UID 1 FLAGS ())"), (.rebuildSearch, "* SEARCH #"), (.rebuildSearch, "* SEARCH 1"),
        ])
    func endless(phase: IMAPSession.Phase, line: String) throws {
        var rig = try rig(phase)
        for number in 0..<Self.limit { rig.server(line.replacing("#", with: "\(number + 4)")) }
        #expect(rig.failure == nil && rig.session.phase == phase)
        rig.server(line.replacing("#", with: "\(Self.limit + 4)"), line.replacing("#", with: "\(Self.limit + 5)"))
        #expect(rig.failure?.code == .protocolViolation)
        #expect(rig.failure?.message.contains("more than 50 messages") == true)
        #expect(rig.session.phase == .ended)
    }

    @Test("the limit is one question's, and the next has all of it")
    func eachQuestion() throws {
        var rig = try rig(.newMail)
        for _ in 0..<5 {
            let before = rig.session.cursor?.next ?? 0
            for number in 0..<UInt32(Self.limit) { rig.server("* 1 FETCH (UID \(before + number))") }
            rig.server("* 9 EXISTS", "$ OK done")
            #expect(rig.failure == nil)
            #expect(rig.session.cursor?.next == before + UInt32(Self.limit))
        }
    }
}
