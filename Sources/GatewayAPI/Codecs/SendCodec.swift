internal import Base
internal import Gateway
internal import Inbound

/// What senders send, and what they are told: read and written without detours, for it comes tens of thousands of
/// times a second.
struct SendCodec {
    private static let fields = [
        "to", "from", "id", "app", "header", "subject", "body", "priority", "ttlSeconds", "notBefore", "group",
        "collapse", "correlation", "receipts", "attachments",
    ]

    private var order = SendOrder(to: [])
    private var hasBody = false
    /// A reply goes to whoever sent the message.
    private let isReply: Bool

    private init(isReply: Bool) { self.isReply = isReply }

    /// The body of `POST /v1/messages`, or of a reply.
    /// - Throws: `invalid_json`, `invalid_field`, `unknown_field`.
    static func order(_ request: InboundRequest, isReply: Bool = false) throws(Problem) -> SendOrder {
        try order(FieldReader.object(of: request), isReply: isReply)
    }

    static func order(_ object: JSONObject, isReply: Bool = false) throws(Problem) -> SendOrder {
        var codec = SendCodec(isReply: isReply)
        for member in object.members { try codec.read(member.key, member.value) }
        if !isReply, codec.order.to.isEmpty { throw fault("to", "is missing") }
        if !codec.hasBody { throw fault("body", "is missing") }
        return codec.order
    }

    private mutating func read(_ name: String, _ value: JSON) throws(Problem) {
        if value.isNull, Self.fields.contains(name) { return }
        switch name {
        case "to" where !isReply: order.to = try Self.targets(value)
        case "body":
            order.body = Array(try Self.string(name, value).utf8)
            hasBody = true
        case "id": order.id = try Self.string(name, value)
        case "subject": order.subject = try Self.string(name, value)
        case "header": order.header = try Self.header(value)
        case "group": order.group = try Self.string(name, value)
        case "collapse": order.collapse = try Self.string(name, value)
        case "correlation": order.correlation = try Self.string(name, value)
        case "app": order.app = AppID(try Self.string(name, value))
        case "priority": order.priority = try Self.choice(name, value)
        case "from": order.from = try Self.choice(name, value) as SendOrder.Origin
        case "receipts": order.receipts = try Self.receipts(value)
        case "attachments": order.attachments = try Self.attachments(value)
        case "ttlSeconds":
            guard let seconds = value.integer else {
                throw Self.fault(name, "expected an integer, found \(value.kind)")
            }
            order.lifetime = .seconds(seconds)
        case "notBefore":
            guard let time = Timestamp(try Self.string(name, value)) else {
                throw Self.fault(name, "expected a time such as 2026-11-20T08:00:00Z")
            }
            order.notBefore = time
        default:
            let known = Self.fields.filter { $0 != "to" || !isReply }
            throw Problem(
                400, "unknown_field",
                "There is no field '\(name.printable)' here" + Suggestion.text(for: name, among: known),
                field: name.printable)
        }
    }

    private static func fault(_ field: String, _ what: String) -> Problem {
        Problem(400, "invalid_field", "\(field): \(what)", field: field)
    }

    private static func string(_ name: String, _ value: JSON) throws(Problem) -> String {
        guard let text = value.string else { throw fault(name, "expected a string, found \(value.kind)") }
        return text
    }

    private static func choice<T: RawRepresentable & CaseIterable>(
        _ name: String, _ value: JSON
    ) throws(Problem) -> T where T.RawValue == String {
        let text = try string(name, value)
        if let choice = T(rawValue: text) { return choice }
        throw fault(
            name, "'\(text.printable)' is not one of \(T.allCases.map(\.rawValue).joined(separator: ", "))")
    }

    /// The words for `Message.Receipts`, in its order.
    static let receiptWords = ["none", "final", "all"]

    private static func receipts(_ value: JSON) throws(Problem) -> Message.Receipts {
        let text = try string("receipts", value)
        guard let index = receiptWords.firstIndex(of: text), let receipts = Message.Receipts(rawValue: Int64(index))
        else { throw fault("receipts", "'\(text.printable)' is not one of \(receiptWords.joined(separator: ", "))") }
        return receipts
    }

    private static func header(_ value: JSON) throws(Problem) -> [String: String] {
        guard let object = value.object else { throw fault("header", "expected an object, found \(value.kind)") }
        var header = [String: String](minimumCapacity: object.members.count)
        for member in object.members {
            guard let text = member.value.string else {
                throw fault("header.\(member.key.printable)", "expected a string, found \(member.value.kind)")
            }
            header[member.key] = text
        }
        return header
    }

    private static func attachments(_ value: JSON) throws(Problem) -> [Attachment] {
        var object = JSONObject()
        object.append("attachments", value)
        var reader = FieldReader(object, path: "")
        return try reader.optionalObjects("attachments", limit: Attachment.limit) { reader throws(Problem) in
            guard let size = reader.value("sizeBytes")?.integer else {
                throw reader.fault("sizeBytes", "expected an integer")
            }
            return Attachment(
                url: try reader.string("url"), contentType: try reader.string("contentType"),
                name: try reader.optionalString("name"), sizeBytes: size)
        } ?? []
    }

    private static func targets(_ value: JSON) throws(Problem) -> [SendOrder.Target] {
        if let object = value.object { return [try target("to", object)] }
        guard let items = value.array, !items.isEmpty else {
            throw fault("to", "expected an object such as {\"account\":\"alice\"}, or a list of them")
        }
        var targets: [SendOrder.Target] = []
        for (index, item) in items.enumerated() {
            guard let object = item.object else {
                throw fault("to[\(index)]", "expected an object, found \(item.kind)")
            }
            targets.append(try target("to[\(index)]", object))
        }
        return targets
    }

    private static func target(_ path: String, _ object: JSONObject) throws(Problem) -> SendOrder.Target {
        guard object.members.count == 1, let member = object.members.first else {
            throw fault(path, "name one of account, device, tag and app")
        }
        guard let text = member.value.string else {
            throw fault("\(path).\(member.key.printable)", "expected a string, found \(member.value.kind)")
        }
        switch member.key {
        case "account": return .account(AccountID(text))
        case "device": return .device(DeviceID(text))
        case "tag": return .tag(text)
        case "app": return .app(AppID(text))
        default: throw fault(path, "name one of account, device, tag and app")
        }
    }

    // MARK: Answers

    /// `{"messages":[…]}`
    static func answer(_ sent: [Sent]) -> [UInt8] {
        var text = JSONText(capacity: 24 + sent.count * 80)
        text.object { write(sent[...], to: &$0) }
        return text.bytes
    }

    static func write(_ sent: ArraySlice<Sent>, to text: inout JSONText) {
        text.array("messages") { text in
            for item in sent {
                text.object { text in
                    text.add("id", write: item.key.write)
                    text.add("to", item.address)
                    text.add("seq", item.key.seq)
                    text.add("state", item.state.rawValue)
                }
            }
        }
    }
}
