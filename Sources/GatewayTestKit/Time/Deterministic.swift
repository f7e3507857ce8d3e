internal import Base

/// Ids in a known order: `message-1`, `message-2` and so on. Safe to share between tasks.
package final class SequenceIDs: Sendable {
    private let prefix: String
    private let last = Locked(0)

    package init(_ prefix: String = "id-") { self.prefix = prefix }

    /// The next id; pass `ids.next` where a closure that makes ids is wanted.
    package func next() -> String {
        let number = last.withLock { last in
            last += 1
            return last
        }
        return "\(prefix)\(number)"
    }
}

/// Random numbers that are the same in every run (SplitMix64). Not for keys.
package struct ManualRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(seed: UInt64 = 1) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The next `count` bytes.
    package mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next() >> 32) }
    }
}

/// `ManualRandom` behind a lock, for code that takes its randomness as a closure.
package final class SharedRandom: Sendable {
    private let generator: Locked<ManualRandom>

    package init(seed: UInt64 = 1) { generator = Locked(ManualRandom(seed: seed)) }

    package func bytes(_ count: Int) -> [UInt8] { generator.withLock { $0.bytes(count) } }
    /// From 0 up to, without, 1.
    package func fraction() -> Double { generator.withLock { Double.random(in: 0..<1, using: &$0) } }
}
