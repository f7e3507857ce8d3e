internal import Base
internal import Gateway
internal import XML

/// One response message of an operation.
struct EWSMessage {
    /// `NoError` for success.
    let code: String
    let element: XMLElement
    /// What `ErrorServerBusy` asks for.
    let backOff: Duration?

    var isSuccess: Bool { code == "NoError" }

    init(_ element: XMLElement) {
        self.element = element
        code = element.text(of: "ResponseCode", in: EWSNames.messages) ?? ""
        backOff = EWSAnswers.backOff(element)
    }
}

/// Reads answers.
enum EWSAnswers {
    /// The response messages of an answer.
    /// - Throws: `MonitorFailure` for a SOAP fault and for what is no answer to `operation`.
    static func messages(_ envelope: XMLElement, operation: String, now: Moment) throws -> [EWSMessage] {
        guard envelope.isNamed("Envelope", in: EWSNames.soap), let body = envelope.child("Body") else {
            throw MonitorFailure(.protocolViolation, "the server's answer is no SOAP envelope")
        }
        if let fault = body.child("Fault") { throw failure(ofFault: fault, now: now) }
        let list = body.child("\(operation)Response", in: EWSNames.messages)?.child("ResponseMessages")
        guard let list, !list.children.isEmpty else {
            throw MonitorFailure(.protocolViolation, "the server's answer is none to \(operation)")
        }
        return list.children.map(EWSMessage.init)
    }

    /// Whatever a SOAP fault means.
    static func failure(ofFault fault: XMLElement, now: Moment) -> MonitorFailure {
        let detail = fault.child("detail", in: "")
        let code =
            detail?.text(of: "ResponseCode", in: EWSNames.errors)
            ?? fault.text(of: "faultcode", in: "")?.split(separator: ":").last.map(String.init) ?? "a fault"
        return EWSFailure.of(code, backOff: detail.flatMap(backOff), now: now)
    }

    /// `<Value Name="BackOffMilliseconds">` within `MessageXml`.
    static func backOff(_ element: XMLElement) -> Duration? {
        let values = element.descendants("Value", in: EWSNames.types)
        let text = values.first { $0.attribute("Name") == "BackOffMilliseconds" }?.text
        return text.flatMap { Int64($0.trimmingSpace) }.map { .milliseconds(min(max(0, $0), 86_400_000)) }
    }

    /// One change of a folder.
    enum Change: Hashable {
        case created(String)
        case read(String)
        case unread(String)
        case deleted(String)
    }

    struct Page {
        var changes: [Change]
        var state: String
        var isLast: Bool
    }

    /// A page of `SyncFolderItems`.
    static func page(_ message: EWSMessage) throws -> Page {
        guard let state = message.element.text(of: "SyncState", in: EWSNames.messages), !state.isEmpty,
            let isLast = message.element.text(of: "IncludesLastItemInRange", in: EWSNames.messages)
        else { throw MonitorFailure(.protocolViolation, "the server's list of changes has no sync state") }
        let list = message.element.child("Changes", in: EWSNames.messages)?.children ?? []
        return Page(changes: list.compactMap(change), state: state, isLast: isLast.trimmingSpace == "true")
    }

    private static func change(_ element: XMLElement) -> Change? {
        guard let id = element.descendant("ItemId", in: EWSNames.types)?.attribute("Id") else { return nil }
        switch element.name.local {
        case "Create": return .created(id)
        case "Delete": return .deleted(id)
        case "ReadFlagChange":
            return element.text(of: "IsRead", in: EWSNames.types)?.trimmingSpace == "true" ? .read(id) : .unread(id)
        // An update changes nothing that rings.
        default: return nil
        }
    }

    /// A message of `GetItem`, and whether it was read; nil for one that is gone.
    static func item(_ message: EWSMessage) -> (item: Item, isRead: Bool)? {
        let found = message.element.child("Items", in: EWSNames.messages)?.children.first
        guard let element = found, let id = element.child("ItemId", in: EWSNames.types)?.attribute("Id") else {
            return nil
        }
        func text(_ name: String) -> String? { element.text(of: name, in: EWSNames.types) }
        let from = element.child("From", in: EWSNames.types)?.child("Mailbox")
        let contentKey = text("InternetMessageId")
            .map { $0.shown(bytes: 512).trimmingSpace }.flatMap { $0.isEmpty ? nil : $0 }
        let item = Item(
            key: id, contentKey: contentKey, sender: from?.text(of: "Name")?.shown(bytes: 256),
            senderAddress: from?.text(of: "EmailAddress")?.shown(bytes: 320),
            title: text("Subject")?.shown(bytes: 4096), time: text("DateTimeReceived").flatMap { Timestamp($0) })
        return (item, text("IsRead")?.trimmingSpace == "true")
    }
}

extension String {
    /// For people: without control characters, and at most so many bytes.
    func shown(bytes limit: Int) -> String {
        var text = ""
        var count = 0
        for character in self where !character.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) {
            count += character.utf8.count
            if count > limit { break }
            text.append(character)
        }
        return text
    }
}
