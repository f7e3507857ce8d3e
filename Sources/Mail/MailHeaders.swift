package import Base

/// The header fields of a message, whatever state they are in: decoding them never fails, it gives
/// less. All texts are safe to show (see `MailText.displayable`).
package struct MailHeaders: Sendable, Hashable {
    /// Bytes of a header block that are looked at; the rest is ignored.
    package static let sizeLimit = 65_536
    /// Bytes of one field that are decoded: more than any limit of `MailText` can show. The decoder
    /// takes quadratic time for some nonsense, and nests as deep as an address list does.
    package static let valueLimit = 8192
    /// Fields that are kept.
    package static let fieldLimit = 500
    /// Message ids that are kept of one field.
    package static let referenceLimit = 100
    /// Addresses that are kept of one field.
    package static let addressLimit = 100

    struct Field: Sendable, Hashable {
        /// In lower case.
        let name: String
        /// As received, but without NUL and at most `valueLimit` bytes.
        let value: [UInt8]
    }

    let fields: [Field]

    /// Reads a header block, which may have been cut anywhere and may be followed by a body.
    package init(parsing block: [UInt8]) {
        fields = GMime.fields(of: HeaderRepair.repaired(block.prefix(Self.sizeLimit)), limit: Self.fieldLimit)
    }

    /// The first field of a name, in any case.
    private func raw(_ name: String) -> [UInt8]? {
        let wanted = name.lowercased()
        return fields.first { $0.name == wanted }?.value
    }

    /// The decoded text of the first field of a name; nil when there is none.
    package func text(_ name: String, limit: MailText.Limit = .subject) -> String? {
        guard let value = raw(name) else { return nil }
        return MailText.displayable(GMime.decodedText(HeaderRepair.knownCharsets(value)), limit: limit)
    }

    /// The addresses of the first field of a name, those of groups among them. A group without
    /// members and a field that holds no address give one entry with a name only. The last address of
    /// a field above `valueLimit` may be cut.
    package func addresses(_ name: String) -> [MailAddress] {
        guard let value = raw(name) else { return [] }
        let repaired = HeaderRepair.knownCharsets(value)
        let found = GMime.addresses(repaired, limit: Self.addressLimit).compactMap {
            MailAddress(display: $0.name, $0.address)
        }
        if !found.isEmpty { return found }
        return [MailAddress(display: GMime.decodedText(repaired), nil)].compactMap(\.self)
    }

    /// The date of the first field of a name, nil when it is none or lies before 1970.
    package func date(_ name: String) -> Timestamp? {
        guard let value = raw(name), let seconds = GMime.date(value), seconds > 0 else { return nil }
        return Timestamp(seconds: seconds)
    }

    /// The message ids of the first field of a name, without angle brackets, in their order.
    package func messageIDs(_ name: String) -> [String] {
        guard let value = raw(name) else { return [] }
        return GMime.references(value, limit: Self.referenceLimit)
            .map { MailText.displayable($0, limit: .identifier) }
            .filter { !$0.isEmpty }
    }
}

/// A sender or receiver as it may be shown. At least one of both is there, and neither is empty.
package struct MailAddress: Sendable, Hashable {
    /// The decoded display name.
    package let name: String?
    /// `local@domain`, or only the local part where the domain is missing.
    package let address: String?

    /// Nil when both are nil.
    package init?(name: String?, address: String?) {
        if name == nil && address == nil { return nil }
        (self.name, self.address) = (name, address)
    }

    /// Cleans both parts.
    init?(display name: String?, _ address: String?) {
        var cleanName = name.map { MailText.displayable($0, limit: .name) }
        var cleanAddress = address.map { MailText.displayable($0, limit: .identifier) }
        // What IMAP servers write into ENVELOPE where a part is missing.
        for part in ["@MISSING_DOMAIN", "@.MISSING-HOST-NAME."] where cleanAddress?.hasSuffix(part) == true {
            cleanAddress?.removeLast(part.count)
        }
        // Some senders encode name and address together, which leaves no address to be read.
        if let encoded = cleanAddress, encoded.hasPrefix("=?"), cleanName?.isEmpty != false {
            let decoded = GMime.decodedText(HeaderRepair.knownCharsets(Array(encoded.utf8)))
            (cleanName, cleanAddress) = (MailText.displayable(decoded, limit: .name), nil)
        }
        self.init(
            name: cleanName?.isEmpty == false ? cleanName : nil,
            address: cleanAddress?.isEmpty == false ? cleanAddress : nil)
    }

    /// What a notification calls this person: the name, or else the address.
    package var shown: String { name ?? address ?? "" }
}
