/// Why a peer or a child process of the test kit could not do its work.
package struct PeerError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable {
        case socket
        case certificate
        case cryptography
        case process
        case file
        case stopped
    }

    package let code: Code
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        (self.code, self.message, self.underlying) = (code, message, underlying)
    }

    package var description: String {
        "\(code.rawValue): \(message)" + (underlying.map { " (\($0))" } ?? "")
    }
}
