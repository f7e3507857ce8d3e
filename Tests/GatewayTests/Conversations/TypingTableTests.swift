import Base
import Testing

@testable import Gateway

@Suite struct TypingTableTests {
    private let alice = QueueAddress.account("alice")
    private let bob = QueueAddress.account("bob")
    private let start = Moment(nanoseconds: 0)

    @Test("IM-6 what is known is not told again, but those who come later are told") func repeats() {
        var table = TypingTable()
        func take(_ state: TypingState, _ seconds: Int) -> Bool {
            table.take(state, from: alice, to: bob, at: start + .seconds(seconds))
        }
        #expect(!take(.paused, 0), "nobody was writing")
        #expect(take(.composing, 0))
        #expect(!take(.composing, 4))
        #expect(take(.composing, 5))
        #expect(take(.paused, 6))
        #expect(!take(.paused, 7))
        #expect(take(.composing, 8))
        #expect(!take(.paused, 19), "whoever is told takes it as over by then")
        let back = table.take(.composing, from: bob, to: alice, at: start)
        #expect(back, "each way for itself")
    }

    @Test("IM-6 a flood is cut to a rate, and each way has its own") func flood() {
        var table = TypingTable()
        let passed = (0..<1000).count { index in
            // 100 changes a second for 10 s.
            table.take(
                index % 2 == 0 ? .composing : .paused, from: alice, to: bob,
                at: start + .milliseconds(Int64(index) * 10))
        }
        #expect(passed <= Int(TypingTable.burst + 10 * TypingTable.perSecond) && passed >= 10)
        let other = table.take(.composing, from: alice, to: .app("oa"), at: start + .seconds(10))
        #expect(other)
    }

    @Test("The table is bounded, and forgets what is over") func bounds() {
        var table = TypingTable()
        let filled = (0..<TypingTable.limit).allSatisfy { index in
            table.take(.composing, from: alice, to: .account(AccountID("\(index)")), at: start)
        }
        let more = table.take(.composing, from: alice, to: .account("one more"), at: start)
        let later = table.take(.composing, from: alice, to: .account("one more"), at: start + TypingTable.lifetime)
        #expect(filled && !more && later)
        #expect(table.count == 1)
    }

    @Test("A conversation has two different ends, not both applications, whoever is named first") func pairs() {
        #expect(ConversationPair(alice, bob) == ConversationPair(bob, alice))
        #expect(ConversationPair(alice, .app("oa"))?.peer(of: alice) == .app("oa"))
        #expect(ConversationPair(alice, alice) == nil && ConversationPair(.app("a"), .app("b")) == nil)
        #expect(ConversationPair(alice, .device("d")) == nil && ConversationPair(.device("d"), bob) == nil)
        var rules = ConversationRules()
        rules.apps = ["oa": .seconds(5)]
        #expect(rules.retention(alice, .app("oa")) == .seconds(5) && rules.retention(.app("oa"), bob) == .seconds(5))
        #expect(rules.retention(alice, .app("other")) == nil && rules.retention(.app("oa"), .app("oa")) == nil)
        rules.accounts = .zero
        #expect(rules.retention(alice, bob) == nil)
    }
}
