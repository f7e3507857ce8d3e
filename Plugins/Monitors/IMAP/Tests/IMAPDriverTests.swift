import Base
import Gateway
import GatewayTestKit
import MailMonitoring
import Testing

@testable import IMAPMonitor

/// A connection in memory: the test plays the server.
final class MemoryStream: MailStream, MailConnector {
    private struct State {
        var incoming: [UInt8] = []
        var isOver = false
        var isClosed = false
        var sent: [String] = []
        var waiter: CheckedContinuation<Void, Never>?
        var connections = 0
        var fault: String?
        var chatter: [UInt8]?
    }
    private let state = Locked(State())
    private let time: ManualTime
    struct Broken: Error {}

    init(_ time: ManualTime) { self.time = time }

    func connect(_ login: MailLogin) async throws -> any MailStream {
        state.withLock { state in
            state.connections += 1
            (state.isOver, state.isClosed) = (false, false)
        }
        return self
    }

    func send(_ bytes: [UInt8]) async throws {
        try state.withLock { state in
            if state.fault != nil { throw Broken() }
            state.sent += String(decoding: bytes, as: UTF8.self).split(separator: "\r\n").map(String.init)
        }
    }

    func receive(until deadline: Moment) async throws -> [UInt8]? {
        try await withThrowingTaskGroup(of: Void.self) { [time] group in
            group.addTask {
                try await time.sleep(until: deadline)
                self.wake()
            }
            defer { group.cancelAll() }
            return try await bytes(until: deadline)
        }
    }

    private func bytes(until deadline: Moment) async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            let bytes: [UInt8]? = state.withLock { state in
                if state.incoming.isEmpty { return state.isOver ? [] : state.chatter }
                defer { state.incoming = [] }
                return state.incoming
            }
            if let bytes { return bytes }
            if time.now >= deadline { return nil }
            await withTaskCancellationHandler {
                await withCheckedContinuation { continuation in
                    let isReady = state.withLock { state in
                        if !state.incoming.isEmpty || state.chatter != nil || state.isOver || Task.isCancelled
                            || time.now >= deadline
                        {
                            return true
                        }
                        state.waiter = continuation
                        return false
                    }
                    if isReady { continuation.resume() }
                }
            } onCancel: {
                wake()
            }
        }
    }

    func close() { state.withLock { $0.isClosed = true } }

    private func wake() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            return state.waiter
        }
        waiter?.resume()
    }

    // MARK: The server's side

    /// Waits for a command that begins with this and answers it; `$` stands for its tag.
    func expect(_ command: String, _ answer: String) async throws {
        let line = try await Eventually.value("\(command), got \(sent)") {
            sent.last { $0 == command || $0.drop { $0 != " " }.dropFirst().hasPrefix(command) }
        }
        state.withLock { $0.sent.removeAll { $0 == line } }
        say(answer.replacing("$", with: line.prefix { $0 != " " }))
    }
    func say(_ text: String) {
        state.withLock { $0.incoming += Array((text.replacing("\n", with: "\r\n") + "\r\n").utf8) }
        wake()
    }
    func hangUp() {
        state.withLock { $0.isOver = true }
        wake()
    }
    /// Says this whenever there is nothing else to say; nil for silence.
    func chatter(_ text: String?) {
        state.withLock { $0.chatter = text.map { Array("\($0)\r\n".utf8) } }
        wake()
    }
    func breakSending() { state.withLock { $0.fault = "broken" } }
    var sent: [String] { state.withLock { $0.sent } }
    var isClosed: Bool { state.withLock { $0.isClosed } }

    /// Answers up to IDLE.
    func serveUntilIdle(exists: Int = 0, next: Int = 1) async throws {
        try await expect("CAPABILITY", "* CAPABILITY IDLE\n$ OK done")
        try await expect("EXAMINE", "* \(exists) EXISTS\n* OK [UIDVALIDITY 9] v\n* OK [UIDNEXT \(next)] n\n$ OK done")
        try await expect("UID FETCH", "$ OK done")
        try await expect("IDLE", "+ idling")
    }
}

