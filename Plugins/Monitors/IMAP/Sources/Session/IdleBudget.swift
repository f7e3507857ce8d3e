/// How long one `IDLE` may last. Routers on the way forget quiet connections after a time nobody tells:
/// each connection lost while idling shortens the next ones, each that survived lengthens them again.
struct IdleBudget: Sendable, Hashable {
    /// Shorter is never tried: a server that restarts must not make us chatty.
    static let floor = Duration.seconds(60)

    private let configured: Duration
    /// What connections lost have taught; nil: nothing.
    private(set) var learned: Duration?

    init(_ configured: Duration) { self.configured = configured }

    var limit: Duration { learned ?? configured }

    /// The connection ended after so long without a word.
    mutating func lost(after quiet: Duration) {
        guard quiet >= Self.floor, quiet < limit else { return }
        learned = max(Self.floor, quiet * 4 / 5)
    }

    /// An `IDLE` of full length was answered.
    mutating func survived() {
        guard let learned else { return }
        let longer = learned * 5 / 4
        self.learned = longer < configured ? longer : nil
    }
}
