internal import CCrypto

/// What went wrong in this module. Never holds key material, passwords or plaintext.
package struct CryptographyError: Error, Sendable, CustomStringConvertible {
    /// The kinds of faults that callers tell apart.
    package enum Code: String, Sendable, Hashable {
        /// A key, point or certificate cannot be read or has the wrong kind.
        case invalidKey
        /// An argument has the wrong length or form.
        case invalidInput
        /// An argument is longer than its named limit.
        case tooLong
        /// A ciphertext, token or signature was altered, or belongs to another key or context.
        case notAuthentic
        /// A key file cannot be used: its permissions, its content, or the system's refusal.
        case keyFile
        /// The library failed for a reason of its own, such as memory.
        case libraryFailure
    }

    /// Which kind of fault it is.
    package let code: Code
    /// A sentence for people.
    package let message: String
    /// Facts that help to find the cause, such as a path or a size.
    package let context: [String: String]
    /// What the library said.
    package let underlying: (any Error)?

    /// `context` must hold no secrets: errors are logged.
    package init(
        _ code: Code, _ message: String, context: [String: String] = [:], underlying: (any Error)? = nil
    ) {
        (self.code, self.message, self.context, self.underlying) = (code, message, context, underlying)
    }

    /// Message, code, context and cause in one line.
    package var description: String {
        let facts = context.sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        return "\(message) [\(code.rawValue)]\(facts)" + (underlying.map { ": \($0)" } ?? "")
    }

    /// An error with what OpenSSL put into this thread's queue, which is emptied.
    static func openSSL(
        _ code: Code, _ message: String, context: [String: String] = [:]
    ) -> CryptographyError {
        CryptographyError(code, message, context: context, underlying: OpenSSLError.takeFromQueue())
    }

    /// A failure that no argument explains.
    static func openSSL(_ message: String) -> CryptographyError { openSSL(.libraryFailure, message) }
}

/// The reasons OpenSSL gave, oldest first, in its own words.
package struct OpenSSLError: Error, Sendable, Hashable, CustomStringConvertible {
    /// How many reasons are kept.
    package static let reasonLimit = 4

    /// One text an entry of the queue.
    package let reasons: [String]

    /// All reasons in one line.
    package var description: String { reasons.joined(separator: "; ") }

    /// Empties the thread's queue; nil if it was empty. The attached data of an entry, which could
    /// quote input, is left out.
    static func takeFromQueue() -> OpenSSLError? {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            guard reasons.count < reasonLimit else { continue }
            var buffer = [CChar](repeating: 0, count: 256)
            unsafe ERR_error_string_n(code, &buffer, buffer.count)
            let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            reasons.append(String(decoding: text, as: UTF8.self))
        }
        return reasons.isEmpty ? nil : OpenSSLError(reasons: reasons)
    }
}
