import Base
import Gateway
import Testing
import XML
import XMPPTools

@testable import XMPPBridge

@Suite(.timeLimit(.minutes(1))) struct ComponentSessionTests {
    private static let key = MessageKey(queue: 1, seq: 5)

    // MARK: The handshake

    @Test("IM-7 the handshake is the digest of XEP-0114's own example")
    func digest() throws {
        #expect(ComponentSession.digest("3BF96D32", Secret("test")) == "aaee83c26aeeafcbabeabfcbcd50df997e0a2a1e")
        var rig = try SessionRig(isReady: false)
        try rig.opened(id: "abc")
        #expect(rig.sent.first?.text == ComponentSession.digest("abc", SessionRig.secret))
        try rig.take("<handshake/>")
        #expect(rig.takeActions() == [.connected])
    }

    @Test(
        "IM-7 a wrong secret and an unknown component are refused once and for all; other stream errors are tried again",
        arguments: [
            ("not-authorized", BridgeFailure.Code.refused), ("host-unknown", .refused), ("conflict", .network),
            ("system-shutdown", .network), ("nonsense", .network),
        ])
    func refusal(condition: String, code: BridgeFailure.Code) throws {
        var rig = try SessionRig(isReady: false)
        try rig.opened()
        try rig.take("<stream:error><\(condition) xmlns='\(XMPPNamespace.streamErrors)'/></stream:error>")
        guard case .fail(let failure)? = rig.takeActions().first else {
            Issue.record("no failure")
            return
        }
        #expect(failure.code == code && failure.message.contains(condition))
    }

    @Test("a server that speaks something else, speaks too early or says nothing is a failure")
    func nonsense() throws {
        func failure(_ body: (inout SessionRig) throws -> Void) throws -> BridgeFailure.Code? {
            var rig = try SessionRig(isReady: false)
            try body(&rig)
            if case .fail(let failure)? = rig.takeActions().last { return failure.code } else { return nil }
        }
        #expect(try failure { try $0.opened(id: "") } == .protocolViolation)
        #expect(try failure { try $0.take("<handshake/>") } == .protocolViolation)
        #expect(
            try failure {
                try $0.opened()
                try $0.take("<message from='alice@x' to='oa@farbell.x'><body>early</body></message>")
            } == .protocolViolation)
        #expect(
            try failure {
                try $0.opened()
                $0.pass(.seconds(31))
            } == .network)
    }

    @Test("a connection on which nothing comes back is given up; one that is quiet is asked")
    func silence() throws {
        var rig = try SessionRig()
        rig.pass(.seconds(61))
        #expect(rig.session.echo.waiting == 1)
        try rig.echo()
        rig.pass(.seconds(61))
        rig.pass(.seconds(31))
        guard case .fail(let failure)? = rig.takeActions().last else {
            Issue.record("not given up")
            return
        }
        #expect(failure.code == .network)
    }

    // MARK: To Farbell

    @Test("IM-4 IM-7 a user's message goes to the app or account it names, with the client's id and answer")
    func message() throws {
        var rig = try SessionRig()
        try rig.say("hello", more: "<origin-id xmlns='\(XMPPNamespace.stanzaIDs)' id='o1'/>")
        try rig.say("you there?", to: "bob@farbell.x", id: "2", more: "<thread>t</thread>")
        let posts = rig.takeActions().compactMap { if case .post(_, let message) = $0 { message } else { nil } }
        var first = BridgeMessage(from: "alice", to: .app("oa"), body: "hello")
        first.id = "o/o1"
        var second = BridgeMessage(from: "alice", to: .account("bob"), body: "you there?")
        (second.id, second.correlation) = ("phone/2", "t")
        #expect(posts == [first, second])
    }

    @Test("IM-7 an account's first stanza links it: its stream is opened, and its presence is asked for once")
    func linking() throws {
        var rig = try SessionRig()
        try rig.say("hello")
        #expect(rig.takeActions().first == .attach("alice", generation: 1, after: 0))
        rig.attached(isNew: true)
        #expect(rig.takeSent().map { $0.attribute("type") } == ["subscribe"])
        try rig.say("again", id: "2")
        #expect(!rig.takeActions().contains { if case .attach = $0 { true } else { false } })
    }

    @Test("IM-7 an answer carries what the message it names was about, or the last one of that chat")
    func answers() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.hear(message: "may I?", 5, correlation: "case-1")
        rig.hear(message: "and this?", 6, correlation: "case-2")
        try rig.say("yes", id: "2")
        try rig.say("no", id: "3", more: "<thread>case-1</thread>")
        try rig.say("no", id: "4", more: "<reply xmlns='\(XMPPNamespace.reply)' to='oa@farbell.x' id='m1-5'/>")
        try rig.say("yes", id: "5", more: "<thread>a client's own</thread>")
        let correlations = rig.takeActions().compactMap {
            if case .post(_, let message) = $0 { message.correlation } else { nil }
        }
        #expect(correlations == ["case-2", "case-1", "case-1", "case-2"])
    }

    @Test("IM-6 a receipt is answered when it was delivered, a marker when it was read, an error when neither")
    func receipts() throws {
        var rig = try SessionRig()
        let asks = "<request xmlns='\(XMPPNamespace.receipts)'/><markable xmlns='\(XMPPNamespace.markers)'/>"
        try rig.say("one", id: "a", more: asks)
        guard case .post(let token, _)? = rig.takeActions().last else {
            Issue.record("not posted")
            return
        }
        #expect(rig.takeSent().isEmpty, "nothing is answered before it is durable")
        rig.post(token, .success(Self.key))
        #expect(rig.takeSent().isEmpty, "nor before it was delivered")
        rig.hear(.receipt(Self.key, .delivered), 7)
        let received = rig.takeSent().first
        #expect(received?.child("received", in: XMPPNamespace.receipts)?.attribute("id") == "a")
        #expect(received?.attribute("from") == "oa@farbell.x" && received?.attribute("to") == "alice@x/phone")
        rig.hear(.receipt(Self.key, .read), 8)
        #expect(rig.takeSent().first?.child("displayed", in: XMPPNamespace.markers)?.attribute("id") == "a")
        rig.hear(.receipt(Self.key, .dead), 9)
        #expect(rig.takeSent().first?.condition == "recipient-unavailable")
    }

    @Test("IM-4 a correction and a retraction change the message they name; unknown ones are a new message, or nothing")
    func changes() throws {
        var rig = try SessionRig()
        try rig.say("wrnog", id: "a")
        guard case .post(let token, _)? = rig.takeActions().last else { return }
        rig.post(token, .success(Self.key))
        let replace = "<replace xmlns='\(XMPPNamespace.correct)' id='a'/>"
        try rig.say("right", id: "b", more: replace + "<request xmlns='\(XMPPNamespace.receipts)'/>")
        guard case .edit(let edit, Self.key, "alice", "right")? = rig.takeActions().last else {
            Issue.record("no edit")
            return
        }
        rig.post(edit, .success(Self.key))
        #expect(rig.takeSent().first?.child("received", in: XMPPNamespace.receipts)?.attribute("id") == "b")
        try rig.say("mine?", from: "bob@x/p", id: "c", more: replace)
        guard case .post(_, let message)? = rig.takeActions().last else {
            Issue.record("somebody else's message was changed")
            return
        }
        #expect(message.from == "bob")
        let retract = { (id: String) in "<retract xmlns='\(XMPPNamespace.retract)' id='\(id)'/>" }
        try rig.take("<message from='alice@x/p' to='oa@farbell.x' id='d'>\(retract("a"))</message>")
        guard case .withdraw(let last, Self.key, "alice")? = rig.takeActions().last else {
            Issue.record("not withdrawn")
            return
        }
        rig.post(last, .failure(GatewayError(.forbidden, "too late")))
        #expect(rig.takeSent().first?.condition == "service-unavailable")
        try rig.take("<message from='alice@x/p' to='oa@farbell.x' id='e'>\(retract("none"))</message>")
        #expect(rig.takeActions().isEmpty)
    }

    @Test("IM-4 what a peer changes comes as a correction or a retraction")
    func changed() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        _ = rig.takeSent()
        rig.hear(.edited(Self.key, by: .account("bob"), subject: nil, body: Array("new".utf8)), 6)
        rig.hear(.edited(Self.key, by: .account("bob"), subject: nil, body: nil), 7)
        let sent = rig.takeSent()
        #expect(sent[0].text(of: "body") == "new" && sent[0].attribute("from") == "bob@farbell.x")
        #expect(sent[0].child("replace", in: XMPPNamespace.correct)?.attribute("id") == "m1-5")
        #expect(sent[1].child("retract", in: XMPPNamespace.retract)?.attribute("id") == "m1-5")
        #expect(sent[1].child("body") == nil)
    }

    @Test("IM-10 typing goes both ways; a message speaks for itself")
    func typing() throws {
        var rig = try SessionRig()
        try rig.say("hi", more: "<active xmlns='\(XMPPNamespace.chatStates)'/>")
        _ = (rig.takeActions(), rig.takeSent())
        for state in ["composing", "paused", "gone"] {
            try rig.take(
                "<message from='alice@x/p' to='bob@farbell.x'><\(state) xmlns='\(XMPPNamespace.chatStates)'/></message>"
            )
        }
        #expect(
            rig.takeActions() == [
                .typing(.composing, from: "alice", to: .account("bob")),
                .typing(.paused, from: "alice", to: .account("bob")),
                .typing(.paused, from: "alice", to: .account("bob")),
            ])
        rig.hear(.typing(.account("bob"), .composing), 5)
        let sent = try #require(rig.takeSent().first)
        #expect(sent.child("composing", in: XMPPNamespace.chatStates) != nil && sent.child("body") == nil)
    }

    @Test("IM-6 a receipt that overtakes the answer is not lost")
    func early() throws {
        var rig = try SessionRig()
        try rig.say("one", id: "a", more: "<request xmlns='\(XMPPNamespace.receipts)'/>")
        guard case .post(let token, _)? = rig.takeActions().last else { return }
        rig.hear(.receipt(Self.key, .delivered), 7)
        #expect(rig.takeSent().isEmpty)
        rig.post(token, .success(Self.key))
        #expect(rig.takeSent().count == 1)
    }

    @Test("a message that is not taken comes back as an error whose kind tells whether to try again")
    func failures() throws {
        var rig = try SessionRig()
        for (code, condition) in [
            (GatewayError.Code.queueFull, "resource-constraint"), (.unknownRecipient, "service-unavailable"),
            (.forbidden, "service-unavailable"), (.stopping, "internal-server-error"),
        ] {
            try rig.say("x")
            guard case .post(let token, _)? = rig.takeActions().last else { return }
            rig.post(token, .failure(GatewayError(code, "no")))
            #expect(rig.takeSent().first?.condition == condition)
        }
    }

    // MARK: To the user

    @Test("IM-3 IM-7 a message goes to the user's bare address with its key as id, a request and a thread")
    func delivery() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        _ = rig.takeSent()
        rig.hear(message: "你好 <b>", 5, correlation: "case-1")
        let stanza = try #require(rig.takeSent().first)
        #expect(stanza.attribute("to") == "alice@x" && stanza.attribute("from") == "oa@farbell.x")
        #expect(stanza.attribute("id") == "m1-5" && stanza.text(of: "body") == "你好 <b>")
        #expect(stanza.text(of: "thread") == "case-1" && stanza.child("request", in: XMPPNamespace.receipts) != nil)
        #expect(stanza.child("delay", in: XMPPNamespace.delay) == nil)
        rig.hear(message: "from bob", 6, from: .account("bob"))
        #expect(rig.takeSent().first?.attribute("from") == "bob@farbell.x")
        rig.hear(.message(SessionRig.message("old", 7, at: Timestamp(seconds: 1_700_000_000))), 7)
        #expect(rig.takeSent().first?.child("delay", in: XMPPNamespace.delay) != nil)
    }

    @Test("IM-6 the client's receipt acknowledges; a marker reads everything up to it in its chat")
    func acknowledged() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        for number in Int64(5)...7 { rig.hear(message: "t", number) }
        rig.hear(message: "t", 8, from: .account("bob"))
        _ = rig.takeActions()
        try rig.take(
            "<message from='alice@x/p' to='oa@farbell.x'><received xmlns='urn:xmpp:receipts' id='m1-6'/></message>")
        #expect(rig.takeActions().isEmpty, "there is a gap before it")
        try rig.take(
            "<message from='alice@x/p' to='oa@farbell.x'><received xmlns='urn:xmpp:receipts' id='m1-5'/></message>")
        #expect(rig.takeActions() == [.arrived("alice", upTo: 6)])
        try rig.take(
            "<message from='alice@x/p' to='oa@farbell.x'><displayed xmlns='urn:xmpp:chat-markers:0' id='m1-7'/></message>"
        )
        #expect(
            rig.takeActions() == [
                .arrived("alice", upTo: 7), .read(MessageKey(queue: 1, seq: 5), by: "alice"),
                .read(MessageKey(queue: 1, seq: 6), by: "alice"), .read(MessageKey(queue: 1, seq: 7), by: "alice"),
            ])
    }

    @Test("IM-6 a client without receipts: the server's echo and some time acknowledge, and not the echo alone")
    func serversWord() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.hear(message: "t", 5)
        _ = rig.takeActions()
        rig.pass(.seconds(20))
        #expect(rig.takeActions().isEmpty, "nobody has said that the server has it")
        try rig.echo()
        rig.pass(.seconds(5))
        #expect(rig.takeActions().isEmpty, "the client still has time")
        rig.pass(.seconds(6))
        #expect(rig.takeActions() == [.arrived("alice", upTo: 5)])
    }

    @Test("IM-12 a message that comes back waits for a sign of life and is sent again; one that is wrong itself is not")
    func bounces() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.attached()
        rig.hear(message: "t", 5)
        _ = (rig.takeActions(), rig.takeSent())
        func bounce(_ id: String, _ condition: String) -> String {
            "<message type='error' from='alice@x' to='oa@farbell.x' id='\(id)'><error type='cancel'>"
                + "<\(condition) xmlns='\(XMPPNamespace.stanzaErrors)'/></error></message>"
        }
        try rig.take(bounce("m1-5", "service-unavailable"))
        #expect(
            rig.takeActions() == [
                .undeliverable("alice", Self.key, condition: "service-unavailable", isForGood: false), .detach("alice"),
            ])
        try rig.take("<presence from='alice@x/phone' to='farbell.x'/>")
        #expect(rig.takeActions().first == .attach("alice", generation: 2, after: 4))
        rig.hear(message: "t", 5)
        #expect(rig.takeSent().contains { $0.attribute("id") == "m1-5" })
        try rig.take(bounce("m1-5", "policy-violation"))
        #expect(
            rig.takeActions() == [
                .undeliverable("alice", Self.key, condition: "policy-violation", isForGood: true),
                .arrived("alice", upTo: 5),
            ])
    }

    @Test("IM-9 IM-12 messages are held while the user is away, and come when the user is back; presence follows")
    func away() throws {
        var rig = try SessionRig()
        try rig.take("<presence from='alice@x/phone' to='farbell.x'/>")
        try rig.take(
            "<presence from='alice@x/desk' to='farbell.x'><show>dnd</show><status>in a call</status></presence>")
        #expect(
            rig.takeActions() == [
                .attach("alice", generation: 1, after: 0),
                .presence("alice", connection: "phone", AccountPresence(.online)),
                .presence("alice", connection: "desk", AccountPresence(.busy, text: "in a call")),
            ])
        try rig.take("<presence from='alice@x/phone' to='farbell.x' type='unavailable'/>")
        #expect(rig.takeActions() == [.presence("alice", connection: "phone", nil)], "one client is left")
        try rig.take("<presence from='alice@x/desk' to='farbell.x' type='unavailable'/>")
        #expect(rig.takeActions() == [.presence("alice", connection: "desk", nil), .detach("alice")])
        rig.hear(message: "late", 5)
        #expect(rig.session.linked["alice"]?.outstanding.isEmpty == true)
        try rig.take("<presence from='alice@x/desk' to='farbell.x'><show>xa</show></presence>")
        #expect(
            rig.takeActions() == [
                .attach("alice", generation: 2, after: 0),
                .presence("alice", connection: "desk", AccountPresence(.away)),
            ])
    }

    @Test("what monitors bring, what is from devices, and what has expired is passed over and acknowledged")
    func passedOver() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        _ = (rig.takeActions(), rig.takeSent())
        rig.hear(message: "t", 5, from: .device("d"))
        var expired = SessionRig.message("t", 6, at: rig.wall)
        expired.expires = rig.wall
        rig.hear(.message(expired), 6)
        rig.hear(.other, 7)
        #expect(rig.takeSent().isEmpty)
        rig.pass(.seconds(5))
        #expect(rig.takeActions() == [.arrived("alice", upTo: 7)])
    }

    @Test("IM-7 a user who takes nothing stops the stream at a limit, and it goes on when there is room")
    func bounded() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.attached()
        _ = rig.takeActions()
        for number in Int64(1)...300 { rig.hear(message: "t", number) }
        #expect(rig.takeActions() == [.detach("alice")])
        #expect(rig.session.linked["alice"]?.outstanding.count == LinkedUser.outstandingLimit)
        // One echo covers the first, another one all that was sent meanwhile.
        try rig.echo()
        try rig.echo()
        rig.pass(.seconds(11))
        #expect(rig.takeActions() == [.arrived("alice", upTo: 256), .attach("alice", generation: 2, after: 256)])
    }

    @Test("accounts linked before are looked after in steps: each is asked for its presence and attached")
    func relinked() throws {
        let names = (0..<450).map { "u\($0)" }
        var rig = try SessionRig(accounts: Set(names), linked: names.map { AccountID($0) })
        rig.pass(.zero)
        #expect(rig.takeActions().count == 200)
        rig.pass(.milliseconds(50))
        rig.pass(.milliseconds(50))
        #expect(rig.takeActions().count == 250)
        #expect(rig.takeSent().allSatisfy { $0.attribute("type") == "probe" })
    }
}
