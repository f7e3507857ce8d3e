package import Base

/// The cryptography the gateway needs, done by a library elsewhere.
package protocol Security: Sendable {
    /// Unpredictable bytes.
    func randomBytes(_ count: Int) -> [UInt8]
    /// SHA-256, for tokens that are long and random already.
    func hash(_ bytes: [UInt8]) -> [UInt8]
    /// Keyed with a key derived from the key file; 32 bytes. `purpose` separates uses.
    func authenticationCode(_ message: [UInt8], purpose: String) -> [UInt8]
    /// Whether two byte strings are equal, in time that depends on their length only.
    func equal(_ a: [UInt8], _ b: [UInt8]) -> Bool
    /// Whether bytes are a public key on the curve P-256: 65 bytes, uncompressed (SEC 1 section 2.3.3).
    func isPublicKey(_ bytes: [UInt8]) -> Bool
    /// A slow, salted hash; off the cooperative pool.
    func hashPassword(_ password: Secret) async throws -> String
    /// Off the cooperative pool.
    func verify(_ password: Secret, against encoded: String) async throws -> Bool
    /// Encrypts and authenticates; `context` must be given again to open.
    func seal(_ plaintext: [UInt8], context: String) throws -> [UInt8]
    func open(_ sealed: [UInt8], context: String) throws -> [UInt8]
}
