import Gateway
import Testing

@testable import XMPPBridge

@Suite struct JIDTests {
    @Test(
        "IM-7 names are escaped by XEP-0106 and read back",
        arguments: [
            ("alice", "alice"), ("space cadet", "space\\20cadet"), ("d'artagnan", "d\\27artagnan"),
            ("a@b", "a\\40b"), ("c:\\net", "c\\3a\\net"), ("c:\\5commas", "c\\3a\\5c5commas"),
            ("account/oa", "account\\2foa"), ("\"&<>", "\\22\\26\\3c\\3e"), ("李娜", "李娜"), ("\\2", "\\2"),
        ])
    func escaping(name: String, local: String) {
        #expect(JIDEscaping.escape(name) == local)
        #expect(JIDEscaping.unescape(local) == name)
    }

    @Test("addresses are taken apart; what is none is refused")
    func parts() {
        let jid = JID("Alice@Example.ORG/phone/2")
        #expect(jid?.local == "Alice" && jid?.domain == "example.org" && jid?.resource == "phone/2")
        #expect(JID("example.org")?.local == nil && JID("example.org/a@b")?.resource == "a@b")
        for text in ["", "@x", "a@", "a@x/", String(repeating: "a", count: 1024) + "@x"] { #expect(JID(text) == nil) }
    }

    @Test("IM-7 apps come before accounts of the same name, and the long form says which one is meant")
    func names() {
        let names = BridgeNames(component: "f.x", apps: ["oa"])
        #expect(names.name(JID(local: "oa", domain: "f.x")) == .app("oa"))
        #expect(names.name(JID(local: "account\\2foa", domain: "f.x")) == .account("oa"))
        #expect(names.name(JID(local: "app\\2fnone", domain: "f.x")) == nil)
        #expect(names.name(JID(local: "device\\2fd", domain: "f.x")) == nil)
        #expect(names.name(JID(local: "oa", domain: "g.x")) == nil && names.name(JID(local: nil, domain: "f.x")) == nil)
        #expect(names.address(.account("oa"))?.text == "account\\2foa@f.x")
        #expect(names.address(.account("bob"))?.text == "bob@f.x" && names.address(.app("oa"))?.text == "oa@f.x")
        #expect(names.address(.device("d")) == nil)
    }

    @Test("IM-7 users are accounts by their domain or by name, and an account has one address")
    func users() {
        let users = BridgeUsers(domain: "x", accounts: ["al@y": "alice"])
        func account(_ text: String) -> String? { JID(text).flatMap(users.account) }
        #expect(account("bob@x/phone") == "bob" && account("al@y") == "alice")
        #expect(account("alice@x") == nil, "somebody else of that name at the domain is not alice")
        #expect(account("bob@y") == nil && account("x") == nil && account("bob@sub.x") == nil)
        #expect(users.address(of: "alice")?.text == "al@y" && users.address(of: "o'neil")?.text == "o\\27neil@x")
    }
}
