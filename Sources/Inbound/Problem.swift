package import Base
internal import CMicroHTTPD

/// An error answer (RFC 9457, `application/problem+json`). A handler throws one to answer with it.
package struct Problem: Error, Sendable, Hashable, CustomStringConvertible {
    /// HTTP status, 400...599.
    package var status: Int
    /// A stable snake_case word that programs test for.
    package var code: String
    /// The short text that goes with the status.
    package var title: String
    /// What is wrong with this request, for its sender. Never a secret, never another account's data.
    package var detail: String
    /// The path of the request's field that is wrong, such as `to[2].account`.
    package var field: String?
    /// More header fields, such as `Retry-After`.
    package var headers: HTTPFields

    /// - Parameter title: nil for the status's own phrase.
    package init(
        _ status: Int, _ code: String, _ detail: String, title: String? = nil, field: String? = nil,
        headers: HTTPFields = [:]
    ) {
        (self.status, self.code, self.detail, self.field) = (status, code, detail, field)
        (self.title, self.headers) = (title ?? Self.phrase(of: status), headers)
    }

    package var description: String { "\(status) \(code): \(detail)" }

    /// The document. `type` is `about:blank` (RFC 9457 section 4.2.1): `code` tells the kinds apart.
    package var json: JSON {
        var object: JSONObject = [
            "type": "about:blank", "title": .string(title), "status": .integer(status), "detail": .string(detail),
            "code": .string(code),
        ]
        if let field { object.append("field", .string(field)) }
        return .object(object)
    }

    private static func phrase(of status: Int) -> String {
        unsafe String(cString: MHD_get_reason_phrase_for(UInt32(clamping: status)))
    }

    /// A fault of ours; says nothing about it.
    static let internalError = Problem(500, "internal_error", "The server failed to answer this request.")
    static let stopping = Problem(503, "stopping", "The server is shutting down.", headers: ["Retry-After": "1"])

    static func malformed(_ detail: String) -> Problem { Problem(400, "malformed_request", detail) }

    static func bodyTooLarge(limit: Int) -> Problem {
        Problem(413, "body_too_large", "The body is larger than \(limit) bytes.")
    }

    static func overloaded(_ detail: String, retryAfter: Duration) -> Problem {
        Problem(503, "overloaded", detail, headers: ["Retry-After": "\(max(1, retryAfter.wholeSeconds))"])
    }
}
