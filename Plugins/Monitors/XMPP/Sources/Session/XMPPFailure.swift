internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

/// What a server's refusals mean to the host.
enum XMPPFailure {
    /// How long to leave a server alone that says it has too much to do: it names no time (RFC 6120 section 4.9.3.17).
    static let pause = Duration.seconds(60)

    /// A refused login (RFC 6120 section 6.5).
    static func login(_ failure: XMLElement) -> MonitorFailure {
        let condition = failure.children.first { $0.name.local != "text" }?.name.local ?? "unknown"
        let code: MonitorFailure.Code =
            switch condition {
            case "not-authorized", "account-disabled", "credentials-expired", "invalid-authzid", "malformed-request":
                .authFailed
            case "temporary-auth-failure", "aborted": .authTemporary
            default: .network
            }
        return MonitorFailure(code, "the server refused the login: \(word(condition))")
    }

    /// The end of a stream (RFC 6120 section 4.9.3).
    static func stream(_ error: XMLElement, now: Moment) -> MonitorFailure {
        let condition = error.children.first {
            $0.name.namespace == XMPPNamespace.streamErrors && $0.name.local != "text"
        }
        let name = condition?.name.local ?? "unknown"
        let code: MonitorFailure.Code =
            switch name {
            case "resource-constraint", "policy-violation": .throttled(until: now + pause)
            case "bad-format", "bad-namespace-prefix", "invalid-namespace", "invalid-xml", "not-well-formed",
                "unsupported-version", "restricted-xml":
                .protocolViolation
            default: .network
            }
        return MonitorFailure(code, "the server ended the stream: \(word(name))")
    }

    /// The condition of a stanza's error (RFC 6120 section 8.3.3).
    static func condition(_ stanza: XMLElement) -> String {
        let error = stanza.child("error")
        let condition = error?.children.first {
            $0.name.namespace == XMPPNamespace.stanzaErrors && $0.name.local != "text"
        }
        return word(condition?.name.local ?? "unknown")
    }

    /// A refused request.
    static func stanza(_ stanza: XMLElement, to what: String, now: Moment) -> MonitorFailure {
        let condition = condition(stanza)
        let code: MonitorFailure.Code =
            switch condition {
            case "resource-constraint", "policy-violation": .throttled(until: now + pause)
            case "internal-server-error", "remote-server-timeout", "service-unavailable": .network
            default: .protocolViolation
            }
        return MonitorFailure(code, "the server refused \(what): \(condition)")
    }

    /// A name that a server chose, bounded.
    private static func word(_ text: String) -> String { String(text.prefix(60)).printable }
}
