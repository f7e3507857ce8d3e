import Base
import Gateway
import GatewayTestKit
import Testing
import XML
import XMPPTools

@testable import XMPPBridge

/// A server's side of one connection, in memory.
final class MemoryServer: XMPPStream, XMPPConnector {
    private struct State {
        var toClient: [[UInt8]] = []
        var isClosed = false
        var takesNothing = false
    }

    private let state = Locked(State())
    let written = Recorder<[UInt8]>()

    var text: String { String(decoding: written.all.joined(), as: UTF8.self) }

    func connect(_ server: XMPPServer) async throws -> any XMPPStream { self }

    func send(_ bytes: [UInt8]) async throws {
        while state.withLock({ $0.takesNothing }) { try await Task.sleep(for: .milliseconds(5)) }
        written.append(bytes)
    }

    func receive(until deadline: Moment) async throws -> [UInt8]? {
        while true {
            try Task.checkCancellation()
            let (bytes, isClosed) = state.withLock { state in
                (state.toClient.isEmpty ? nil : state.toClient.removeFirst(), state.isClosed)
            }
            if let bytes { return bytes }
            if isClosed { return [] }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func close() { state.withLock { $0.isClosed = true } }

    func say(_ text: String) { state.withLock { $0.toClient.append(Array(text.utf8)) } }
    func stopReading() { state.withLock { $0.takesNothing = true } }

    func handshake() async throws {
        try await Eventually.wait("the stream to open") { text.contains("<stream:stream") }
        say(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s' "
                + "from='farbell.x'>")
        try await Eventually.wait("the handshake") { text.contains("</handshake>") }
        say("<handshake/>")
    }
}

/// The gateway's side, as a record.
final class RecordingBridgeHost: BridgeHost {
    let apps: [(id: AppID, name: String)] = [(id: "oa", name: "Office")]
    let posted = Recorder<BridgeMessage>()
    let connections = Recorder<Bool>()
    let inboxes = Locked<[AccountID: any BridgeInbox]>([:])
    let detached = Recorder<AccountID>()

    func account(_ name: String) -> AccountID? { name == "alice" ? "alice" : nil }
    func linked() -> [AccountID] { [] }
    func isLinked(_ account: AccountID) -> Bool { true }
    func connected() { connections.append(true) }
    func attach(_ account: AccountID, _ inbox: any BridgeInbox, after: Int64) async throws -> Bool {
        inboxes.withLock { $0[account] = inbox }
        return false
    }
    func detach(_ account: AccountID) { detached.append(account) }
    func arrived(_ account: AccountID, upTo number: Int64) async throws {}
    func post(_ message: BridgeMessage) async throws -> MessageKey {
        posted.append(message)
        return MessageKey(queue: 1, seq: Int64(posted.all.count))
    }
    func read(_ key: MessageKey, by account: AccountID) async throws {}
    func edit(_ key: MessageKey, by account: AccountID, body: String) async throws {}
    func withdraw(_ key: MessageKey, by account: AccountID) async throws {}
    func typing(_ state: TypingState, from account: AccountID, to peer: QueueAddress) {}
    func setPresence(of account: AccountID, connection: String, _ presence: AccountPresence?) {}
    func presence(of peer: AccountID, for account: AccountID) -> AccountPresence? { nil }
    func contacts(of account: AccountID) -> [(peer: AccountID, presence: AccountPresence)] { [] }
    func contact(_ peer: AccountID, of account: AccountID) -> ContactState? { nil }
    func setContact(_ peer: AccountID, of account: AccountID, _ isWanted: Bool) async throws -> ContactState? { nil }
}

@Suite(.timeLimit(.minutes(2))) struct BridgeConnectionTests {
    private struct Rig: Sendable {
        let server = MemoryServer()
        let host = RecordingBridgeHost()
    }

    /// Runs a bridge while `body` does; returns how the bridge ended, if it did by itself.
    /// - Parameter endsItself: it must, and is waited for.
    private func run(
        endsItself: Bool = false, _ body: @escaping @Sendable (Rig) async throws -> Void
    ) async throws -> BridgeFailure? {
        let rig = Rig()
        let settings = XMPPBridge.Settings(
            server: XMPPServer(host: "localhost", port: 1, isEncrypted: false), component: "farbell.x",
            secret: Secret("mellon"), users: BridgeUsers(domain: "x"))
        let bridge = XMPPBridge(settings, connector: rig.server, time: SystemTime(), log: Log(sink: NullLogSink()))
        let failure = Locked<BridgeFailure?>(nil)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await bridge.run(rig.host)
                } catch let error as BridgeFailure {
                    failure.withLock { $0 = error }
                } catch is CancellationError {
                    // The body was done first.
                }
            }
            group.addTask { try await body(rig) }
            if !endsItself {
                try await group.next()
                group.cancelAll()
            }
            try await group.waitForAll()
        }
        return failure.withLock { $0 }
    }

    @Test("IM-7 a message comes in order through a connection cut anywhere, and one goes out")
    func exchange() async throws {
        let failure = try await run { rig in
            try await rig.server.handshake()
            try await Eventually.wait("connected") { !rig.host.connections.all.isEmpty }
            var text = ""
            for number in 0..<25 {
                text += "<message from='alice@x/p' to='oa@farbell.x' id='\(number)'><body>n\(number)</body></message>"
            }
            for piece in Array(text).split(every: 97) { rig.server.say(String(piece)) }
            try await Eventually.wait("25 posts") { rig.host.posted.all.count == 25 }
            #expect(rig.host.posted.all.map(\.body) == (0..<25).map { "n\($0)" })
            let inbox = try #require(rig.host.inboxes.withLock { $0["alice"] })
            #expect(
                inbox.take(.message(SessionRig.message("out", 5, at: SystemTime().timestamp)), number: 5, for: "alice"))
            try await Eventually.wait("the message") { rig.server.text.contains("<body>out</body>") }
        }
        #expect(failure == nil)
    }

    @Test(
        "IM-7 hostile XML ends the connection with a typed failure and costs no memory to speak of",
        arguments: [
            "<!DOCTYPE lolz [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;&a;&a;'>]><message/>",
            "<message><body>&lol;</body></message>", "<message></presence>", "\u{1}",
        ])
    func hostile(text: String) async throws {
        let failure = try await run(endsItself: true) { rig in
            try await rig.server.handshake()
            rig.server.say(text)
        }
        #expect(failure?.code == .protocolViolation)
    }

    @Test("IM-7 a document type in front of the stream is refused: no entity is ever expanded")
    func laughs() async throws {
        let failure = try await run(endsItself: true) { rig in
            rig.server.say(
                "<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY l2 '&lol;&lol;&lol;&lol;&lol;'>]>"
                    + "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' "
                    + "id='&l2;'>")
        }
        #expect(failure?.code == .protocolViolation)
        #expect(failure?.message.contains("doctype_refused") == true)
    }

    @Test("IM-7 a stanza of 100 MB is cut off after the first")
    func huge() async throws {
        let failure = try await run(endsItself: true) { rig in
            try await rig.server.handshake()
            rig.server.say("<message from='alice@x/p' to='oa@farbell.x'><body>")
            let piece = String(repeating: "x", count: 64 << 10)
            for _ in 0..<1600 { rig.server.say(piece) }
        }
        #expect(failure?.code == .protocolViolation && failure?.message.contains("xxx") == false)
    }

    @Test("IM-7 deep, wide and strangely named stanzas of a user are pruned and end nobody's stream")
    func odd() async throws {
        let failure = try await run { rig in
            try await rig.server.handshake()
            let deep = String(repeating: "<a>", count: 5000) + String(repeating: "</a>", count: 5000)
            let wide = String(repeating: "<b/>", count: 30_000)
            let names = (0..<20_000).map { "<n\($0)/>" }.joined()
            let attributes = (0..<100).map { " a\($0)='1'" }.joined()
            for (number, content) in [deep, wide, names, "<c\(attributes)/>"].enumerated() {
                rig.server.say(
                    "<message from='alice@x/p' to='oa@farbell.x' id='\(number)'><body>t\(number)</body>"
                        + "<x xmlns='urn:x'>\(content)</x></message>")
            }
            try await Eventually.wait("four posts", for: .seconds(30)) { rig.host.posted.all.count == 4 }
        }
        #expect(failure == nil)
    }

    @Test("IM-7 a server that reads nothing is given up at a limit; before that, streams hold back")
    func deaf() async throws {
        let failure = try await run(endsItself: true) { rig in
            try await rig.server.handshake()
            try await Eventually.wait("connected") { !rig.host.connections.all.isEmpty }
            rig.server.stopReading()
            // Each is answered with an error.
            for _ in 0..<2000 {
                rig.server.say(
                    String(
                        repeating: "<iq type='get' id='\(String(repeating: "i", count: 200))' from='m@evil.x/p' "
                            + "to='farbell.x'><q xmlns='urn:q'/></iq>", count: 30))
            }
        }
        #expect(failure?.code == .network && failure?.message.contains("takes nothing") == true)
    }

    @Test("IM-7 a refusal that is followed by the end of the connection is a refusal: the secret is not tried again")
    func refusedAndClosed() async throws {
        for _ in 0..<100 {
            let failure = try await run(endsItself: true) { rig in
                try await Eventually.wait("the stream to open") { rig.server.text.contains("<stream:stream") }
                rig.server.say(
                    "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
                        + " id='s' from='farbell.x'><stream:error><not-authorized"
                        + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>")
                rig.server.close()
            }
            guard failure?.code == .refused else {
                Issue.record("\(String(describing: failure))")
                return
            }
        }
    }

    @Test("the end of the connection is a failure to try again")
    func closed() async throws {
        let failure = try await run(endsItself: true) { rig in
            try await rig.server.handshake()
            rig.server.close()
        }
        #expect(failure?.code == .network)
    }
}

extension Array {
    fileprivate func split(every count: Int) -> [ArraySlice<Element>] {
        stride(from: 0, to: self.count, by: count).map { self[$0..<Swift.min($0 + count, self.count)] }
    }
}
