public import Foundation

/// An account on the own list.
public struct Contact: Sendable, Hashable, Decodable, Identifiable {
    /// What the other account is called.
    public let account: String
    /// `asked` (this account waits for the other), `asking` (the other one waits) or `contact`.
    public let state: String
    /// Whether this account does not hear the other one.
    public let blocked: Bool
    /// Since when `state` is what it is.
    public let since: Date
    /// `person`, `program` or `device`; nil of one that has not agreed.
    public let kind: String?
    /// `online`, `busy`, `away`, `lunch` or `offline`; `offline` of one that has not agreed.
    public let status: String
    /// The contact's own words.
    public let text: String?
    /// Since when it is offline, where it lets that be known.
    public let lastSeen: Date?

    /// The account's name.
    public var id: String { account }
}

/// An account that is not heard.
public struct Block: Sendable, Hashable, Decodable, Identifiable {
    /// What it is called.
    public let account: String
    /// Since when.
    public let since: Date

    /// The account's name.
    public var id: String { account }
}

/// What an account may say of itself.
public enum StatusWord: String, Sendable, Hashable, Codable, CaseIterable {
    /// Here.
    case online
    /// Here, and not to be disturbed.
    case busy
    /// Back soon.
    case away
    /// Eating.
    case lunch
    /// Looks offline to everybody else.
    case invisible
}

/// What the own account says of itself.
public struct OwnStatus: Sendable, Hashable, Decodable {
    /// The word.
    public let status: StatusWord
    /// Own words beside it.
    public let text: String?
    /// Whether the clients of remote apps count: one in front is being here, only hidden ones are being away.
    public let fromSessions: Bool
    /// Whether contacts see since when the account is offline.
    public let showLastSeen: Bool
    /// Whether the applications that the account is registered for are told.
    public let tellApps: Bool
    /// What others see now: `online`, `busy`, `away`, `lunch` or `offline`.
    public let seenAs: String
}

/// What is to change of the own status; what is nil stays as it is.
public struct StatusChange: Sendable, Hashable, Encodable {
    /// The word. With it the text goes too, unless a new one is given.
    public var status: StatusWord?
    /// Own words beside it, up to 100 characters; empty takes them away.
    public var text: String?
    /// Whether the clients of remote apps count.
    public var fromSessions: Bool?
    /// Whether contacts see since when the account is offline.
    public var showLastSeen: Bool?
    /// Whether applications are told.
    public var tellApps: Bool?

    /// A change.
    public init(_ status: StatusWord? = nil, text: String? = nil) { (self.status, self.text) = (status, text) }
}
