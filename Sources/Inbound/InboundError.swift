/// Why the server cannot run.
package struct InboundError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// The configured address is no numeric IPv4 or IPv6 address.
        case invalidAddress = "invalid_address"
        /// Another program listens on that address and port.
        case addressInUse = "address_in_use"
        /// The address cannot be listened on: not ours, or a port below 1024 without the right to it.
        case cannotListen = "cannot_listen"
        /// The certificate or its key cannot be used.
        case certificate
        /// The HTTP library did not start.
        case start
    }

    package let code: Code
    /// One sentence that names the address and port, or the file.
    package let message: String
    /// What the system or library said, if anything.
    package let underlying: String?

    package init(_ code: Code, _ message: String, underlying: String? = nil) {
        (self.code, self.message, self.underlying) = (code, message, underlying)
    }

    package var description: String { underlying.map { "\(message): \($0)" } ?? message }
}
