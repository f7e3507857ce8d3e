internal import Base
internal import Gateway

/// What is known of one linked user on this connection.
struct LinkedUser: Sendable {
    /// Resources that are remembered of one user; of more, only that there are some.
    static let resourcesLimit = 16
    /// Messages that a user has been sent and that are not acknowledged; with more the stream pauses.
    static let outstandingLimit = 256
    /// Messages of one chat that are remembered, for markers and answers.
    static let shownLimit = 64
    /// Chats that are remembered.
    static let chatsLimit = 64

    /// Whether the user can be reached now, as far as the server says.
    enum Reach: Sendable, Hashable {
        /// Nobody has said: the server decides what becomes of a message.
        case unknown
        case available
        /// Messages wait here until there is a sign of life.
        case away
    }

    enum Link: Sendable, Hashable {
        case none
        /// The stream is open, or about to be.
        case attached
    }

    /// An event of the account's stream that is not acknowledged.
    struct Outstanding: Sendable, Hashable {
        let number: Int64
        /// Nil for what is not passed on.
        let key: MessageKey?
        var isDone: Bool
        /// Which echo tells that the server has it.
        let echo: Int64
        /// When the server had it.
        var handed: Moment?
    }

    /// A message that the user was sent.
    struct Shown: Sendable {
        let key: MessageKey
        /// What an answer to it carries.
        let correlation: String
        var isRead = false
    }

    /// One conversation, as far as markers and answers need it.
    struct Chat: Sendable {
        var shown: [Shown] = []
        var lastUse: Int64 = 0
    }

    let address: JID
    var reach = Reach.unknown
    var resources: Set<String> = []
    var link = Link.none
    /// Which opening of the stream the events belong to.
    var generation: Int64 = 0
    /// Everything up to here was passed on, or needs not be.
    var position: Int64 = 0
    var outstanding: [Outstanding] = []
    var isPaused = false
    var chats: [QueueAddress: Chat] = [:]
    var bucket: TokenBucket

    init(_ address: JID, perMinute: Int) {
        self.address = address
        bucket = TokenBucket(perSecond: Double(perMinute) / 60, burst: Double(max(10, perMinute / 4)))
    }

    /// Takes out what has arrived without a gap; the number up to which, if anything has.
    mutating func settle() -> Int64? {
        let done = outstanding.prefix { $0.isDone }
        guard let last = done.last else { return nil }
        outstanding.removeFirst(done.count)
        return last.number
    }

    /// The server has everything that an echo covers.
    mutating func hand(echo: Int64, at now: Moment) {
        for index in outstanding.indices where outstanding[index].echo <= echo && outstanding[index].handed == nil {
            outstanding[index].handed = now
        }
    }

    /// Takes the server's word for what its client has not confirmed in time.
    mutating func finish(handedBefore moment: Moment) {
        for index in outstanding.indices {
            if let handed = outstanding[index].handed, handed <= moment { outstanding[index].isDone = true }
        }
    }

    mutating func finish(_ key: MessageKey) {
        if let index = outstanding.firstIndex(where: { $0.key == key }) { outstanding[index].isDone = true }
    }

    /// Notes a message that the user is shown.
    mutating func show(_ key: MessageKey, from peer: QueueAddress, correlation: String, at use: Int64) {
        if chats[peer] == nil, chats.count >= Self.chatsLimit,
            let oldest = chats.min(by: { $0.value.lastUse < $1.value.lastUse })
        {
            chats[oldest.key] = nil
        }
        var chat = chats[peer] ?? Chat()
        if chat.shown.count >= Self.shownLimit { chat.shown.removeFirst() }
        chat.shown.append(Shown(key: key, correlation: correlation))
        chat.lastUse = use
        chats[peer] = chat
    }

    /// The messages that a marker at `key` reads: itself and those before it in its chat.
    mutating func read(upTo key: MessageKey, from peer: QueueAddress) -> [MessageKey] {
        guard var chat = chats[peer], let end = chat.shown.firstIndex(where: { $0.key == key }) else { return [key] }
        var keys: [MessageKey] = []
        for index in 0...end where !chat.shown[index].isRead {
            chat.shown[index].isRead = true
            keys.append(chat.shown[index].key)
        }
        chats[peer] = chat
        return keys
    }

    /// What a message to a peer answers: the message it names, else the one whose thread it has, else the last one.
    func correlation(with peer: QueueAddress, reply: String?, thread: String?) -> String? {
        let shown = chats[peer]?.shown ?? []
        if let named = shown.last(where: { $0.key.description == reply }) { return named.correlation }
        if let named = shown.last(where: { $0.correlation == thread }) { return named.correlation }
        return shown.last?.correlation ?? thread
    }
}
