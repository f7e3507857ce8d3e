package import Base

/// Which news of typing is passed on: what repeats what is known is not, and nobody is told faster than they can
/// look. Nothing of it is kept: what is not passed on is lost.
package struct TypingTable: Sendable {
    /// Who writes to whom.
    private struct Way: Sendable, Hashable {
        let from, to: QueueAddress
    }

    private struct Entry: Sendable {
        var state: TypingState
        var at: Moment
        var bucket: TokenBucket
    }

    /// `composing` is passed on again after this, for those who came later.
    package static let refresh: Duration = .seconds(5)
    /// Who is told of `composing` shall take it as over after this.
    package static let lifetime: Duration = .seconds(10)
    /// Changes in a second that one may tell another of, on average; at once, `burst`.
    package static let perSecond = 1.0
    package static let burst = 5.0
    /// Pairs that are remembered at once; beyond it nothing is passed on until some are forgotten.
    package static let limit = 100_000

    private var entries: [Way: Entry] = [:]
    private var nextSweep = Moment.distantFuture

    package init() {}

    package var count: Int { entries.count }

    /// Whether to pass it on.
    package mutating func take(
        _ state: TypingState, from: QueueAddress, to: QueueAddress, at now: Moment
    ) -> Bool {
        sweep(now)
        let way = Way(from: from, to: to)
        var entry = entries[way]
        if let known = entry {
            let isOver = now - known.at >= Self.lifetime
            switch (state, known.state) {
            case (.composing, .composing): if now - known.at < Self.refresh { return false }
            case (.paused, .paused): return false
            case (.paused, .composing): if isOver { return false }
            case (.composing, .paused): break
            }
        } else {
            // Whoever was not seen writing has nothing to stop.
            guard state == .composing, entries.count < Self.limit else { return false }
            entry = Entry(
                state: state, at: now, bucket: TokenBucket(perSecond: Self.perSecond, burst: Self.burst))
        }
        guard var entry, entry.bucket.take(at: now) else { return false }
        (entry.state, entry.at) = (state, now)
        entries[way] = entry
        if nextSweep == .distantFuture { nextSweep = now + Self.lifetime }
        return true
    }

    private mutating func sweep(_ now: Moment) {
        guard now >= nextSweep else { return }
        entries = entries.filter { now - $0.value.at < Self.lifetime }
        nextSweep = entries.isEmpty ? .distantFuture : now + Self.lifetime
    }
}
