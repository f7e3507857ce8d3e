internal import Base
internal import XML
internal import XMPPTools

/// What a message means to the monitor.
enum XMPPMessage: Sendable, Hashable {
    struct Text: Sendable, Hashable {
        /// Who it is from: the address without the device.
        var chat: String
        /// The message's own id, by which markers and retractions name it.
        var id: String?
        /// nil for an encrypted message.
        var title: String?
        var preview: String?
    }

    /// Somebody wrote to the account.
    case text(Text)
    /// Another device of the account showed the messages of a chat up to this one; nil for all, as a reply means.
    case shown(chat: String, upTo: String?)
    /// Who wrote a message takes it back.
    case retracted(chat: String, id: String)

    /// Bytes of the longest title and preview.
    static let titleLimit = 4096
    static let previewLimit = 1024
    /// Bytes of the longest id and address that are followed.
    static let idLimit = 256

    /// - Parameter own: the account's address without a device.
    /// - Returns: nil for what concerns nobody: chat states, receipts, rooms, errors, corrections.
    init?(_ message: XMLElement, own: String) {
        guard message.isNamed("message", in: XMPPNamespace.client) else { return nil }
        let type = message.attribute("type") ?? "normal"
        // Rooms are not joined, and their archive is their own.
        guard type != "groupchat", type != "error" else { return nil }
        let from = message.attribute("from").map(Self.bare) ?? own
        let to = message.attribute("to").map(Self.bare) ?? own
        let isOwn = from == own
        let chat = isOwn ? to : from
        guard !chat.isEmpty, chat.utf8.count <= Self.idLimit else { return nil }
        if let id = Self.retraction(message) {
            if isOwn { return nil }
            self = .retracted(chat: chat, id: id)
            return
        }
        let isEncrypted = XMPPNamespace.encryption.contains { message.child($0.0, in: $0.1) != nil }
        let body = message.text(of: "body") ?? ""
        if isOwn {
            // A note to oneself is no news, and reads nothing.
            if chat == own { return nil }
            if let marker = message.child("displayed", in: XMPPNamespace.markers), let id = marker.attribute("id") {
                self = .shown(chat: chat, upTo: id)
            } else if isEncrypted || !body.isEmpty {
                self = .shown(chat: chat, upTo: nil)
            } else {
                return nil
            }
            return
        }
        guard isEncrypted || !body.isEmpty, message.child("replace", in: XMPPNamespace.correct) == nil else {
            return nil
        }
        let id = message.attribute("id").flatMap { $0.isEmpty || $0.utf8.count > Self.idLimit ? nil : $0 }
        var text = Text(chat: chat, id: id)
        if !isEncrypted {
            let subject = message.text(of: "subject") ?? ""
            text.title = Self.shown(subject.isEmpty ? body : subject, Self.titleLimit)
            text.preview = subject.isEmpty ? nil : Self.shown(body, Self.previewLimit)
        }
        self = .text(text)
    }

    private static func retraction(_ message: XMLElement) -> String? {
        if let id = message.child("retract", in: XMPPNamespace.retract)?.attribute("id") { return id }
        guard let wrapper = message.child("apply-to", in: XMPPNamespace.fasten),
            wrapper.child("retract", in: XMPPNamespace.oldRetract) != nil
        else { return nil }
        return wrapper.attribute("id")
    }

    /// An address without its device. Servers hand them out normalised.
    static func bare(_ address: String) -> String { String(address.prefix { $0 != "/" }) }

    /// A text that is safe to show: spaces for line ends and tabs, no other control characters, no overrides of the
    /// direction of writing, at most so many bytes.
    static func shown(_ text: String, _ limit: Int) -> String {
        var shown = String.UnicodeScalarView()
        var bytes = 0
        for scalar in text.unicodeScalars {
            var scalar = scalar
            switch scalar.value {
            case 0x09, 0x0A, 0x0D, 0x2028, 0x2029: scalar = " "
            case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E, 0x2066...0x2069, 0xFEFF: continue
            default: break
            }
            bytes += UTF8.width(scalar)
            if bytes > limit { break }
            shown.append(scalar)
        }
        return String(shown).trimmingSpace
    }
}
