internal import Base

/// Request ids that tell nothing: 13 characters, all different in one process, and starting at another
/// place in each. They name a request in the log; they are no secret and grant nothing.
package struct RequestIDs: Sendable {
    private let seed: UInt64

    package init(seed: UInt64 = .random(in: .min ... .max)) { self.seed = seed }

    /// A function that returns another id at each call; callable from any thread.
    package func makeGenerator() -> @Sendable () -> String {
        let next = Locked(seed)
        return {
            Self.text(
                next.withLock {
                    $0 &+= 0x9E37_79B9_7F4A_7C15
                    return $0
                })
        }
    }

    /// A one-to-one scramble of 64 bits (the finalizer of SplitMix64), in 13 characters of base 32.
    private static func text(_ number: UInt64) -> String {
        var bits = number
        bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
        bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
        bits ^= bits >> 31
        var characters: [UInt8] = []
        characters.reserveCapacity(13)
        for _ in 0..<13 {
            let digit = UInt8(truncatingIfNeeded: bits & 31)
            characters.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            bits >>= 5
        }
        return String(decoding: characters, as: UTF8.self)
    }
}
