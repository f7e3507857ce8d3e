package import Base

/// A remote application offered by a farm, as configured.
package struct App: Sendable {
    package let id: AppID
    package let name: String
    package let farm: FarmID?
    package let farmLink: (any Farm)?
    /// The app's own keys for its farm, decoded by the farm.
    package let launch: (any LaunchTarget)?
    package let monitorKind: String?
    package let monitor: (any Monitor)?
    /// Addresses that an account writes from, with `{account}` and `{username}`.
    package var ownAddresses: [String] = []
    /// What the application calls with; nil for one that does not. A running gateway keeps only its hash.
    package var key: Secret?
    /// How the application is called with what comes to its queue; nil for one that asks.
    package var callback: (any AppCallback)?
    /// Whether it is called with the presence of its users, of those that allow it.
    package var callbackPresence = false
    /// The file the key stands in, or is to stand in once it is made.
    package var keyFile: String?
    /// How long what it and accounts say to one another is kept; zero: not at all.
    package var history: Duration = .seconds(ConversationRules.defaultDays * 86_400)

    /// Characters of the shortest key.
    package static let keyLength = 32

    package init(
        id: AppID, name: String, farm: FarmID? = nil, farmLink: (any Farm)? = nil, launch: (any LaunchTarget)? = nil,
        monitorKind: String? = nil, monitor: (any Monitor)? = nil, key: Secret? = nil
    ) {
        (self.id, self.name, self.farm, self.farmLink) = (id, name, farm, farmLink)
        (self.launch, self.monitorKind, self.monitor, self.key) = (launch, monitorKind, monitor, key)
    }

    /// What a registration holds for the farm alone, so that it signs the account in: name and password where the
    /// app's monitor does not ask for them.
    package var farmFields: [CredentialField] {
        guard farmLink?.usesCredentials == true else { return [] }
        let asked = Set((monitor?.credentialFields ?? []).map(\.name))
        return [("username", false), ("password", true)].filter { !asked.contains($0.0) }.map {
            CredentialField($0.0, isSecret: $0.1, isRequired: false, isIdentity: false)
        }
    }

    /// All that a registration may hold.
    package var credentialFields: [CredentialField] { (monitor?.credentialFields ?? []) + farmFields }
}

/// Account + app + credentials + preferences (SG-1). One serves all later logins (SG-2).
package struct Registration: Sendable, Hashable {
    package let id: RegistrationID
    package let account: AccountID
    package let app: AppID
    /// The app's credentials, sealed with the registration's id as context.
    package var sealedCredentials: [UInt8]
    /// Counts changes of the credentials, so that a refused password is never tried again.
    package var credentialsRevision: Int64 = 1
    /// The revision the app's server refused, if it did.
    package var refusedRevision: Int64?
    /// The revision the app's server has accepted, if it has accepted one.
    package var provenRevision: Int64?
    /// The server-side switch (SG-15).
    package var isEnabled: Bool
    /// Whether the account has logged in to the app since registering: that starts monitoring (SG-3).
    package var isArmed = false
    package var preferences: NotifyPreferences
    /// Where the monitor goes on; opaque to everyone else. Nil until the first run set its baseline.
    package var cursor: [UInt8]?
    package let created: Timestamp

    package init(
        id: RegistrationID, account: AccountID, app: AppID, sealedCredentials: [UInt8], isEnabled: Bool,
        preferences: NotifyPreferences, created: Timestamp
    ) {
        (self.id, self.account, self.app, self.sealedCredentials) = (id, account, app, sealedCredentials)
        (self.isEnabled, self.preferences, self.created) = (isEnabled, preferences, created)
    }

    /// Whether the app's server has accepted the present credentials before.
    package var isProven: Bool { provenRevision == credentialsRevision }
    /// Whether the app's server has refused the present credentials.
    package var isRefused: Bool { refusedRevision == credentialsRevision }

    /// Whether a monitor should watch it now.
    package var isWatched: Bool { isEnabled && isArmed && !isRefused }
}

/// How and where a registration's news is announced. Nil takes the configuration's default.
package struct NotifyPreferences: Sendable, Hashable {
    /// What a notification says (SG-10).
    package enum Summary: String, Sendable, CaseIterable {
        /// "You have a message."
        case hint
        /// "New mail from X", with the subject.
        case digest
        /// The text as far as the service carries it.
        case full
    }

    /// Which devices are told (SG-12).
    package enum Targets: Sendable, Hashable {
        /// The device seen last.
        case latest
        case all
        case devices([DeviceID])
        /// One after another, the next when nobody has acknowledged for so long. An empty list means
        /// all devices, seen last first.
        case escalate([DeviceID], after: Duration)
    }

    /// Daily, in a time zone; `from` later than `to` runs over midnight.
    package struct QuietHours: Sendable, Hashable {
        /// Minutes after midnight.
        package let fromMinute: Int
        package let toMinute: Int
        /// IANA name, such as `Europe/Berlin`.
        package let timeZone: String

        package init(fromMinute: Int, toMinute: Int, timeZone: String) {
            (self.fromMinute, self.toMinute, self.timeZone) = (fromMinute, toMinute, timeZone)
        }
    }

    package var summary: Summary?
    package var targets: Targets?
    package var quietHours: QuietHours?
    package var group: Duration?
    /// Addresses that the account itself writes from: what comes from them rings for nobody.
    package var ownAddresses: [String]?
    package var rules: [NotifyRule]?

    package init(
        summary: Summary? = nil, targets: Targets? = nil, quietHours: QuietHours? = nil, group: Duration? = nil,
        ownAddresses: [String]? = nil, rules: [NotifyRule]? = nil
    ) {
        (self.summary, self.targets, self.quietHours, self.group) = (summary, targets, quietHours, group)
        (self.ownAddresses, self.rules) = (ownAddresses, rules)
    }
}
