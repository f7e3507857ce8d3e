internal import Base
internal import Gateway
internal import MonitorTools
internal import Mail

/// What a call told: changes of one user.
struct HookNews: Sendable, Hashable {
    /// Events of one call.
    static let eventLimit = 500

    var user: String
    var changes: [MonitorBatch.Change]

    /// Several events may be about one item; the order of what the host makes of a batch is its own.
    var isConsistent: Bool {
        let keys = changes.map { change in
            switch change {
            case .new(let item): item.key
            case .seen(let key), .gone(let key): key
            }
        }
        return Set(keys).count == keys.count
    }
}

/// Reads the documents of the format `signed`, strictly: an unknown field is a mistake of the sender's.
enum SignedDocument {
    private static let textFields: Set<String> = [
        "id", "type", "title", "sender", "senderAddress", "preview", "thread", "content", "time", "priority",
    ]

    /// - Throws: `InboundRefusal`.
    static func read(_ body: [UInt8]) throws(InboundRefusal) -> HookNews {
        let document = try json(body)
        guard let object = document.object else { throw malformed("the body is no JSON object") }
        if let unknown = object.keys.first(where: { $0 != "user" && $0 != "events" }) {
            throw malformed("unknown field '\(unknown.printable)'")
        }
        guard let user = object["user"]?.string, (1...256).contains(user.utf8.count) else {
            throw malformed("'user' is missing, or no text of 1 to 256 bytes")
        }
        guard let events = object["events"]?.array, (1...HookNews.eventLimit).contains(events.count) else {
            throw malformed("'events' is missing, or no list of 1 to \(HookNews.eventLimit)")
        }
        var news = HookNews(user: user, changes: [])
        for (index, event) in events.enumerated() { news.changes.append(try change(event, "events[\(index)]")) }
        guard news.isConsistent else { throw malformed("two events of one call have the same id") }
        return news
    }

    static func json(_ body: [UInt8]) throws(InboundRefusal) -> JSON {
        do throws(JSONError) {
            return try JSONParser.parse(body)
        } catch {
            throw malformed("the body is not JSON: \(error)")
        }
    }

    private static func malformed(_ message: String) -> InboundRefusal { InboundRefusal(.malformed, message) }

    private static func change(_ json: JSON, _ place: String) throws(InboundRefusal) -> MonitorBatch.Change {
        guard let object = json.object else { throw malformed("\(place) is no object") }
        for member in object.members {
            guard textFields.contains(member.key) else {
                throw malformed("\(place): unknown field '\(member.key.printable)'")
            }
            guard member.value.string != nil else { throw malformed("\(place).\(member.key) is no text") }
        }
        guard let id = object["id"]?.string, (1...1024).contains(id.utf8.count) else {
            throw malformed("\(place).id is missing, or no text of 1 to 1024 bytes")
        }
        let key = ListCursor.key(id)
        switch object["type"]?.string {
        case "new": return .new(try item(object, key, place))
        case "seen": return .seen(key: key)
        case "gone": return .gone(key: key)
        default: throw malformed("\(place).type is none of new, seen, gone")
        }
    }

    private static func item(_ object: JSONObject, _ key: String, _ place: String) throws(InboundRefusal) -> Item {
        func text(_ name: String, _ limit: MailText.Limit) -> String? {
            let shown = object[name]?.string.map { MailText.displayable($0, limit: limit) }
            return shown?.isEmpty == false ? shown : nil
        }
        var item = Item(
            key: key, contentKey: text("content", .identifier), threadKey: text("thread", .identifier),
            sender: text("sender", .name), senderAddress: text("senderAddress", .identifier),
            title: text("title", .subject), preview: text("preview", .preview))
        if let time = object["time"]?.string {
            guard let parsed = Timestamp(time) else { throw malformed("\(place).time is not RFC 3339") }
            item.time = parsed
        }
        switch object["priority"]?.string {
        case nil, "normal": break
        case "low": item.priority = .low
        case "high": item.priority = .high
        default: throw malformed("\(place).priority is none of low, normal, high")
        }
        return item
    }
}

/// Reads what Dovecot's driver `ox` of the push_notification plugin sends (Dovecot 2.3,
/// `src/plugins/push-notification/push-notification-driver-ox.c`): names and subject as they stand in the message.
enum DovecotDocument {
    /// - Parameter folders: those whose mail rings.
    /// - Returns: nil for what is no news: another event, or another folder.
    /// - Throws: `InboundRefusal`.
    static func read(_ body: [UInt8], folders: Set<String>) throws(InboundRefusal) -> HookNews? {
        // Headers with bytes of no character set are passed on as they are.
        let document = try SignedDocument.json(Array(String(decoding: body, as: UTF8.self).utf8))
        guard let user = document["user"]?.string, !user.isEmpty, user.utf8.count <= 256,
            let event = document["event"]?.string, let folder = document["folder"]?.string
        else { throw InboundRefusal(.malformed, "user, event or folder is missing; is this Dovecot's driver 'ox'?") }
        guard event.lowercased() == "messagenew", folders.contains(folder) else { return nil }
        guard let validity = document["imap-uidvalidity"]?.integer, let uid = document["imap-uid"]?.integer else {
            throw InboundRefusal(.malformed, "imap-uidvalidity or imap-uid is missing")
        }
        let isInbox = folder.uppercased() == "INBOX"
        let place = isInbox ? "" : "/" + String(ListCursor.hash(folder), radix: 16)
        let digest = MailDigest(parsing: header(document))
        let preview = document["snippet"]?.string.map { MailText.displayable($0, limit: .preview) } ?? ""
        let item = Item(
            key: "\(validity)/\(uid)\(place)", sender: digest.from?.shown, senderAddress: digest.from?.address,
            title: digest.subject.isEmpty ? nil : digest.subject, preview: preview.isEmpty ? nil : preview)
        return HookNews(user: user, changes: [.new(item)])
    }

    /// The header that the fields were taken from, to be decoded like any other.
    private static func header(_ document: JSON) -> [UInt8] {
        func line(_ name: String, _ field: String) -> String {
            let value = document[field]?.string ?? ""
            let scalars = value.unicodeScalars.map { $0.value < 0x20 ? " " : $0 }
            return "\(name): \(String(String.UnicodeScalarView(scalars)))\n"
        }
        return Array((line("From", "from") + line("Subject", "subject") + "\n").utf8)
    }
}
