package import Base
internal import CArgon2

/// Password hashes with Argon2id (RFC 9106) in the encoded form `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
///
/// Hashing takes tens of milliseconds and the memory of `Parameters`: run it on a `WorkThread`,
/// never on the cooperative pool.
package struct PasswordHasher: Sendable {
    /// The cost of one hash.
    package struct Parameters: Sendable, Hashable {
        /// Memory in KiB.
        package var memoryKiB: UInt32
        /// Passes over the memory.
        package var passes: UInt32
        /// Lanes; each is a thread of its own while hashing.
        package var lanes: UInt32

        /// The OWASP Password Storage Cheat Sheet's choice: 19 MiB, 2 passes, 1 lane.
        package init(memoryKiB: UInt32 = 19_456, passes: UInt32 = 2, lanes: UInt32 = 1) {
            (self.memoryKiB, self.passes, self.lanes) = (memoryKiB, passes, lanes)
        }
    }

    /// Bytes of the longest password taken.
    package static let passwordLimit = 1024
    /// Memory in KiB that an encoded hash may demand: 256 MiB, so that an imported hash cannot exhaust it.
    package static let memoryLimitKiB: UInt32 = 262_144
    /// Passes that an encoded hash may demand.
    package static let passLimit: UInt32 = 64
    /// Bytes of an encoded hash that is looked at.
    package static let encodedLimit = 512

    private static let saltSize = 16
    private static let hashSize = 32

    private let parameters: Parameters

    /// - Parameter parameters: the cost of new hashes; old ones are verified at their own.
    package init(parameters: Parameters = Parameters()) { self.parameters = parameters }

    /// Hashes a password with a fresh salt.
    /// - Throws: `tooLong` above `passwordLimit`, `invalidInput` for parameters that Argon2 refuses,
    ///   `libraryFailure`.
    package func hash(_ password: Secret) throws(CryptographyError) -> String {
        guard password.bytes.count <= Self.passwordLimit else {
            throw CryptographyError(
                .tooLong, "the password is too long", context: ["limit_bytes": "\(Self.passwordLimit)"])
        }
        let salt = try SecureRandom.bytes(Self.saltSize)
        let size = argon2_encodedlen(
            parameters.passes, parameters.memoryKiB, parameters.lanes, UInt32(Self.saltSize),
            UInt32(Self.hashSize), Argon2_id)
        var encoded = [CChar](repeating: 0, count: size)
        let status = unsafe argon2id_hash_encoded(
            parameters.passes, parameters.memoryKiB, parameters.lanes, password.bytes, password.bytes.count, salt,
            salt.count, Self.hashSize, &encoded, encoded.count)
        guard status == ARGON2_OK.rawValue else { throw Self.error(status, "the password was not hashed") }
        return String(decoding: encoded.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Whether a password is the one that was hashed. A password above `passwordLimit` never is.
    /// - Throws: `invalidInput` for a text that is no Argon2id hash or demands more than the limits,
    ///   `libraryFailure`.
    package func verify(_ password: Secret, against encoded: String) throws(CryptographyError) -> Bool {
        guard let demanded = Self.parameters(of: encoded), demanded.memoryKiB <= Self.memoryLimitKiB,
            demanded.passes <= Self.passLimit
        else { throw CryptographyError(.invalidInput, "not an Argon2id hash within the limits") }
        guard password.bytes.count <= Self.passwordLimit else { return false }
        let status = unsafe argon2id_verify(encoded, password.bytes, password.bytes.count)
        switch status {
        case ARGON2_OK.rawValue: return true
        case ARGON2_VERIFY_MISMATCH.rawValue: return false
        default: throw Self.error(status, "the password was not checked")
        }
    }

    /// Whether a hash was made with other parameters than these, so that it should be made anew at
    /// the next successful login; also true for a text that is no Argon2id hash.
    package func needsRehash(_ encoded: String) -> Bool { Self.parameters(of: encoded) != parameters }

    /// The parameters in an encoded hash; nil if it is none of version 19.
    private static func parameters(of encoded: String) -> Parameters? {
        guard encoded.utf8.count <= encodedLimit else { return nil }
        let parts = encoded.split(separator: "$", omittingEmptySubsequences: false)
        guard parts.count == 6, parts[0].isEmpty, parts[1] == "argon2id", parts[2] == "v=19" else { return nil }
        let names = ["m=", "t=", "p="]
        let fields = parts[3].split(separator: ",", omittingEmptySubsequences: false)
        guard fields.count == names.count else { return nil }
        let values = zip(fields, names).compactMap { field, name in
            field.hasPrefix(name) ? UInt32(field.dropFirst(name.count)) : nil
        }
        guard values.count == names.count else { return nil }
        return Parameters(memoryKiB: values[0], passes: values[1], lanes: values[2])
    }

    private static func error(_ status: Int32, _ message: String) -> CryptographyError {
        let ours: [Argon2_ErrorCodes] = [
            ARGON2_MEMORY_ALLOCATION_ERROR, ARGON2_THREAD_FAIL, ARGON2_ALLOCATE_MEMORY_CBK_NULL,
        ]
        let reason = unsafe argon2_error_message(status).map { unsafe String(cString: $0) } ?? "unknown"
        return CryptographyError(
            ours.contains { $0.rawValue == status } ? .libraryFailure : .invalidInput, message,
            context: ["argon2": reason])
    }
}
