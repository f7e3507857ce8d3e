internal import Base
internal import Gateway

/// A registration as a program is told of it.
struct ExecRegistration: Sendable {
    let id: String
    /// By field name, in the order of the configuration.
    let credentials: [(name: String, value: String)]
    let secrets: [(name: String, value: Secret)]
    let config: [(name: String, value: String)]
    let cursor: String?

    /// Bytes of the longest line that a program is sent.
    static let lineLimit = 256 << 10

    init(_ target: MonitorTarget, _ settings: ExecMonitor.Settings) throws(MonitorFailure) {
        id = target.registration.text
        config = settings.config
        var (open, hidden): ([(name: String, value: String)], [(name: String, value: Secret)]) = ([], [])
        for field in settings.fields {
            guard let value = target.credentials[field.name] else {
                if field.isRequired { throw MonitorFailure(.authFailed, "the registration has no \(field.name)") }
                continue
            }
            // The one-shot contract has a line for each.
            guard !value.bytes.contains(where: { $0 == 0 || $0 == 0x0A || $0 == 0x0D }) else {
                throw MonitorFailure(.authFailed, "the registration's \(field.name) has a forbidden character")
            }
            if field.isSecret { hidden.append((field.name, value)) } else { open.append((field.name, value.exposed)) }
        }
        (credentials, secrets) = (open, hidden)
        guard let stored = target.cursor else {
            cursor = nil
            return
        }
        guard let decoded = ExecCursor(stored) else {
            throw MonitorFailure(.cursorInvalid, "the stored cursor is not one of the exec monitor")
        }
        cursor = decoded.text
    }

    /// What stands in `hello` and `add`: no secret, but which ones will follow.
    var json: JSON {
        .object([
            "id": .string(id), "config": Self.object(config), "credentials": Self.object(credentials),
            "secrets": .strings(secrets.map(\.name)), "cursor": cursor.map { .string($0) } ?? .null,
        ])
    }

    /// A line for each secret.
    var secretLines: [[UInt8]] {
        secrets.map { secret in
            let object: JSONObject = [
                "id": .string(id), "name": .string(secret.name), "value": .string(secret.value.exposed),
            ]
            return JSON.object(["secret": .object(object)]).serializedBytes
        }
    }

    /// What the one-shot contract has on standard input.
    var oneShotLines: [[UInt8]] {
        var lines = ["registration=\(id)", "cursor=\(cursor ?? "")"]
        lines += config.map { "config.\($0.name)=\($0.value)" }
        lines += credentials.map { "credential.\($0.name)=\($0.value)" }
        return lines.map { Array($0.utf8) } + secrets.map { Array("secret.\($0.name)=".utf8) + $0.value.bytes }
    }

    private static func object(_ pairs: [(name: String, value: String)]) -> JSON {
        .object(pairs.reduce(into: JSONObject()) { $0.append($1.name, .string($1.value)) })
    }
}
