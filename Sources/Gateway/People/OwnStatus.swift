package import Base

/// What an account says of itself, and what of it others may know; kept over a restart (IM-9).
package struct OwnStatus: Sendable, Hashable {
    package enum Word: String, Sendable, CaseIterable {
        case online
        case busy
        case away
        case lunch
        /// Looks offline to everybody else.
        case invisible
    }

    /// Characters of the longest own text.
    package static let textLimit = 100

    package var word = Word.online
    /// Own words beside the status; contacts see them while the account is not offline.
    package var text: String?
    /// Whether the clients of remote apps count: one in front is being here, only hidden ones are being away.
    package var fromSessions = false
    /// Whether contacts see since when the account is offline.
    package var showsLastSeen = false
    /// Whether applications that the account has registered for are told.
    package var tellsApps = false
    /// Since when `word` is what it is.
    package var since: Timestamp

    package init(_ word: Word = .online, since: Timestamp) { (self.word, self.since) = (word, since) }
}

/// A change of an own status; what is nil stays as it is.
package struct OwnStatusChange: Sendable, Hashable {
    /// With it the text is replaced too.
    package var word: OwnStatus.Word?
    package var text: String?
    package var fromSessions: Bool?
    package var showsLastSeen: Bool?
    package var tellsApps: Bool?

    package init(_ word: OwnStatus.Word? = nil, text: String? = nil) { (self.word, self.text) = (word, text) }

    /// - Throws: `invalid_field` for a text that is too long or has control characters.
    func applied(to old: OwnStatus, at now: Timestamp) throws(GatewayError) -> OwnStatus {
        var status = old
        if let text {
            guard text.count <= OwnStatus.textLimit, text.utf8.count <= OwnStatus.textLimit * 4,
                text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F })
            else {
                throw .invalid("text", "at most \(OwnStatus.textLimit) characters, none of them a control character")
            }
        }
        if let word {
            if word != old.word { status.since = now }
            (status.word, status.text) = (word, nil)
        }
        if let text { status.text = text.isEmpty ? nil : text }
        status.fromSessions = fromSessions ?? old.fromSessions
        status.showsLastSeen = showsLastSeen ?? old.showsLastSeen
        status.tellsApps = tellsApps ?? old.tellsApps
        return status
    }
}

/// What others see of an account.
package struct AccountPresence: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        case online
        case busy
        case away
        case lunch
        case offline
    }

    package var state: State
    /// The account's own words; never of one that is offline.
    package var text: String?
    /// Since when it is offline, where the account lets that be known.
    package var lastSeen: Timestamp?

    package init(_ state: State, text: String? = nil, lastSeen: Timestamp? = nil) {
        (self.state, self.text, self.lastSeen) = (state, text, lastSeen)
    }

    /// What is seen of somebody of whom nothing is known.
    package static let offline = AccountPresence(.offline)
}
