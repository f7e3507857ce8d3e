internal import Base
internal import Gateway

extension StoreConformance {
    func people(_ store: inout any Store) async throws {
        var busy = OwnStatus(.busy, since: Samples.noon)
        (busy.text, busy.fromSessions, busy.showsLastSeen, busy.tellsApps) = ("Straße 🔔", true, false, true)
        let wish = ContactEdge(account: "alice", peer: "bob", since: Samples.noon)
        var other = ContactEdge(account: "bob", peer: "alice", since: Samples.noon + .seconds(1))
        let stranger = ContactEdge(account: "carol", peer: "nobody", since: Samples.noon, isDeclined: true)
        let block = Block(account: "bob", peer: "carol", since: Samples.noon)
        let back = Block(account: "carol", peer: "bob", since: Samples.noon)
        try await store.commit(
            [
                .putContact(wish), .putContact(other), .putContact(stranger), .putBlock(block), .putBlock(back),
                .putStatus("alice", OwnStatus(since: Samples.noon)), .putStatus("bob", busy),
            ].map { .people($0) })
        other.isDeclined = true
        let mine = OwnStatus(.invisible, since: Samples.noon + .milliseconds(1))
        try await store.commit([.people(.putContact(other)), .people(.putStatus("alice", mine))])
        store = try await reopen(store)
        var found = try await store.registry()
        try expect(found.contacts, [wish, other, stranger], "contacts")
        try expect(found.blocks, [block, back], "blocks")
        try expect(found.statuses, ["alice": mine, "bob": busy], "statuses")
        try await store.commit([
            .people(.deleteContact("alice", "bob")), .people(.deleteContact("bob", "nobody")),
            .people(.deleteBlock("carol", "bob")), .people(.deleteBlock("alice", "carol")),
        ])
        found = try await store.registry()
        try expect(found.contacts, [other, stranger], "the contacts left")
        try expect(found.blocks, [block], "the blocks left")
        try await store.commit([.people(.putContact(wish)), .people(.putBlock(back)), .deleteAccount("bob")])
        found = try await store.registry()
        try expect(found.contacts, [stranger], "contacts without bob")
        try expect(found.blocks, [back], "blocks without bob's own")
        try expect(found.statuses, ["alice": mine], "statuses without bob's")
    }
}

extension RandomChanges {
    /// A change of what is known of people.
    mutating func people() -> PeopleChange {
        let (account, peer) = (pick(Self.accounts), pick(Self.accounts + ["nobody"]))
        switch Int.random(in: 0..<5, using: &random) {
        case 0, 1:
            return .putContact(ContactEdge(account: account, peer: peer, since: time(), isDeclined: chance(30)))
        case 2: return chance(50) ? .deleteContact(account, peer) : .deleteBlock(account, peer)
        case 3: return .putBlock(Block(account: account, peer: peer, since: time()))
        default:
            var status = OwnStatus(pick(OwnStatus.Word.allCases), since: time())
            (status.text, status.fromSessions) = (optionalText(), chance(50))
            (status.showsLastSeen, status.tellsApps) = (chance(50), chance(50))
            return .putStatus(account, status)
        }
    }
}
