/// Why a command cannot do its work. The code is the process's exit status (sysexits.h).
package struct DaemonError: Error, Sendable, CustomStringConvertible {
    package enum Code: Int32, Sendable {
        case usage = 64
        case data = 65
        case noUser = 67
        case unavailable = 69
        case software = 70
        case io = 74
        case temporary = 75
        case `protocol` = 76
        case permission = 77
        case configuration = 78
    }

    package let code: Code
    package let message: String
    package let underlying: (any Error)?

    package init(_ code: Code, _ message: String, underlying: (any Error)? = nil) {
        (self.code, self.message, self.underlying) = (code, message, underlying)
    }

    package var description: String { message }
}
