import Base
import Gateway
import Testing
import XML
import XMPPTools

@testable import XMPPBridge

/// Who may talk, what others learn, and what comes forged.
@Suite(.timeLimit(.minutes(1))) struct StrangerTests {
    @Test("IM-7 somebody who is not linked and an address that is not there are answered alike: nobody can be found")
    func alike() throws {
        var rig = try SessionRig()
        try rig.say("hi", from: "mallory@evil.x/p")
        try rig.say("hi", from: "nobody@x/p")
        try rig.say("hi", to: "nobody@farbell.x")
        try rig.say("hi", to: "farbell.x")
        let answers = rig.takeSent()
        #expect(answers.count == 4)
        #expect(Set(answers.map { $0.child("error")?.xml() ?? "" }).count == 1)
        #expect(answers.allSatisfy { $0.condition == "service-unavailable" && $0.attribute("id") == "1" })
        #expect(!rig.takeActions().contains { if case .post = $0 { true } else { false } })
    }

    @Test("IM-7 disco and presence tell strangers nothing about who is there")
    func probing() throws {
        var rig = try SessionRig()
        for to in ["farbell.x", "oa@farbell.x", "bob@farbell.x", "nobody@farbell.x"] {
            try rig.take(
                "<iq type='get' id='q' from='m@evil.x/p' to='\(to)'><query xmlns='\(XMPPNamespace.discoInfo)'/></iq>")
            try rig.take("<presence type='subscribe' from='m@evil.x' to='\(to)'/>")
            try rig.take("<presence type='probe' from='m@evil.x' to='\(to)'/>")
        }
        let sent = rig.takeSent()
        #expect(sent.count == 8, "a probe is not answered at all")
        #expect(sent.filter { $0.name.local == "iq" }.allSatisfy { $0.condition == "service-unavailable" })
        #expect(sent.filter { $0.name.local == "presence" }.allSatisfy { $0.attribute("type") == "unsubscribed" })
        #expect(rig.takeActions().isEmpty && rig.session.linked.isEmpty)
    }

    @Test(
        "IM-7 forged stanzas do nothing: from our own domain, for another domain, without an address",
        arguments: [
            "<message from='oa@farbell.x' to='alice@farbell.x'><body>x</body></message>",
            "<message from='alice@x/p' to='oa@other.x'><body>x</body></message>",
            "<message from='alice@x/p'><body>x</body></message>", "<message to='oa@farbell.x'><body>x</body></message>",
            "<message from='@x' to='oa@farbell.x'><body>x</body></message>",
            "<message xmlns='jabber:client' from='alice@x/p' to='oa@farbell.x'><body>x</body></message>",
            "<iq type='result' id='echo-1' from='alice@x/p' to='farbell.x'/>",
            "<message type='error' from='nobody@evil.x' to='oa@farbell.x' id='1'><body>x</body></message>",
        ])
    func forged(stanza: String) throws {
        var rig = try SessionRig()
        try rig.take(stanza)
        #expect(rig.takeSent().isEmpty)
        #expect(!rig.takeActions().contains { if case .post = $0 { true } else { false } })
    }

    @Test("IM-7 nobody can acknowledge, read or bounce another's messages")
    func others() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.hear(message: "secret", 5)
        _ = (rig.takeActions(), rig.takeSent())
        for from in ["bob@x/p", "m@evil.x/p"] {
            try rig.take(
                "<message from='\(from)' to='oa@farbell.x'><received xmlns='urn:xmpp:receipts' id='m1-5'/></message>")
            try rig.take(
                "<message type='error' from='\(from)' to='oa@farbell.x' id='m1-5'><error type='cancel'>"
                    + "<gone xmlns='\(XMPPNamespace.stanzaErrors)'/></error></message>")
        }
        #expect(rig.session.linked["alice"]?.outstanding.first?.isDone == false)
        #expect(!rig.takeActions().contains { if case .arrived = $0 { true } else { false } })
    }

    @Test("an echo that was not asked for changes nothing, whoever sends it")
    func echoes() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        rig.hear(message: "t", 5)
        try rig.take("<iq type='get' id='echo-9' from='farbell.x' to='farbell.x'/>")
        try rig.take("<iq type='get' id='echo-1' from='alice@x/p' to='farbell.x'/>")
        #expect(rig.session.linked["alice"]?.outstanding.first?.handed == nil)
        try rig.echo()
        #expect(rig.session.linked["alice"]?.outstanding.first?.handed != nil)
    }

    @Test("IM-7 too long, too many and encrypted messages are refused with the reason, and count for nobody else")
    func limits() throws {
        var options = ComponentSession.Options()
        (options.messageBytes, options.perMinute) = (2000, 20)
        var rig = try SessionRig(options: options)
        try rig.say(String(repeating: "x", count: 2001))
        #expect(rig.takeSent().first?.condition == "policy-violation")
        for (name, space) in XMPPNamespace.encryption {
            try rig.say("I sent you an OMEMO message", more: "<\(name) xmlns='\(space)'/>")
            #expect(rig.takeSent().first?.condition == "not-acceptable")
        }
        for number in 0..<10 { try rig.say("x", id: "n\(number)") }
        #expect(rig.takeSent().isEmpty)
        try rig.say("x", id: "one more")
        #expect(rig.takeSent().first?.condition == "resource-constraint")
        try rig.say("x", from: "bob@x/p")
        #expect(rig.takeSent().isEmpty)
        rig.pass(.seconds(3))
        try rig.say("x", id: "later")
        #expect(rig.takeSent().isEmpty)
    }

    @Test("a message too long for the server is cut, so that it cannot end the stream for all")
    func cut() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        _ = rig.takeSent()
        rig.hear(message: String(repeating: "é", count: 500_000), 5)
        let body = try #require(rig.takeSent().first?.text(of: "body"))
        #expect(body.utf8.count <= (64 << 10) + 6 && body.hasSuffix("…"))
    }

    @Test("control characters that XML cannot hold do not reach the stream")
    func controls() throws {
        var rig = try SessionRig()
        try rig.say("hi")
        _ = rig.takeSent()
        rig.hear(message: "a\u{0}\u{8}b\u{FFFE}</body>]]>&c", 5)
        #expect(rig.takeSent().first?.text(of: "body") == "ab</body>]]>&c")
    }

    @Test("IM-7 a linked user's client learns what an address is and which apps there are")
    func discovery() throws {
        var rig = try SessionRig()
        func ask(_ to: String, _ space: String) throws -> XMLElement? {
            try rig.take("<iq type='get' id='q' from='alice@x/p' to='\(to)'><query xmlns='\(space)'/></iq>")
            return rig.takeSent().first
        }
        let gateway = try ask("farbell.x", XMPPNamespace.discoInfo)
        #expect(gateway?.descendant("identity", in: XMPPNamespace.discoInfo)?.attribute("category") == "gateway")
        let app = try ask("oa@farbell.x", XMPPNamespace.discoInfo)
        #expect(app?.descendant("identity", in: XMPPNamespace.discoInfo)?.attribute("name") == "Office")
        let items = try ask("farbell.x", XMPPNamespace.discoItems)
        #expect(items?.descendant("item", in: XMPPNamespace.discoItems)?.attribute("jid") == "oa@farbell.x")
        #expect(try ask("nobody@farbell.x", XMPPNamespace.discoInfo)?.condition == "service-unavailable")
        #expect(try ask("oa@farbell.x", "vcard-temp")?.condition == "service-unavailable")
        try rig.take(
            "<iq type='get' id='p' from='alice@x/p' to='oa@farbell.x'><ping xmlns='\(XMPPNamespace.ping)'/></iq>")
        #expect(rig.takeSent().first?.attribute("type") == "result")
    }
}
