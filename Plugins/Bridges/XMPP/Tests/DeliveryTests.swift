import Base
import Gateway
import Testing
import XML
import XMPPTools

@testable import XMPPBridge

/// From Farbell to the user: what the account's stream brings, and what becomes of it.
@Suite(.timeLimit(.minutes(1))) struct DeliveryTests {
    private static let key = MessageKey(queue: 1, seq: 5)

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

    @Test("IM-7 a stream that ended by itself is opened again; one whose device was deleted waits for the next stanza")
    func ended() throws {
        for isLinked in [true, false] {
            var rig = try SessionRig(isLinked: isLinked)
            try rig.say("hi")
            rig.attached()
            rig.hear(message: "t", 5)
            _ = rig.takeActions()
            rig.hear(.ended, nil)
            #expect(rig.takeActions() == (isLinked ? [.attach("alice", generation: 2, after: 5)] : []))
            try rig.say("again", id: "2")
            #expect(rig.takeActions().contains(.attach("alice", generation: 1, after: 0)) == !isLinked)
        }
    }

    @Test("accounts linked before are looked after in steps: their presence is asked for, and then they are attached")
    func relinked() throws {
        let names = (0..<450).map { "u\($0)" }
        var rig = try SessionRig(accounts: Set(names), linked: names.map { AccountID($0) })
        rig.pass(.zero)
        #expect(rig.takeSent().count == 200)
        rig.pass(.milliseconds(50))
        rig.pass(.milliseconds(50))
        let probes = rig.takeSent()
        #expect(probes.count == 250 && probes.allSatisfy { $0.attribute("type") == "probe" })
        #expect(rig.takeActions().isEmpty, "first it is heard whether they are there")
        try rig.take("<presence from='u1@x/p' to='farbell.x'/>")
        #expect(rig.takeActions().first == .attach("u1", generation: 1, after: 0))
        try rig.take("<presence from='u2@x' to='farbell.x' type='unavailable'/>")
        rig.pass(ComponentSession.probeWait)
        let attached = Set(rig.takeActions())
        #expect(attached.count == 448 && !attached.contains(.attach("u2", generation: 1, after: 0)))
    }
}
