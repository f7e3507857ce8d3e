package import Base

// The JSON forms of preferences, which the configuration and callers share.

extension NotifyPreferences {
    /// Reads `{summary?,targets?,quietHours?,groupSeconds?,ownAddresses?,rules?}`.
    /// - Throws: `invalid_field`, naming the field.
    package init(json: JSON) throws(GatewayError) {
        self.init()
        guard let object = json.object else { throw .invalid("notify", "expected an object") }
        for member in object.members where !member.value.isNull {
            switch member.key {
            case "summary":
                guard let text = member.value.string, let summary = Summary(rawValue: text) else {
                    throw .invalid("notify.summary", "expected hint, digest or full")
                }
                self.summary = summary
            case "targets": targets = try Targets(json: member.value)
            case "quietHours": quietHours = try QuietHours(json: member.value)
            case "groupSeconds":
                guard let seconds = member.value.integer, (0...86_400).contains(seconds) else {
                    throw .invalid("notify.groupSeconds", "expected 0 to 86400 seconds")
                }
                group = .seconds(seconds)
            case "ownAddresses": ownAddresses = try Self.addresses(member.value)
            case "rules": rules = try [NotifyRule](json: member.value)
            default:
                let known = ["summary", "targets", "quietHours", "groupSeconds", "ownAddresses", "rules"]
                throw .invalid("notify.\(member.key)", "unknown field" + Suggestion.text(for: member.key, among: known))
            }
        }
    }

    package var json: JSON {
        var object = JSONObject()
        if let summary { object["summary"] = .string(summary.rawValue) }
        if let targets { object["targets"] = targets.json }
        if let quietHours { object["quietHours"] = quietHours.json }
        if let group { object["groupSeconds"] = .integer(group.wholeSeconds) }
        if let ownAddresses { object["ownAddresses"] = .strings(ownAddresses) }
        if let rules { object["rules"] = rules.json }
        return .object(object)
    }

    /// Most addresses of one registration, and the longest.
    package static let addressesLimit = 50
    static let addressLength = 1...320

    private static func addresses(_ json: JSON) throws(GatewayError) -> [String] {
        let addresses = json.array?.compactMap(\.string)
        guard let addresses, addresses.count == json.array?.count, addresses.count <= addressesLimit,
            addresses.allSatisfy({ addressLength.contains($0.utf8.count) })
        else { throw .invalid("notify.ownAddresses", "expected at most \(addressesLimit) addresses") }
        return addresses
    }
}

extension NotifyPreferences.Targets {
    /// Longest list of devices.
    package static let devicesLimit = 50

    /// `"latest"`, `"all"`, `["device", …]` or `{"escalate":["device", …]?,"afterSeconds":60}`.
    /// - Throws: `invalid_field`.
    package init(json: JSON) throws(GatewayError) {
        let form = "expected \"latest\", \"all\", a list of devices, or {\"escalate\":[devices],\"afterSeconds\":60}"
        switch json.value {
        case .string("latest"): self = .latest
        case .string("all"): self = .all
        case .array(let items): self = .devices(try Self.devices(items, form))
        case .object(let object):
            guard Set(object.keys).isSubset(of: ["escalate", "afterSeconds"]), object["escalate"] != nil else {
                throw .invalid("notify.targets", form)
            }
            let seconds = object["afterSeconds"].map(\.integer) ?? 60
            guard let seconds, (5...86_400).contains(seconds) else {
                throw .invalid("notify.targets.afterSeconds", "expected 5 to 86400 seconds")
            }
            self = .escalate(try Self.devices(object["escalate"]?.array ?? [], form), after: .seconds(seconds))
        default: throw .invalid("notify.targets", form)
        }
    }

    private static func devices(_ items: [JSON], _ form: String) throws(GatewayError) -> [DeviceID] {
        guard items.count <= devicesLimit else { throw .invalid("notify.targets", "at most \(devicesLimit) devices") }
        var devices: [DeviceID] = []
        for item in items {
            guard let text = item.string else { throw .invalid("notify.targets", form) }
            devices.append(DeviceID(text))
        }
        return devices
    }

    package var json: JSON {
        switch self {
        case .latest: "latest"
        case .all: "all"
        case .devices(let devices): .strings(devices.map(\.text))
        case .escalate(let devices, let after):
            ["escalate": .strings(devices.map(\.text)), "afterSeconds": .integer(after.wholeSeconds)]
        }
    }
}

extension NotifyPreferences.QuietHours {
    /// `{"from":"22:00","to":"07:00","timeZone":"Europe/Berlin"}`.
    /// - Throws: `invalid_field`.
    package init(json: JSON) throws(GatewayError) {
        guard let object = json.object, Set(object.keys).isSubset(of: ["from", "to", "timeZone"]),
            let from = object["from"]?.string.flatMap(Self.minute), let to = object["to"]?.string.flatMap(Self.minute),
            let zone = object["timeZone"]?.string
        else {
            throw .invalid(
                "quietHours", "expected {\"from\":\"22:00\",\"to\":\"07:00\",\"timeZone\":\"Europe/Berlin\"}")
        }
        guard from != to else { throw .invalid("quietHours", "'from' and 'to' are the same time") }
        guard Self.knows(timeZone: zone) else {
            throw .invalid("quietHours.timeZone", "unknown time zone; use an IANA name such as Europe/Berlin")
        }
        self.init(fromMinute: from, toMinute: to, timeZone: zone)
    }

    package var json: JSON {
        ["from": .string(Self.text(fromMinute)), "to": .string(Self.text(toMinute)), "timeZone": .string(timeZone)]
    }

    private static func minute(_ text: String) -> Int? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ $0.count == 2 }), let hour = Int(parts[0]),
            let minute = Int(parts[1]),
            (0..<24).contains(hour), (0..<60).contains(minute)
        else { return nil }
        return hour * 60 + minute
    }

    private static func text(_ minute: Int) -> String {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(two(minute / 60)):\(two(minute % 60))"
    }
}

extension GatewayError {
    /// A field of a request that cannot be accepted.
    package static func invalid(_ field: String, _ message: String) -> GatewayError {
        GatewayError(.invalidField, "\(field): \(message)", field: field)
    }
}
