/// How much of a request's body is taken: decisions only, the bytes are elsewhere.
struct Upload: Sendable {
    enum Step: Sendable, Hashable {
        /// Keep the bytes.
        case keep
        /// Read on, but throw away: the answer is 413 when all is read.
        case discard
        /// Break the connection off: the client does not stop.
        case giveUp
    }

    private let limit: Int
    private let discardLimit: Int
    private var received = 0
    private(set) var isTooLarge = false

    init(limit: Int, discardLimit: Int) { (self.limit, self.discardLimit) = (limit, discardLimit) }

    /// The headers are there. Returns true to answer 413 before any of the body is read: the client waits
    /// for a word (RFC 9110 section 10.1.1), or announces more than is worth reading.
    mutating func refuses(contentLength: Int?, expectsContinue: Bool) -> Bool {
        guard let contentLength, contentLength > limit else { return false }
        isTooLarge = true
        return expectsContinue || contentLength > limit + discardLimit
    }

    mutating func receive(_ count: Int) -> Step {
        received += count
        if received > limit { isTooLarge = true }
        guard isTooLarge else { return .keep }
        return received > limit + discardLimit ? .giveUp : .discard
    }
}
