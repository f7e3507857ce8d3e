internal import Base
internal import CTLS

/// The server's side of NTLM over HTTP (MS-NLMP, MS-NTHT): challenges, and checks NTLMv2 answers. A connection that has
/// answered once is its user's.
struct NTLMAcceptor: Sendable {
    enum Verdict: Sendable {
        case user(String)
        /// The value of `WWW-Authenticate` to refuse with.
        case challenge(String)
        case refused
    }

    /// What stands for the password `svc-secret` with the server: MD4 of its UTF-16 (MS-NLMP section 3.3.2).
    static let knownHash: [UInt8] = [
        0x5b, 0x48, 0xd9, 0xd7, 0xb4, 0x57, 0x8c, 0x92, 0x84, 0x87, 0x9c, 0x84, 0xaf, 0x4a, 0x8f, 0x16,
    ]
    private static let signature = Array("NTLMSSP\0".utf8)
    private static let domain = "EXAMPLE"

    private var challenges: [Int: [UInt8]] = [:]
    private var users: [Int: String] = [:]

    /// - Parameter knows: whether there is such a user, without the domain.
    mutating func judge(_ authorization: String?, connection: Int, knows: (String) -> Bool) -> Verdict {
        guard let authorization else { return users[connection].map { .user($0) } ?? .challenge("NTLM") }
        let parts = authorization.split(separator: " ")
        guard parts.count == 2, parts[0] == "NTLM", let bytes = [UInt8](base64: String(parts[1])),
            bytes.starts(with: Self.signature), bytes.count >= 12
        else { return .refused }
        switch bytes[8] {
        case 1:
            let challenge = MessageCrypto.randomBytes(8)
            challenges[connection] = challenge
            users[connection] = nil
            return .challenge("NTLM " + Self.challengeMessage(challenge).base64)
        case 3:
            guard let challenge = challenges.removeValue(forKey: connection),
                let user = Self.user(of: bytes, challenge), knows(user)
            else { return .refused }
            users[connection] = user
            return .user(user)
        default: return .refused
        }
    }

    private static func challengeMessage(_ challenge: [UInt8]) -> [UInt8] {
        let name = utf16(domain)
        // MsvAvNbDomainName, and the end of the list.
        let target: [UInt8] = [2, 0, UInt8(name.count), 0] + name + [0, 0, 0, 0]
        func field(_ count: Int, at offset: Int) -> [UInt8] {
            [UInt8(count), 0, UInt8(count), 0, UInt8(offset), 0, 0, 0]
        }
        // Unicode, target requested, NTLM, target is a domain, extended session security (NTLMv2), target info.
        let flags: [UInt8] = [0x05, 0x02, 0x89, 0x00]
        return signature + [2, 0, 0, 0] + field(name.count, at: 48) + flags + challenge
            + [UInt8](repeating: 0, count: 8)
            + field(target.count, at: 48 + name.count) + name + target
    }

    /// The user whose right answer this is.
    private static func user(of message: [UInt8], _ challenge: [UInt8]) -> String? {
        func field(_ place: Int) -> [UInt8]? {
            guard message.count >= place + 8 else { return nil }
            let count = Int(message[place]) | Int(message[place + 1]) << 8
            let start = Int(message[place + 4]) | Int(message[place + 5]) << 8
            return message.count >= start + count ? Array(message[start..<start + count]) : nil
        }
        guard let answer = field(20), answer.count > 24, let domain = field(28), let name = field(36),
            let user = text(name)
        else { return nil }
        let key = hmac(knownHash, utf16(user.uppercased()) + domain)
        let proof = hmac(key, challenge + Array(answer[16...]))
        return proof == Array(answer.prefix(16)) ? user : nil
    }

    private static func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: 16)
        var count: UInt32 = 0
        _ = unsafe HMAC(EVP_md5(), key, Int32(key.count), message, message.count, &result, &count)
        return result
    }

    private static func utf16(_ text: String) -> [UInt8] {
        text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8(truncatingIfNeeded: $0 >> 8)] }
    }

    private static func text(_ bytes: [UInt8]) -> String? {
        guard bytes.count % 2 == 0 else { return nil }
        let units = stride(from: 0, to: bytes.count, by: 2).map { UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8 }
        return String(validating: units, as: UTF16.self)
    }
}
