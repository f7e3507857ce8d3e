import Base
import Gateway
import Testing
import XML
import XMPPTools

@testable import XMPPBridge

/// Subscriptions and presence, both ways.
@Suite(.timeLimit(.minutes(1))) struct PresenceTests {
    private func types(_ sent: [XMLElement]) -> [String] { sent.map { $0.attribute("type") ?? "" } }

    @Test("IM-9 apps agree to be seen and are there; of an account that is no contact nothing is shown")
    func apps() throws {
        var rig = try SessionRig()
        try rig.take("<presence type='subscribe' from='alice@x' to='oa@farbell.x'/>")
        #expect(types(rig.takeSent()) == ["subscribed", ""])
        try rig.take("<presence type='probe' from='alice@x/p' to='oa@farbell.x'/>")
        #expect(types(rig.takeSent()) == [""])
        for name in ["bob", "nobody", "app\\2fnone"] {
            try rig.take("<presence type='probe' from='alice@x/p' to='\(name)@farbell.x'/>")
            #expect(types(rig.takeSent()) == ["unavailable"])
        }
        try rig.take("<presence from='alice@x/p' to='farbell.x'/>")
        #expect(rig.takeSent().map { $0.attribute("from") } == ["oa@farbell.x"])
        try rig.take("<presence from='alice@x/p' to='farbell.x'><show>away</show></presence>")
        #expect(rig.takeSent().isEmpty, "once, and not with every change")
    }

    @Test("IM-8 asking for an account is a contact's wish; the answer is what became of it")
    func wishes() throws {
        var rig = try SessionRig(contacts: ["bob": AccountPresence(.lunch)])
        for name in ["bob", "nobody"] {
            try rig.take("<presence type='subscribe' from='alice@x' to='\(name)@farbell.x'/>")
        }
        #expect(
            rig.takeActions().dropFirst() == [
                .setContact("bob", of: "alice", isWanted: true), .setContact("nobody", of: "alice", isWanted: true),
            ])
        rig.session.contacted("bob", "alice", .some(.contact))
        rig.session.contacted("nobody", "alice", nil)
        rig.session.contacted("carol", "alice", .some(.asked))
        rig.pass(.zero)
        let sent = rig.takeSent()
        #expect(types(sent) == ["subscribed", "", "unsubscribed"])
        #expect(sent[1].text(of: "show") == "away" && sent[1].text(of: "status") == "lunch")
        try rig.take("<presence type='subscribe' from='alice@x' to='alice@farbell.x'/>")
        #expect(types(rig.takeSent()) == ["unsubscribed"])
        try rig.take("<presence type='unsubscribe' from='alice@x' to='bob@farbell.x'/>")
        #expect(rig.takeActions() == [.setContact("bob", of: "alice", isWanted: false)])
    }

    @Test("IM-8 a wish of somebody else's is asked in the user's client, whose word is the answer")
    func asked() throws {
        var rig = try SessionRig(asking: ["bob"])
        try rig.say("hi")
        _ = (rig.takeActions(), rig.takeSent())
        rig.hear(.contact("bob", .asking), 5)
        #expect(types(rig.takeSent()) == ["subscribe"])
        try rig.take("<presence type='subscribed' from='alice@x' to='bob@farbell.x'/>")
        try rig.take("<presence type='unsubscribed' from='alice@x' to='bob@farbell.x'/>")
        try rig.take("<presence type='subscribed' from='alice@x' to='oa@farbell.x'/>")
        #expect(
            rig.takeActions() == [
                .setContact("bob", of: "alice", isWanted: true), .setContact("bob", of: "alice", isWanted: false),
            ])
        rig.hear(.contact("bob", nil), 6)
        #expect(types(rig.takeSent()) == ["unsubscribed"])
    }

    @Test("IM-9 contacts are shown when the user comes, and as they change; their words come with them")
    func contacts() throws {
        var rig = try SessionRig(contacts: ["bob": AccountPresence(.busy, text: "on the phone")])
        try rig.take("<presence from='alice@x/p' to='farbell.x'/>")
        let bob = try #require(rig.takeSent().first { $0.attribute("from") == "bob@farbell.x" })
        #expect(bob.text(of: "show") == "dnd" && bob.text(of: "status") == "on the phone")
        rig.hear(.presence(of: "bob", AccountPresence(.online)), 5)
        rig.hear(.presence(of: "bob", .offline), 6)
        let sent = rig.takeSent()
        #expect(types(sent) == ["", "unavailable"] && sent.allSatisfy { $0.child("show") == nil })
    }

    @Test("a user's many clients and long words are bounded")
    func bounded() throws {
        var rig = try SessionRig()
        let long = String(repeating: "y", count: 5000)
        for number in 0..<100 {
            try rig.take("<presence from='alice@x/r\(number)' to='farbell.x'><status>\(long)</status></presence>")
        }
        let presences = rig.takeActions().compactMap { action -> AccountPresence? in
            if case .presence(_, _, let presence) = action { presence } else { nil }
        }
        #expect(presences.count == LinkedUser.resourcesLimit)
        #expect(presences.allSatisfy { $0.text?.count == OwnStatus.textLimit })
    }
}
