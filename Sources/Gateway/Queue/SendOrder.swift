package import Base

/// Who speaks: a device for its account, or a web application.
package enum Party: Sendable {
    case device(Device)
    case app(AppID)

    /// How locks and receipts name it.
    package var name: String {
        switch self {
        case .device(let device): device.id.text
        case .app(let id): id.text
        }
    }

    /// Its own queue, where none is named.
    package var queue: QueueAddress {
        switch self {
        case .device(let device): .account(device.account)
        case .app(let id): .app(id)
        }
    }
}

/// What a sender wants sent (TT-2).
package struct SendOrder: Sendable {
    package enum Target: Sendable, Hashable {
        case account(AccountID)
        case device(DeviceID)
        /// Every device with this tag.
        case tag(String)
        case app(AppID)
    }

    /// As whom a device sends.
    package enum Origin: String, Sendable, CaseIterable {
        case account
        case device
    }

    package static let targetsLimit = 100
    package static let nameLimit = 128
    package static let collapseLimit = 64
    package static let subjectLimit = 1024
    package static let headerFieldsLimit = 64
    package static let headerBytesLimit = 16 << 10
    package static let lifetimes: ClosedRange<Duration> = .seconds(1)...(.seconds(31_536_000))

    package var to: [Target]
    package var from: Origin?
    package var id: String?
    package var app: AppID?
    package var header: [String: String] = [:]
    package var subject: String?
    package var body: [UInt8] = []
    package var priority = Message.Priority.normal
    package var lifetime: Duration?
    package var notBefore: Timestamp?
    package var group: String?
    package var collapse: String?
    package var correlation: String?
    package var receipts: Message.Receipts?
    package var attachments: [Attachment] = []

    package init(to: [Target]) { self.to = to }
}

/// What became of a message for one recipient.
package struct Sent: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        /// It waits for the recipient.
        case held
        /// It is on its way to a connected device or a waiting consumer.
        case forwarded
        /// A push service is asked to tell the device.
        case notified
    }

    package let key: MessageKey
    package let address: QueueAddress
    package let state: State
}

extension SendOrder {
    /// What is wrong with it whoever sends it, and wherever to.
    /// - Parameter attachmentBytes: what an attachment may be said to have.
    /// - Throws: `invalid_field`.
    func check(attachmentBytes: Int) throws(GatewayError) {
        guard (1...Self.targetsLimit).contains(to.count) else {
            throw .invalid("to", "name 1 to \(Self.targetsLimit) recipients")
        }
        try Self.check("id", id, limit: Self.nameLimit)
        try Self.check("group", group, limit: Self.nameLimit)
        try Self.check("correlation", correlation, limit: Self.nameLimit)
        try Self.check("collapse", collapse, limit: Self.collapseLimit)
        if let subject, subject.utf8.count > Self.subjectLimit {
            throw .invalid("subject", "at most \(Self.subjectLimit) bytes")
        }
        let headerBytes = header.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
        guard header.count <= Self.headerFieldsLimit, headerBytes <= Self.headerBytesLimit else {
            throw .invalid(
                "header",
                "at most \(Self.headerFieldsLimit) fields of \(Self.headerBytesLimit) bytes together")
        }
        if let lifetime, !Self.lifetimes.contains(lifetime) {
            throw .invalid("ttlSeconds", "expected 1 to 31536000")
        }
        try checkAttachments(upTo: attachmentBytes)
    }

    private static func check(_ field: String, _ value: String?, limit: Int) throws(GatewayError) {
        guard let value, !(1...limit).contains(value.utf8.count) else { return }
        throw .invalid(field, "expected 1 to \(limit) bytes")
    }

    private func checkAttachments(upTo bytes: Int) throws(GatewayError) {
        guard attachments.count <= Attachment.limit else {
            throw .invalid("attachments", "at most \(Attachment.limit) attachments")
        }
        for (index, attachment) in attachments.enumerated() {
            let field = "attachments[\(index)]"
            do throws(WebAddress.Fault) {
                guard try WebAddress(attachment.url).isSecure else { throw .insecure }
            } catch {
                throw .invalid("\(field).url", error.description)
            }
            guard (0...Int64(bytes)).contains(attachment.sizeBytes) else {
                throw .invalid("\(field).sizeBytes", "expected 0 to \(bytes) (limits.attachmentBytes)")
            }
            for (name, text) in [("contentType", attachment.contentType), ("name", attachment.name ?? "-")] {
                guard (1...Attachment.nameLimit).contains(text.utf8.count) else {
                    throw .invalid("\(field).\(name)", "expected 1 to \(Attachment.nameLimit) bytes")
                }
            }
        }
    }
}
