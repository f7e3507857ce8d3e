internal import Base
internal import Gateway

/// The answer to a test notification, told to a person: each step of the way with a mark, what failed, its cure.
struct PushVerdict: Sendable {
    /// The steps in the order in which a push passes them. A service that answers has been reached, whatever it
    /// says of credential, address and content, which it judges in this order.
    static let way: [PushHop] = [.nameResolution, .tcp, .tls, .service, .credential, .token, .payload]

    private let outcome: String
    private let hop: PushHop?
    private let status: Int64?
    private let reason: String?
    private let milliseconds: Int64

    /// - Parameter answer: of `POST /v1/admin/devices/{id}/test`.
    init(_ answer: JSON) {
        outcome = answer["outcome"]?.string ?? "?"
        hop = answer["hop"]?.string.flatMap(PushHop.init(rawValue:))
        status = answer["status"]?.integer
        reason = answer["reason"]?.string
        milliseconds = answer["milliseconds"]?.integer ?? 0
    }

    private var isDelivered: Bool { outcome == "delivered" }

    /// What is printed.
    var lines: [String] {
        var details = [status.map(String.init), reason].compactMap(\.self).joined(separator: " ")
        if !details.isEmpty { details = ": \(details)" }
        var lines = ["\(outcome)\(details) (\(milliseconds) ms)"]
        // What an older gateway says has no steps.
        guard isDelivered || hop != nil else { return lines }
        var hasFailed = false
        for step in Self.way {
            let mark = step == hop ? "FAIL" : hasFailed ? "-" : "ok"
            lines.append("  \(mark.padded(to: 4))  \(Self.name(of: step))")
            guard step == hop else { continue }
            hasFailed = true
            lines.append("        what failed: \(problem(at: step))")
            lines.append("        cure: \(cure(at: step))")
        }
        return lines
    }

    /// How the command ends: worth another try (75), or not as things are (69).
    var error: DaemonError? {
        switch outcome {
        case "delivered": nil
        case "retry": DaemonError(.temporary, "the notification was not delivered now")
        default: DaemonError(.unavailable, "the notification was not delivered")
        }
    }

    private static func name(of hop: PushHop) -> String {
        switch hop {
        case .nameResolution: "name resolution"
        case .tcp: "TCP connection"
        case .tls: "TLS"
        case .service: "service answers"
        case .credential: "credential"
        case .token: "device's address"
        case .payload: "content"
        }
    }

    private func problem(at hop: PushHop) -> String {
        let said = reason.map { " (\($0))" } ?? ""
        return switch hop {
        case .nameResolution: "the service's host name has no address"
        case .tcp: "no connection to the service: refused, unreachable or too slow\(said)"
        case .tls: "no encrypted connection: the certificate is not trusted, or no common protocol"
        case .service:
            outcome == "retry" ? "the service cannot take it now\(said)" : "the service failed\(said)"
        case .credential: "the service refuses our own credential\(said)"
        case .token:
            outcome == "gone" ? "the device's address is dead\(said)" : "the device's address is not taken\(said)"
        case .payload: "the service does not take what was sent\(said)"
        }
    }

    private func cure(at hop: PushHop) -> String {
        switch hop {
        case .nameResolution:
            "check the host in 'url' (or in the device's address), and this machine's DNS with 'getent hosts NAME'"
        case .tcp: "check host and port, the firewall on the way out, and whether the service runs"
        case .tls: "for a private authority set 'caFile'; else check this machine's clock and ca-certificates"
        case .service: "wait, and look at the service's status page; 'reason' above is its own word"
        case .credential:
            "check the key, its id and what it is for, in this service's entry under 'push'; see its README"
        case .token:
            outcome == "gone"
                ? "open the client on the device, which registers anew; the old address is removed"
                : "register the device anew; check that its address belongs to this service, app and environment"
        case .payload: "check topic, sender and limits in the service's README; if it goes on, this is a fault of ours"
        }
    }
}

extension String {
    /// With spaces behind, so many characters long.
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
