import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import Testing

@testable import POP3Monitor

/// Sessions by hand: what hostile and strange servers say.
@Suite struct POP3SessionTests {
    private static let now = Moment(nanoseconds: 1_000_000_000)

    private struct Rig {
        var session: POP3Session
        var sent: [String] = []
        var batches: [MonitorBatch] = []
        var failure: MonitorFailure?
        var isFinished = false

        init(_ cursor: POP3Cursor?, _ options: POP3Session.Options = .init()) {
            session = POP3Session(cursor: cursor, options: options, now: now) { bytes in
                MessageHeader(subject: "\(bytes.count)")
            }
            perform(session.begin(now))
        }

        mutating func perform(_ actions: [POP3Session.Action]) {
            for action in actions {
                switch action {
                case .send(let bytes): sent.append(String(decoding: bytes, as: UTF8.self))
                case .emit(let batch): batches.append(batch)
                case .finish: isFinished = true
                case .fail(let failure): self.failure = failure
                }
            }
        }

        mutating func server(_ lines: String...) {
            perform(session.received(Array(lines.map { $0 + "\r\n" }.joined().utf8), now))
        }
    }

    private static func known(_ ids: String...) -> POP3Cursor {
        POP3Cursor(ids.enumerated().map { .init(number: $0 + 1, digest: POP3Cursor.digest(Array($1.utf8))) })
    }

    @Test("a whole look, cut at every byte, dots undone")
    func look() {
        let answers = "+OK\r\nUIDL\r\n.\r\n+OK\r\n1 a\r\n2 b\r\n.\r\n+OK\r\n..dot\r\nX: y\r\n.\r\n+OK bye\r\n"
        var rig = Rig(Self.known("a"))
        for byte in answers.utf8 { rig.perform(rig.session.received([byte], Self.now)) }
        #expect(rig.sent == ["CAPA\r\n", "UIDL\r\n", "TOP 2 0\r\n", "QUIT\r\n"] && rig.isFinished)
        guard case .new(let item)? = rig.batches.last?.changes.first else {
            Issue.record("no news")
            return
        }
        #expect(item.title == "\(".dot\r\nX: y\r\n".utf8.count)")
    }

    @Test(
        "what is no POP3 is a typed failure",
        arguments: [
            ["* OK"], ["+OK", ".", "rubbish"], ["+OK", ".", "-ERR no UIDL here"], ["+OK", ".", "+OK", "x y"],
            ["+OK", ".", "+OK", "1"], ["+OK", ".", "+OK", "-1 a"],
        ])
    func nonsense(lines: [String]) {
        var rig = Rig(Self.known("a"))
        for line in lines { rig.server(line) }
        #expect(rig.failure?.code == .protocolViolation)
        rig.server("+OK", ".", "more")
        #expect(rig.session.phase == .ended && rig.batches.isEmpty)
    }

    @Test("an endless list ends the session, an endless header costs no memory, an endless line neither")
    func endless() {
        var options = POP3Session.Options()
        options.listLimit = 50
        var rig = Rig(Self.known("a"), options)
        rig.server("+OK", ".", "+OK")
        for number in 1...60 { rig.server("\(number) id\(number)") }
        #expect(rig.failure?.code == .protocolViolation)
        var long = Rig(Self.known("a"))
        long.server("+OK", ".", "+OK", "1 b", ".", "+OK")
        for _ in 0..<3000 { long.server("X: " + String(repeating: "x", count: 60)) }
        long.perform(long.session.received([UInt8](repeating: 0x78, count: 1 << 20), Self.now))
        long.server("", ".", "+OK")
        #expect(long.isFinished && long.batches.count == 1)
    }

    @Test("silence, and a server that drips for ever, end in time")
    func silence() {
        var rig = Rig(Self.known("a"))
        #expect(rig.session.deadline == Self.now + .seconds(30))
        let late = Self.now + .seconds(890)
        rig.perform(rig.session.received(Array("+".utf8), late))
        #expect(rig.session.deadline == Self.now + .seconds(900))
        rig.perform(rig.session.deadlinePassed())
        #expect(rig.failure?.code == .network)
    }

    @Test("a lost connection keeps what was told, and the rest is told the next time")
    func cut() throws {
        var options = POP3Session.Options()
        options.batchLimit = 2
        var rig = Rig(Self.known("a"), options)
        rig.server("+OK", ".", "+OK", "1 a", "2 b", "3 c", "4 d", ".", "+OK", ".", "+OK", ".")
        #expect(rig.batches.count == 1 && rig.batches[0].changes.count == 2)
        rig.perform(rig.session.disconnected("cut"))
        #expect(rig.failure?.code == .network)
        let stored: POP3Cursor = try #require(POP3Cursor(rig.batches[0].cursor))
        var next = Rig(stored)
        next.server("+OK", ".", "+OK", "1 a", "2 b", "3 c", "4 d", ".", "+OK", ".", "+OK")
        #expect(next.batches.flatMap(\.changes).count == 1 && next.isFinished)
    }

    @Test("-ERR for a header rings without one; the server's goodbye is not waited for")
    func missingHeader() {
        var rig = Rig(Self.known("a"))
        rig.server("+OK", ".", "+OK", "1 a", "2 b", ".", "-ERR no such message")
        #expect(rig.batches.flatMap(\.changes).count == 1 && rig.sent.last == "QUIT\r\n")
        rig.perform(rig.session.disconnected("closed"))
        #expect(rig.isFinished && rig.failure == nil)
    }
}
