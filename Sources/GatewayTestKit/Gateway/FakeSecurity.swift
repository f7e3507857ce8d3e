package import Base
internal import Gateway

/// Fast, deterministic stand-ins for cryptography: they tell different inputs, purposes and contexts apart, and
/// protect nothing.
package final class FakeSecurity: Security {
    /// What `open` throws when the context, the key or the text is another one.
    package struct CannotOpen: Error {}

    private let random: SharedRandom
    private let key: [UInt8]
    private let verified = Locked(0)

    /// - Parameters:
    ///   - seed: of the bytes drawn.
    ///   - key: stands for the key file; what one key sealed another cannot open.
    package init(seed: UInt64 = 1, key: String = "key") {
        random = SharedRandom(seed: seed)
        self.key = Array(key.utf8)
    }

    /// How many passwords were checked, right or wrong.
    package var verifications: Int { verified.withLock { $0 } }

    package func randomBytes(_ count: Int) -> [UInt8] { random.bytes(count) }

    package func hash(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for lane in 0..<4 {
            // FNV-1a with its own start in each lane, then mixed so that neighbours differ everywhere.
            var value: UInt64 = 0xCBF2_9CE4_8422_2325 &+ UInt64(lane) &* 0x9E37_79B9_7F4A_7C15
            for byte in bytes { value = (value ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
            value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
            value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
            value ^= value >> 31
            for shift in stride(from: UInt64(56), through: 0, by: -8) {
                result.append(UInt8(truncatingIfNeeded: value >> shift))
            }
        }
        return result
    }

    package func authenticationCode(_ message: [UInt8], purpose: String) -> [UInt8] {
        hash(key + [0] + Array(purpose.utf8) + [0] + message)
    }

    package func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool { a == b }

    /// Of the right size; "on the curve" are those that do not end in 255.
    package func isPublicKey(_ bytes: [UInt8]) -> Bool { bytes.count == 65 && bytes[0] == 4 && bytes[64] != 255 }

    package func hashPassword(_ password: Secret) async throws -> String {
        "fake$\(hash(password.bytes).hexadecimal)"
    }

    package func verify(_ password: Secret, against encoded: String) async throws -> Bool {
        verified.withLock { $0 += 1 }
        return encoded == "fake$\(hash(password.bytes).hexadecimal)"
    }

    package func seal(_ plaintext: [UInt8], context: String) throws -> [UInt8] {
        authenticationCode(plaintext, purpose: context) + mask(plaintext, context)
    }

    package func open(_ sealed: [UInt8], context: String) throws -> [UInt8] {
        let plaintext = mask(Array(sealed.dropFirst(32)), context)
        guard authenticationCode(plaintext, purpose: context) == Array(sealed.prefix(32)) else { throw CannotOpen() }
        return plaintext
    }

    /// Makes text unreadable, and readable again, so that a test finds secrets that were stored unsealed.
    private func mask(_ bytes: [UInt8], _ context: String) -> [UInt8] {
        let pad = authenticationCode([], purpose: "mask \(context)")
        return bytes.enumerated().map { $1 ^ pad[$0 % pad.count] ^ UInt8(truncatingIfNeeded: $0) }
    }
}
