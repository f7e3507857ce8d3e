internal import Base
internal import Gateway

/// Sessions in JSON.
enum SessionCodec {
    /// - Parameter remaining: what is left of the lease.
    /// - Parameter now: what the farm says is asked for at.
    static func json(of session: Session, remaining: Duration, now: Moment) -> JSON {
        [
            "id": .string(session.id.text), "account": .string(session.account.text),
            "app": .string(session.app.text), "device": .string(session.device.text),
            "instance": .string(session.instance), "state": .string(session.presence.rawValue),
            "leaseSeconds": .integer(leaseSeconds(remaining)),
            "farm": .string(session.farm(at: now).rawValue), "foreground": .bool(session.isForeground(at: now)),
            "registration": .string(session.registration.text),
            "opened": .timestamp(session.opened), "reported": .timestamp(session.reported),
        ]
    }

    /// The answer to a report, written straight away: it is given thousands of times a second.
    static func presence(of session: Session, remaining: Duration) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(48)
        bytes.append(contentsOf: #"{"state":""#.utf8)
        bytes.append(contentsOf: session.presence.rawValue.utf8)
        bytes.append(contentsOf: #"","leaseSeconds":"#.utf8)
        bytes.append(contentsOf: String(leaseSeconds(remaining)).utf8)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// Rounded up: a lease that was given this moment is a whole one.
    private static func leaseSeconds(_ remaining: Duration) -> Int64 {
        max(0, (remaining.milliseconds + 999) / 1000)
    }
}
