package import Base

/// Who logs in: a person, a program or a thing.
package struct Account: Sendable, Hashable {
    package enum Kind: String, Sendable, CaseIterable {
        case person
        case program
        case device
    }

    package let id: AccountID
    package var kind: Kind
    /// Argon2id in its encoded form; nil where the password is checked elsewhere.
    package var passwordHash: String?
    package var isDisabled = false
    /// BCP 47 tag that templates and digests are written in.
    package var locale: String?
    /// Keyed digests of credentials that the apps' servers refused, the latest last: they are never tried again, not
    /// even after the registration was deleted and made anew.
    package var refusals: [AppID: [[UInt8]]] = [:]
    package let created: Timestamp

    /// How many refused credentials are remembered for an app.
    package static let refusalsLimit = 16

    package init(id: AccountID, kind: Kind = .person, passwordHash: String?, created: Timestamp) {
        (self.id, self.kind, self.passwordHash, self.created) = (id, kind, passwordHash, created)
    }

    /// Whether a text may be a login name: 1 to 128 bytes without control characters, spaces or '/',
    /// which separates the kinds of queues.
    package static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F && $0 != "/" && $0 != ":" }
    }
}
