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
}
