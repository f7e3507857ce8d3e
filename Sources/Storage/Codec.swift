internal import Base
internal import Gateway

/// Lists and nested values as JSON text in one column.
enum Codec {
    static func text(_ strings: [String]) -> String { JSON.strings(strings).serialized }

    static func strings(_ text: String) -> [String]? {
        guard let items = (try? JSONParser.parse(text))?.array else { return nil }
        let strings = items.compactMap(\.string)
        return strings.count == items.count ? strings : nil
    }

    /// Nil for an empty header: most messages have none.
    static func text(header: [String: String]) -> String? {
        if header.isEmpty { return nil }
        var object = JSONObject()
        for (key, value) in header.sorted(by: { $0.key < $1.key }) { object.append(key, .string(value)) }
        return JSON.object(object).serialized
    }

    static func header(_ text: String?) -> [String: String]? {
        guard let text else { return [:] }
        guard let object = (try? JSONParser.parse(text))?.object else { return nil }
        var header: [String: String] = [:]
        for member in object.members {
            guard let value = member.value.string else { return nil }
            header[member.key] = value
        }
        return header
    }

    static func text(_ address: Channel.Address) -> String { json(address).serialized }

    private static func json(_ address: Channel.Address) -> JSON {
        switch address {
        case .token(let token): ["token": .string(token)]
        case .url(let url): ["url": .string(url)]
        case .subscription(let endpoint, let p256dh, let auth):
            ["endpoint": .string(endpoint), "p256dh": .string(p256dh), "auth": .string(auth)]
        }
    }

    static func text(_ channels: [Channel]) -> String {
        JSON.array(
            channels.map { channel in
                [
                    "adapter": .string(channel.adapter), "address": json(channel.address),
                    "since": .integer(channel.since.milliseconds),
                ]
            }
        ).serialized
    }

    static func channels(_ text: String) -> [Channel]? {
        guard let items = (try? JSONParser.parse(text))?.array else { return nil }
        let channels = items.compactMap { item -> Channel? in
            guard let adapter = item["adapter"]?.string, let address = item["address"].flatMap(address),
                let since = item["since"]?.integer
            else { return nil }
            return Channel(adapter: adapter, address: address, since: Timestamp(milliseconds: since))
        }
        return channels.count == items.count ? channels : nil
    }

    static func address(_ text: String) -> Channel.Address? { (try? JSONParser.parse(text)).flatMap(address) }

    private static func address(_ json: JSON) -> Channel.Address? {
        if let token = json["token"]?.string { return .token(token) }
        if let url = json["url"]?.string { return .url(url) }
        guard let endpoint = json["endpoint"]?.string, let p256dh = json["p256dh"]?.string,
            let auth = json["auth"]?.string
        else { return nil }
        return .subscription(endpoint: endpoint, p256dh: p256dh, auth: auth)
    }

    /// Keyed digests of refused credentials by app.
    static func text(_ refusals: [AppID: [[UInt8]]]) -> String {
        var object = JSONObject()
        for (app, digests) in refusals.sorted(by: { $0.key < $1.key }) {
            object.append(app.text, .strings(digests.map(\.hexadecimal)))
        }
        return JSON.object(object).serialized
    }

    static func refusals(_ text: String) -> [AppID: [[UInt8]]]? {
        guard let object = (try? JSONParser.parse(text))?.object else { return nil }
        var refusals: [AppID: [[UInt8]]] = [:]
        for member in object.members {
            guard let items = member.value.array else { return nil }
            let digests = items.compactMap { $0.string.flatMap { [UInt8](hexadecimal: $0) } }
            guard digests.count == items.count else { return nil }
            refusals[AppID(member.key)] = digests
        }
        return refusals
    }

    /// Durations are kept in whole milliseconds.
    static func text(_ preferences: NotifyPreferences) -> String {
        var object = JSONObject()
        if let summary = preferences.summary { object.append("summary", .string(summary.rawValue)) }
        if let targets = preferences.targets { object.append("targets", json(targets)) }
        if let quiet = preferences.quietHours {
            object.append(
                "quiet",
                [
                    "from": .integer(quiet.fromMinute), "to": .integer(quiet.toMinute),
                    "zone": .string(quiet.timeZone),
                ])
        }
        if let group = preferences.group { object.append("groupMs", .integer(group.milliseconds)) }
        if let own = preferences.ownAddresses { object.append("own", .strings(own)) }
        if let rules = preferences.rules { object.append("rules", rules.json) }
        return JSON.object(object).serialized
    }

    static func preferences(_ text: String) -> NotifyPreferences? {
        guard let json = try? JSONParser.parse(text), json.object != nil else { return nil }
        var preferences = NotifyPreferences()
        if let summary = json["summary"] {
            guard let value = summary.string.flatMap(NotifyPreferences.Summary.init) else { return nil }
            preferences.summary = value
        }
        if let targets = json["targets"] {
            guard let value = self.targets(targets) else { return nil }
            preferences.targets = value
        }
        if let quiet = json["quiet"] {
            guard let from = quiet["from"]?.integer, let to = quiet["to"]?.integer, let zone = quiet["zone"]?.string
            else { return nil }
            preferences.quietHours = .init(fromMinute: Int(from), toMinute: Int(to), timeZone: zone)
        }
        preferences.group = json["groupMs"]?.integer.map { .milliseconds($0) }
        preferences.ownAddresses = json["own"]?.array.map { $0.compactMap(\.string) }
        if let rules = json["rules"] {
            guard let value = try? [NotifyRule](json: rules) else { return nil }
            preferences.rules = value
        }
        return preferences
    }

    private static func json(_ targets: NotifyPreferences.Targets) -> JSON {
        switch targets {
        case .latest: "latest"
        case .all: "all"
        case .devices(let devices): ["devices": .strings(devices.map(\.text))]
        case .escalate(let devices, let after):
            ["escalate": .strings(devices.map(\.text)), "afterMs": .integer(after.milliseconds)]
        }
    }

    private static func targets(_ json: JSON) -> NotifyPreferences.Targets? {
        if let word = json.string { return word == "latest" ? .latest : word == "all" ? .all : nil }
        if let devices = devices(json["devices"]) { return .devices(devices) }
        guard let devices = devices(json["escalate"]), let after = json["afterMs"]?.integer else { return nil }
        return .escalate(devices, after: .milliseconds(after))
    }

    private static func devices(_ json: JSON?) -> [DeviceID]? {
        json?.array.map { $0.compactMap(\.string).map { DeviceID($0) } }
    }
}

// Values of enumerations that are kept as numbers: numbers that were released never change.

extension Message.State {
    var code: Int64 {
        switch self {
        case .ready: 0
        case .scheduled: 1
        case .locked: 2
        case .deferred: 3
        // The index of the dead letters says this number, too.
        case .dead: 4
        case .done: 5
        case .expired: 6
        }
    }

    init?(code: Int64) {
        switch code {
        case 0: self = .ready
        case 1: self = .scheduled
        case 2: self = .locked
        case 3: self = .deferred
        case 4: self = .dead
        case 5: self = .done
        case 6: self = .expired
        default: return nil
        }
    }
}

extension Message.Priority {
    var code: Int64 {
        switch self {
        case .normal: 0
        case .low: 1
        case .high: 2
        }
    }

    init?(code: Int64) {
        switch code {
        case 0: self = .normal
        case 1: self = .low
        case 2: self = .high
        default: return nil
        }
    }
}
