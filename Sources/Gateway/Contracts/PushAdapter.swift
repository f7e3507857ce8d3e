package import Base

/// A kind of push service, as a plugin offers it.
package protocol PushPlugin: Sendable {
    /// The value of `kind` in the configuration.
    var kind: String { get }
    /// Reads the plugin's own keys of `push.<name>`. Must not connect. Faults are reported to the reader;
    /// nil only after one.
    func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)?
}

/// One push service with one credential.
package protocol PushAdapter: Sendable {
    /// Pushes that may be under way at once in this adapter's lane.
    var concurrency: Int { get }
    /// Whether a shown notification can be taken back by another push (`Push.Content.clear`).
    var canClear: Bool { get }
    /// What a client must know before its platform gives it an address here, such as a public key; nil
    /// (the default) where it needs nothing. May make the key when it is missing, so `check` does not ask.
    /// - Throws: when the key can be neither read nor made.
    func subscriptionKey() throws -> String?
    /// Checks a channel's address when a device brings it: form, size, and what we may connect to.
    /// Returns what is wrong, nil when it is fine.
    func fault(in address: Channel.Address) -> String?
    /// Sends one push and says what became of it. Must return within about 30 seconds; retries, waiting
    /// and pruning are the host's work.
    func send(_ push: Push) async -> PushReport
    /// The gateway stops, and nothing is sent any more: ends what the adapter keeps running. Must return within a
    /// few seconds. The default does nothing.
    func stop() async
}

extension PushAdapter {
    package func subscriptionKey() throws -> String? { nil }
    package func stop() async {}
}

/// One push to one device. A repeat after a retry or a restart has the same `id`. An object, as `PushJob` is.
package final class Push: Sendable, Hashable {
    package enum Content: Sendable, Hashable {
        case alert(Notification)
        /// Take these notifications away; nothing is shown.
        case clear([NotificationID], collapse: String, badge: Int)
    }

    /// A UUID in lower case, the same on each attempt.
    package let id: String
    package let device: DeviceID
    package let address: Channel.Address
    package let content: Content
    /// `wakeup` devices get neither title nor body.
    package let payload: Device.Payload
    package let priority: Message.Priority
    /// After this the push is worthless.
    package let expires: Timestamp
    /// Where the device has keys of its own, no service in between may read a text: see `PushDocument.sealed`.
    package let encryption: Device.Encryption?
    /// The device's language (BCP 47), for what an adapter says itself.
    package let locale: String?
    /// The operator's own words for `hint`.
    private let ownHint: String?

    package init(
        id: String, device: DeviceID, address: Channel.Address, content: Content, payload: Device.Payload,
        priority: Message.Priority, expires: Timestamp, encryption: Device.Encryption? = nil, locale: String? = nil,
        hint: String? = nil
    ) {
        (self.id, self.device, self.address, self.content) = (id, device, address, content)
        (self.payload, self.priority, self.expires) = (payload, priority, expires)
        (self.encryption, self.locale, ownHint) = (encryption, locale, hint)
    }

    package static func == (a: Push, b: Push) -> Bool {
        a === b
            || a.id == b.id && a.device == b.device && a.address == b.address && a.content == b.content
                && a.payload == b.payload && a.priority == b.priority && a.expires == b.expires
                && a.encryption == b.encryption && a.locale == b.locale && a.ownHint == b.ownHint
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(id)
        hasher.combine(content)
    }

    /// What an adapter says where it may say nothing of the message: one phrase in the device's language.
    package var hint: String { ownHint ?? NotifyTemplates().words([locale]).hint("") }

    /// The same push without its texts: what is sent when a service found it too large.
    package var withoutTexts: Push {
        // A clearing push has none.
        guard case .alert = content else { return self }
        return Push(
            id: id, device: device, address: address, content: content, payload: .wakeup, priority: priority,
            expires: expires, encryption: encryption, locale: locale, hint: ownHint)
    }

    /// The same push with another number of unread messages.
    package func with(badge: Int) -> Push {
        let content: Content =
            switch self.content {
            case .alert(let notification): .alert(notification.with(badge: badge))
            case .clear(let ids, let collapse, _): .clear(ids, collapse: collapse, badge: badge)
            }
        return Push(
            id: id, device: device, address: address, content: content, payload: payload, priority: priority,
            expires: expires, encryption: encryption, locale: locale, hint: ownHint)
    }
}

/// What a push service made of a push.
package enum PushOutcome: Sendable, Hashable {
    /// Whose trouble a retry is about: only this device's (a rate limit of its token), or the service's,
    /// which counts towards the lane's breaker.
    package enum Blame: String, Sendable, Hashable {
        case device
        case service
    }

    case delivered
    /// The address is dead, as known at `since` (nil: now). Pruned only if the channel is older.
    case gone(since: Timestamp?)
    /// Not now; `after` is the pause the service asked for.
    case retry(after: Duration?, Blame)
    /// Never; the device's address stays.
    case rejected
    /// Our credential is refused: the lane waits for the operator.
    case credential

    package var name: String {
        switch self {
        case .delivered: "delivered"
        case .gone: "gone"
        case .retry: "retry"
        case .rejected: "rejected"
        case .credential: "credential"
        }
    }

    /// Where a push with this outcome usually failed.
    var hop: PushHop? {
        switch self {
        case .delivered: nil
        case .gone, .retry(_, .device): .token
        case .retry(_, .service): .service
        case .rejected: .payload
        case .credential: .credential
        }
    }
}

/// The step on the way to a device that a push failed at; what a person tests a device for.
package enum PushHop: String, Sendable, Hashable, CaseIterable {
    /// The service's host name has no address.
    case nameResolution = "name_resolution"
    /// No connection: refused, unreachable, timed out.
    case tcp
    /// Certificate or protocol of the encrypted connection.
    case tls
    /// Our own credential.
    case credential
    /// The device's address at the service.
    case token
    /// What we sent.
    case payload
    /// The service itself: busy, throttling, broken.
    case service
}

/// An outcome with what the operator wants to see.
package struct PushReport: Sendable, Hashable {
    package let outcome: PushOutcome
    /// Where it failed; nil when it did not.
    package let hop: PushHop?
    /// The service's status code, where there was an answer.
    package let status: Int?
    /// The service's own word, such as `Unregistered`, or the hop that failed, such as `tls`.
    package let reason: String?

    /// - Parameter hop: nil: what follows from the outcome.
    package init(_ outcome: PushOutcome, status: Int? = nil, reason: String? = nil, hop: PushHop? = nil) {
        (self.outcome, self.status, self.reason) = (outcome, status, reason)
        self.hop = hop ?? outcome.hop
    }
}
