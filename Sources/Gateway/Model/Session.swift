package import Base

/// One run of an app's client on a device; carries presence under a lease.
package struct Session: Sendable, Hashable {
    /// What the client says of itself.
    package enum Presence: String, Sendable, CaseIterable {
        /// In front and being used.
        case active
        /// In front.
        case visible
        /// Running in the background: not running, as far as notifications go (SG-7).
        case hidden
        /// Ended.
        case gone

        package var isForeground: Bool { self == .active || self == .visible }
    }

    package let id: SessionID
    package let account: AccountID
    package let device: DeviceID
    package let app: AppID
    /// The client's own random id of this run.
    package let instance: String
    package var registration: RegistrationID
    package var presence: Presence
    /// The highest sequence number seen; lower and equal ones are dropped.
    package var seq: Int64
    /// The end of the lease on our monotonic clock; a foreground presence counts until then.
    package var leaseEnd: Moment
    /// When the client itself said that it came to the front, after it was not.
    package var raised: Moment
    /// What the farm says of the app's clients, until `farmEnd`.
    package var farm = FarmFact.State.unknown
    package var farmEnd: Moment
    /// Whether the client cannot report, and its farm, which is trusted, speaks for it.
    package var isFarms = false
    package let opened: Timestamp
    /// The last report of the client.
    package var reported: Timestamp

    package init(
        id: SessionID, account: AccountID, device: DeviceID, app: AppID, instance: String, registration: RegistrationID,
        presence: Presence, seq: Int64, leaseEnd: Moment, opened: Timestamp, raised: Moment = Moment(nanoseconds: 0)
    ) {
        (self.id, self.account, self.device, self.app, self.instance) = (id, account, device, app, instance)
        (self.registration, self.presence, self.seq) = (registration, presence, seq)
        (self.leaseEnd, self.opened, self.reported) = (leaseEnd, opened, opened)
        (self.raised, farmEnd) = (raised, raised)
    }

    /// Whether the client says that it is in front, and has said so lately.
    package func hasLease(at now: Moment) -> Bool { presence.isForeground && now < leaseEnd }

    /// What the farm says at `now`.
    package func farm(at now: Moment) -> FarmFact.State { now < farmEnd ? farm : .unknown }

    /// Whether the client is surely in front at `now` (SG-7): it says so, and its farm does not know better.
    package func isForeground(at now: Moment) -> Bool { hasLease(at: now) && !farm(at: now).lowers }
}

/// A single-use, short-lived ticket that is answered with an action.
package struct Launch: Sendable, Hashable {
    package enum State: String, Sendable, CaseIterable {
        /// Answered; the ticket has not been used yet.
        case pending
        /// The ticket was used, or the session was raised.
        case redeemed
        /// The session came to the front.
        case confirmed
        case expired
    }

    package let id: LaunchID
    package let account: AccountID
    package let device: DeviceID
    package let app: AppID
    package let message: MessageKey?
    /// Whether it came from a notification's tap, which then is used up.
    package let fromTap: Bool
    /// SHA-256 of the ticket.
    package let ticketHash: [UInt8]
    package let created: Timestamp
    package let expires: Timestamp
    package var state: State

    package init(
        id: LaunchID, account: AccountID, device: DeviceID, app: AppID, message: MessageKey?, fromTap: Bool,
        ticketHash: [UInt8], created: Timestamp, expires: Timestamp, state: State = .pending
    ) {
        (self.id, self.account, self.device, self.app, self.message) = (id, account, device, app, message)
        (self.fromTap, self.ticketHash, self.created) = (fromTap, ticketHash, created)
        (self.expires, self.state) = (expires, state)
    }
}
