import Base
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(1)))
struct MailDeadlineTests {
    let client: HTTPClient
    let time = SystemTime()

    init() throws { client = try HTTPClient() }

    private func connect(_ peer: Peer) async throws -> MailConnection {
        try await client.connectMail(
            MailConnectionRequest(
                .imap, host: "localhost", port: peer.port, security: .none,
                login: .password(user: "ann", Secret("secret-pw"))))
    }

    /// Waits that the loop keeps, and the places taken by them.
    private func waits() async throws -> (count: Int, size: Int) {
        let pending = Pending<(count: Int, size: Int)>()
        return try await pending.wait {
            client.loop.post { [mail = client.mail] in
                pending.settle(.success((mail.deadlines.count, mail.deadlines.size)))
            }
        } onCancel: {
        }
    }

    @Test("a receive ends with nil at its deadline, not before it, and a later one gets the bytes")
    func deadline() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await connect(peer)
        let due = time.now + .milliseconds(40)
        #expect(try await connection.receive(until: due) == nil)
        #expect(time.now >= due)
        #expect(try await connection.receive(until: Moment(nanoseconds: 0)) == nil)
        #expect(try await waits().count == 0)
        try await connection.send(Array("X late\r\n".utf8))
        #expect(String(decoding: try await connection.receive(), as: UTF8.self) == "late\r\n")
        #expect(try await waits().count == 0)
    }

    @Test("bytes that are there come even when the deadline has passed long ago")
    func overdue() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await connect(peer)
        try await connection.send(Array("BIG 100000\r\n".utf8))
        var count = try await connection.receive().count
        while count < 100_000 {
            // Not there yet, or the next piece; never the end.
            if let bytes = try await connection.receive(until: Moment(nanoseconds: 0)) {
                try #require(!bytes.isEmpty)
                count += bytes.count
            }
        }
        #expect(count == 100_000)
    }

    @Test("each connection has its own deadline, the earlier one first")
    func several() async throws {
        let peer = try await Peer("mail_peer.py")
        let (first, second, third) = (try await connect(peer), try await connect(peer), try await connect(peer))
        let ended = Locked([Int]())
        let now = time.now
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (number, connection, wait) in [(3, third, 3600_000), (2, second, 1500), (1, first, 40)] {
                group.addTask {
                    let bytes = try await connection.receive(until: now + .milliseconds(wait))
                    ended.withLock { $0.append(bytes == nil ? number : -number) }
                }
            }
            try await group.next()
            try await group.next()
            #expect(try await waits().count == 1)
            try await third.send(Array("X news\r\n".utf8))
            try await group.waitForAll()
        }
        #expect(ended.withLock { $0 } == [1, 2, -3])
    }

    @Test("deadlines that pass and calls that are cancelled while bytes come lose none and change no order")
    func losesNothing() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await connect(peer)
        var expected = ""
        var received: [UInt8] = []
        var (deadlines, cancellations) = (0, 0)
        for index in 0..<300 {
            expected += "\(index)\r\n"
            let waiting = Task { [time] in
                try await connection.receive(until: time.now + .microseconds(index * 37 % 1500))
            }
            try await connection.send(Array("X \(index)\r\n".utf8))
            if index % 3 == 0 { waiting.cancel() }
            switch await waiting.result {
            case .success(let bytes?): received += bytes
            case .success(nil): deadlines += 1
            case .failure(let error):
                #expect(error is CancellationError)
                cancellations += 1
            }
        }
        while received.count < expected.utf8.count { received += try await connection.receive() }
        #expect(String(decoding: received, as: UTF8.self) == expected)
        #expect(deadlines > 0 && cancellations > 0)
        #expect(try await waits().count == 0)
    }

    @Test("waits that are renewed for ever take a bounded place")
    func bounded() async throws {
        let peer = try await Peer("mail_peer.py")
        let connection = try await connect(peer)
        for index in 0..<1000 {
            if index % 2 == 0 {
                try await connection.send(Array("X \(index)\r\n".utf8))
                #expect(try await connection.receive(until: time.now + .seconds(3600))?.isEmpty == false)
            } else {
                let waiting = Task { [time] in try await connection.receive(until: time.now + .seconds(3600)) }
                if index % 4 == 1 { #expect(try await eventually { try await waits().count == 1 }) }
                waiting.cancel()
                await #expect(throws: CancellationError.self) { try await waiting.value }
            }
        }
        #expect(try await eventually { try await waits().count == 0 })
        #expect(try await waits().size <= 65)
    }

    @Test("a connection that closes or is closed while somebody waits ends the wait and leaves no deadline")
    func closing() async throws {
        let peer = try await Peer("mail_peer.py")
        let (ours, theirs) = (try await connect(peer), try await connect(peer))
        let waiting = Task { [time] in try await ours.receive(until: time.now + .seconds(3600)) }
        #expect(try await eventually { try await waits().count == 1 })
        ours.close()
        let error = await #expect(throws: MailConnectionError.self) { try await waiting.value }
        #expect(error?.code == .closed)
        let other = Task { [time] in try await theirs.receive(until: time.now + .seconds(3600)) }
        #expect(try await eventually { try await waits().count == 1 })
        try await theirs.send(Array("BYE\r\n".utf8))
        #expect(try await other.value == [])
        #expect(try await waits().count == 0)
    }
}
