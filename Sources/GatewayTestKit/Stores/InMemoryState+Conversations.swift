internal import Gateway

// Conversations in the model: filters over everything there is.
extension InMemoryState {
    mutating func apply(_ change: ConversationChange) throws(StoreError) {
        switch change {
        case .insert(let entry):
            if history[entry.number] != nil { throw Self.refused("the entry's number is used") }
            set(\.history, entry.number, entry)
            for end in [entry.pair.low, entry.pair.high] {
                let key = ConversationKey(owner: end, peer: entry.pair.peer(of: end))
                var row = conversations[key] ?? ConversationRow(last: 0)
                row.last = max(row.last, entry.number)
                set(\.conversations, key, row)
            }
        case .link(let key, let entry):
            guard var message = messages[key], !message.state.isTerminal else { return }
            message.entry = entry
            set(\.messages, key, message)
        case .edit(let number, let subject, let body, let at):
            guard var entry = history[number], entry.withdrawn == nil else { return }
            (entry.subject, entry.body, entry.edited) = (subject, body, at)
            set(\.history, number, entry)
        case .withdraw(let number, let at):
            guard var entry = history[number], entry.withdrawn == nil else { return }
            entry.withdraw(at: at)
            set(\.history, number, entry)
        case .rewrite(let key, let subject, let body):
            guard var message = messages[key], !message.state.isTerminal else { return }
            (message.subject, message.body) = (subject, body)
            set(\.messages, key, message)
        case .mark(let owner, let peer, let marks, let isTold):
            let key = ConversationKey(owner: owner, peer: peer)
            guard var row = conversations[key] else { return }
            row.marks.read = max(row.marks.read, marks.read)
            row.marks.delivered = max(row.marks.delivered, marks.delivered)
            if isTold { row.shown = max(row.shown, marks.read) }
            set(\.conversations, key, row)
        case .purge(let before):
            for entry in history.values where entry.until < before { set(\.history, entry.number, nil) }
            let least = history.keys.min() ?? conversations.values.map(\.last).max() ?? 0
            for (key, row) in conversations where row.last < least { set(\.conversations, key, nil) }
        }
    }

    mutating func deleteConversations(of end: QueueAddress) {
        for entry in history.values where entry.pair.low == end || entry.pair.high == end {
            set(\.history, entry.number, nil)
        }
        for key in conversations.keys where key.owner == end || key.peer == end { set(\.conversations, key, nil) }
    }

    var lastEntry: Int64 { max(history.keys.max() ?? 0, conversations.values.map(\.last).max() ?? 0) }

    /// Of a message as it is stored.
    func openEntry(_ message: Message) -> OpenEntry {
        var entry = OpenEntry(message)
        if let number = message.entry, let sender = history[number]?.sender {
            entry.talk = OpenEntry.Talk(entry: number, peer: sender)
        }
        return entry
    }

    func views(_ query: ConversationQuery) -> [ConversationView] {
        switch query {
        case .one(let owner, let peer): return view(owner, peer).map { [$0] } ?? []
        case .named(let owner, let text, let limit):
            let peers = conversations.keys.filter { $0.owner == owner }.map {
                ($0.peer, Array($0.peer.description.utf8))
            }
            let later = peers.filter { Array(text.utf8).lexicographicallyPrecedes($0.1) }
            let sorted = later.sorted { $0.1.lexicographicallyPrecedes($1.1) }
            return sorted.prefix(max(0, limit)).compactMap { view(owner, $0.0) }
        case .list(let owner, let before, let limit):
            let views = conversations.keys.filter { $0.owner == owner }.compactMap { view(owner, $0.peer) }
            return Array(
                views.filter { $0.last < before }.sorted { $0.last > $1.last }.prefix(max(0, limit)))
        }
    }

    private func view(_ owner: QueueAddress, _ peer: QueueAddress) -> ConversationView? {
        guard let row = conversations[ConversationKey(owner: owner, peer: peer)],
            let pair = ConversationPair(owner, peer)
        else { return nil }
        let unread = history.values.count { entry in
            entry.pair == pair && entry.sender == peer && entry.number > row.marks.read && entry.withdrawn == nil
        }
        let other = conversations[ConversationKey(owner: peer, peer: owner)]
        return ConversationView(
            owner: owner, peer: peer, last: row.last, own: row.marks,
            others: ConversationMarks(read: other?.shown ?? 0, delivered: other?.marks.delivered ?? 0),
            unread: min(unread, ConversationView.unreadLimit), entry: history[row.last])
    }

    func history(_ pair: ConversationPair, _ range: HistoryRange, limit: Int) -> [HistoryEntry] {
        let entries = history.values.filter { $0.pair == pair }.sorted { $0.number < $1.number }
        switch range {
        case .before(let number): return entries.filter { $0.number < number }.suffix(max(0, limit))
        case .after(let number): return Array(entries.filter { $0.number > number }.prefix(max(0, limit)))
        }
    }
}
