internal import Foundation

/// Why a call failed: what the gateway refused, or what kept the client from asking it.
public struct FarbellError: Error, Sendable {
    /// A stable word for programs to test. Codes the gateway adds later are passed on as they are.
    public struct Code: RawRepresentable, Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
        /// The word as the gateway writes it.
        public let rawValue: String

        /// Takes any word.
        public init(rawValue: String) { self.rawValue = rawValue }
        /// Takes any word.
        public init(stringLiteral value: String) { rawValue = value }
        /// The word itself.
        public var description: String { rawValue }

        // MARK: Said by the gateway

        /// The lock of a receipt is no longer this consumer's: it ran out, or the message was settled otherwise.
        public static let lockLost: Code = "lock_lost"
        /// The message cannot be locked now: somebody has it, it is deferred or not due, or its group must wait.
        public static let notAvailable: Code = "not_available"
        /// There is no such account, device, tag or app.
        public static let unknownRecipient: Code = "unknown_recipient"
        /// A queue of a recipient is full.
        public static let queueFull: Code = "queue_full"
        /// The account has no registration for the app.
        public static let notRegistered: Code = "not_registered"
        /// The tap or launch was used, is too old, or belongs to another account.
        public static let launchExpired: Code = "launch_expired"
        /// There is no such thing, or it is not the caller's.
        public static let notFound: Code = "not_found"

        // MARK: Said by this library

        /// The gateway could not be reached, or the connection broke before the answer was complete.
        public static let connectionFailed: Code = "connection_failed"
        /// Nothing came from the gateway for too long.
        public static let timedOut: Code = "timed_out"
        /// The answer is not what the gateway's API promises; perhaps something else answered.
        public static let invalidAnswer: Code = "invalid_answer"
        /// The answer or event is larger than the client takes.
        public static let tooLarge: Code = "too_large"
        /// The reader of an answer was slower than the gateway for too long.
        public static let readerTooSlow: Code = "reader_too_slow"
        /// The request cannot be made of what was given, such as a server address without a host.
        public static let invalidRequest: Code = "invalid_request"
    }

    /// What went wrong, for programs.
    public var code: Code
    /// The answer's HTTP status; nil when there was no answer.
    public var status: Int?
    /// What went wrong, for people. Holds no token and no message text.
    public var message: String
    /// The path of the request's field that is wrong.
    public var field: String?
    /// How long the gateway asks to wait before the next try.
    public var retryAfter: Duration?
    /// What the gateway's log calls the request.
    public var requestID: String?
    /// The system's error below this one.
    public var underlying: (any Error)?

    /// An error with what is known of it.
    public init(
        _ code: Code, _ message: String, status: Int? = nil, field: String? = nil, retryAfter: Duration? = nil,
        requestID: String? = nil, underlying: (any Error)? = nil
    ) {
        (self.code, self.message, self.status, self.field) = (code, message, status, field)
        (self.retryAfter, self.requestID, self.underlying) = (retryAfter, requestID, underlying)
    }

    /// Whether nobody knows if the gateway has acted on the request.
    package var isConnectionLoss: Bool {
        code == .connectionFailed || code == .timedOut || status == 502 || status == 504
    }

    /// Whether the gateway asks to come again later.
    package var isComeAgain: Bool { status == 429 || status == 503 }

    /// Whether the same request may succeed later without anybody changing it.
    public var isTemporary: Bool { isConnectionLoss || isComeAgain }
}

extension FarbellError: CustomStringConvertible {
    /// The code, status and message in one line.
    public var description: String {
        var text = status.map { "\($0) \(code): \(message)" } ?? "\(code): \(message)"
        if let requestID { text += " (request \(requestID))" }
        return text
    }
}

extension FarbellError {
    /// The document of RFC 9457 that the gateway's refusals come as.
    private struct Problem: Decodable {
        let code: String?
        let title: String?
        let detail: String?
        let field: String?
    }

    /// Reads an answer that is no success.
    package init(_ response: TransportResponse) {
        // A proxy's own page is no such document; the status has to do then.
        let problem = try? JSONDecoder().decode(Problem.self, from: response.body)
        self.init(
            Code(rawValue: problem?.code ?? "http_\(response.status)"),
            problem?.detail ?? problem?.title ?? "The server answered with status \(response.status).",
            status: response.status, field: problem?.field,
            retryAfter: response["Retry-After"].flatMap { Int($0) }.map { .seconds(max(0, $0)) },
            requestID: response["Farbell-Request-Id"])
    }
}