@Suite(.timeLimit(.minutes(1))) struct IMAPDriverTests {
    let stream: MemoryStream
    let time = ManualTime()
    let host = RecordingMonitorHost()

    init() { stream = MemoryStream(time) }

    func during(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let monitor = IMAPMonitor(
            .init(MailServer(.imap, host: "a", port: 993, encryption: .implicit)), connector: stream,
            transport: NoTransport(), time: time, log: Log(sink: NullLogSink()), readHeader: MessageHeader.read)
        let credentials = ["username": Secret("u"), "password": Secret("p")]
        try await MonitorRun.during(monitor, credentials: credentials, host: host, body: body)
    }

    @Test("SG-4 from EXISTS to the host, and a clean LOGOUT at the end")
    func news() async throws {
        try await during { [stream, host] in
            try await stream.serveUntilIdle()
            stream.say("* 1 EXISTS")
            try await stream.expect("DONE", "F4 OK idle done")
            try await stream.expect(
                "UID FETCH 1:*",
                "* 1 FETCH (UID 1 FLAGS () INTERNALDATE \"21-Nov-2026 08:00:00 +0000\" BODY[HEADER.FIELDS (FROM)]<0> {13}\nSubject: hi\n)\n$ OK done"
            )
            try await host.waitForItems(1)
            try await stream.expect("IDLE", "+ idling")
        }
        #expect(host.rung.map(\.title) == ["hi"])
        #expect(host.rung.first?.time == Timestamp("2026-11-21T08:00:00Z"))
        #expect(stream.sent.suffix(2).first == "DONE" && stream.sent.last?.hasSuffix("LOGOUT") == true)
        #expect(stream.isClosed)
    }

    @Test("one pending read with a deadline while the mailbox is quiet")
    func quiet() async throws {
        try await during { [stream, host, time] in
            try await stream.serveUntilIdle()
            try await host.waitForWatching()
            try await Eventually.wait("the deadline of IDLE") {
                time.nextDeadline.map { $0 - time.now > .seconds(200) && $0 - time.now <= .seconds(300) } ?? false
            }
            #expect(time.sleeperCount == 1)
        }
    }

    @Test("half-open: a server that does not answer DONE is given up after 30 s")
    func halfOpen() async throws {
        try await during { [stream, host, time] in
            try await stream.serveUntilIdle()
            try await time.waitForSleepers(1)
            try await Eventually.wait("idling deadline") {
                time.nextDeadline.map { $0 - time.now > .seconds(200) } ?? false
            }
            time.advanceToNextDeadline()
            try await Eventually.wait("DONE") { stream.sent.contains("DONE") }
            try await time.waitForSleepers(1)
            #expect(time.nextDeadline.map { $0 - time.now } == .seconds(30))
            time.advanceToNextDeadline()
            let failures = try await host.waitForFailures()
            #expect(failures[0].code == .network && failures[0].message.contains("DONE"))
        }
    }

    @Test("a server that never stops talking does not keep IDLE from its end")
    func talkative() async throws {
        try await during { [stream, host, time] in
            try await stream.serveUntilIdle()
            try await host.waitForWatching()
            try await Eventually.wait("idling deadline") {
                time.nextDeadline.map { $0 - time.now > .seconds(200) } ?? false
            }
            // Bytes come first, whenever there are any; here there always are.
            stream.chatter("* OK still here")
            #expect(stream.sent.isEmpty)
            time.advance(by: .seconds(400))
            try await Eventually.wait("DONE") { stream.sent.contains("DONE") }
            stream.chatter(nil)
        }
    }

    @Test("what the connection says when it breaks is a network failure")
    func broken() async throws {
        try await during { [stream, host] in
            try await stream.serveUntilIdle()
            try await host.waitForWatching()
            stream.breakSending()
            stream.say("* 1 EXISTS")
            #expect(try await host.waitForFailures()[0].code == .network)
        }
    }

    @Test("a server that hangs up in any state is met again with the stored cursor")
    func hangUp() async throws {
        try await during { [stream, host] in
            try await stream.expect("CAPABILITY", "* CAPABILITY IDLE\n$ OK done")
            stream.hangUp()
            try await host.waitForFailures(1)
            try await stream.serveUntilIdle(exists: 4, next: 5)
            try await host.waitForWatching()
            stream.hangUp()
            try await host.waitForFailures(2)
            try await stream.expect("CAPABILITY", "* CAPABILITY IDLE\n$ OK done")
            try await stream.expect("EXAMINE", "* 4 EXISTS\n* OK [UIDVALIDITY 9] v\n* OK [UIDNEXT 5] n\n$ OK done")
            try await stream.expect(
                "UID FETCH 5:*", "* 4 FETCH (UID 4 FLAGS () BODY[HEADER.FIELDS (FROM)]<0> {2}\n\n)\n$ OK done")
            try await stream.expect("IDLE", "+ idling")
            try await host.waitForWatching(2)
        }
        #expect(host.failures.allSatisfy { $0.code == .network } && host.rung.isEmpty)
    }

    @Test("while the host does not take a batch, no more is read")
    func backPressure() async throws {
        try await during { [stream, host] in
            try await stream.serveUntilIdle()
            try await host.waitForWatching()
            host.isClosed = true
            stream.say("* 1 EXISTS")
            try await stream.expect("DONE", "F4 OK idle done")
            try await stream.expect(
                "UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS () BODY[HEADER.FIELDS (FROM)]<0> {2}\n\n)\n$ OK done")
            try await Eventually.wait("the answer was read") { stream.sent.isEmpty }
            #expect(host.rung.isEmpty)
            host.isClosed = false
            try await host.waitForItems(1)
        }
    }
}
