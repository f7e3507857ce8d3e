import Base
import Testing

@testable import Gateway

@Suite struct ContactBookTests {
    private let noon = Timestamp(seconds: 1_795_262_400)

    private func state(_ book: ContactBook, _ account: AccountID, _ peer: AccountID) -> ContactState? {
        book.contact(account, peer)?.state
    }

    @Test("IM-8 a contact by consent needs both; until then neither sees nor reaches the other")
    func consent() {
        var book = ContactBook(rule: .consent)
        #expect(!book.mayWrite("alice", to: "bob"))
        #expect(book.add("bob", to: "alice", at: noon).count == 1)
        #expect(state(book, "alice", "bob") == .asked)
        #expect(state(book, "bob", "alice") == .asking)
        #expect(!book.maySee("bob", "alice") && !book.maySee("alice", "bob") && !book.mayWrite("alice", to: "bob"))
        #expect(book.add("bob", to: "alice", at: noon).isEmpty, "asking twice asks once")
        _ = book.add("alice", to: "bob", at: noon)
        #expect(state(book, "alice", "bob") == .contact && state(book, "bob", "alice") == .contact)
        #expect(book.maySee("bob", "alice") && book.maySee("alice", "bob") && book.mayWrite("alice", to: "bob"))
        #expect(book.watchers(of: "alice") == ["bob"])
    }

    @Test("IM-8 a wish that was turned down looks to the asker as if it waited, and asks no more")
    func declined() {
        var book = ContactBook(rule: .consent)
        _ = book.add("bob", to: "alice", at: noon)
        #expect(book.remove("alice", from: "bob").count == 1)
        #expect(state(book, "alice", "bob") == .asked)
        #expect(state(book, "bob", "alice") == nil)
        #expect(book.add("bob", to: "alice", at: noon).isEmpty)
        #expect(book.contacts(of: "bob").isEmpty)
        // Bob changes his mind: Alice's wish stands.
        _ = book.add("alice", to: "bob", at: noon)
        #expect(state(book, "bob", "alice") == .contact && state(book, "alice", "bob") == .contact)
        // What one ends is ended for both.
        _ = book.remove("bob", from: "alice")
        #expect(state(book, "alice", "bob") == nil && state(book, "bob", "alice") == .asked)
        #expect(!book.maySee("alice", "bob") && !book.mayWrite("bob", to: "alice"))
    }

    @Test("IM-8 with a directory one wish is enough, for oneself alone")
    func directory() {
        var book = ContactBook(rule: .directory)
        _ = book.add("bob", to: "alice", at: noon)
        #expect(state(book, "alice", "bob") == .contact && state(book, "bob", "alice") == nil)
        #expect(book.maySee("bob", "alice") && !book.maySee("alice", "bob"))
        #expect(book.mayWrite("bob", to: "alice") && book.mayWrite("carol", to: "alice"))
        _ = book.remove("alice", from: "bob")
        #expect(state(book, "alice", "bob") == .contact, "not hers to take away")
    }

    @Test("IM-8 who is blocked neither sees nor reaches, and asks in vain", arguments: ContactBook.Rule.allCases)
    func blocked(rule: ContactBook.Rule) {
        var book = ContactBook(rule: rule)
        _ = book.add("bob", to: "alice", at: noon)
        _ = book.add("alice", to: "bob", at: noon)
        book.put(Block(account: "alice", peer: "bob", since: noon))
        #expect(!book.maySee("alice", "bob") && !book.maySee("bob", "alice"))
        #expect(!book.mayWrite("bob", to: "alice") && book.mayWrite("alice", to: "bob"))
        #expect(state(book, "bob", "alice") == .contact, "the one who is blocked sees nothing of it")
        #expect(book.watchers(of: "alice").isEmpty)
        book.put(Block(account: "alice", peer: "dave", since: noon))
        _ = book.add("alice", to: "dave", at: noon)
        #expect(state(book, "alice", "dave") == nil)
        book.removeBlock("alice", "dave")
        #expect(state(book, "alice", "dave") == (rule == .consent ? .asking : nil))
    }

    @Test("IM-8 one's own account is always reached; whoever gets a deleted account's name inherits nothing")
    func forgotten() {
        var book = ContactBook(rule: .consent)
        #expect(book.mayWrite("alice", to: "alice"))
        for (account, peer) in [("alice", "bob"), ("bob", "alice"), ("carol", "alice")] {
            _ = book.add(AccountID(peer), to: AccountID(account), at: noon)
        }
        book.put(Block(account: "alice", peer: "dave", since: noon))
        book.put(Block(account: "dave", peer: "alice", since: noon))
        book.put(OwnStatus(.busy, since: noon), of: "alice")
        book.remove("alice")
        #expect(book.contacts(of: "alice").isEmpty && book.contacts(of: "bob").isEmpty)
        #expect(book.contacts(of: "carol").isEmpty && book.status(of: "alice") == nil)
        #expect(!book.hasBlocked("alice", "dave") && book.hasBlocked("dave", "alice"))
        _ = book.add("bob", to: "alice", at: noon)
        #expect(state(book, "alice", "bob") == .asked)
    }

    @Test("IM-9 a status is one of the words or own ones; a text goes with the status it was said with")
    func statusChanges() throws {
        var status = OwnStatus(since: noon)
        status = try OwnStatusChange(.busy, text: "in a meeting").applied(to: status, at: noon + .seconds(1))
        #expect(status.word == .busy && status.text == "in a meeting" && status.since == noon + .seconds(1))
        var change = OwnStatusChange()
        change.fromSessions = true
        status = try change.applied(to: status, at: noon + .seconds(2))
        #expect(status.text == "in a meeting" && status.fromSessions && status.since == noon + .seconds(1))
        status = try OwnStatusChange(.away).applied(to: status, at: noon + .seconds(3))
        #expect(status.word == .away && status.text == nil && status.fromSessions)
        let longest = String(repeating: "ü", count: OwnStatus.textLimit)
        #expect(try OwnStatusChange(text: longest).applied(to: status, at: noon).text == longest)
        for bad in [longest + "x", "a\u{7}", "a\nb", "a" + String(repeating: "\u{301}", count: 500)] {
            #expect(throws: GatewayError.self) { try OwnStatusChange(text: bad).applied(to: status, at: noon) }
        }
    }

    @Test("Rates are kept for each account, and not for more accounts than the limit")
    func rates() {
        let now = Moment(nanoseconds: 1)
        var rates = AccountRates(3, in: .seconds(60), limit: 100)
        for _ in 0..<3 { #expect(rates.take("alice", now: now) == nil) }
        #expect(rates.take("alice", now: now) == .seconds(20))
        #expect(rates.take("bob", now: now) == nil)
        #expect(rates.take("alice", now: now + .seconds(20)) == nil)
        for index in 0..<1000 {
            _ = rates.take(AccountID("a\(index)"), now: now + .seconds(21))
            #expect(rates.count <= 100)
        }
        var unlimited = AccountRates(0, in: .seconds(60))
        for _ in 0..<1000 { #expect(unlimited.take("alice", now: now) == nil) }
        #expect(unlimited.count == 0)
    }
}
