/// Where an app's client stands on this device.
public enum PresenceState: String, Sendable, Hashable, CaseIterable, Codable {
    /// In front, and in use.
    case active
    /// In front.
    case visible
    /// In the background.
    case hidden
    /// Ended.
    case gone

    /// Whether news is shown by the client itself, so that no notification is needed.
    public var isForeground: Bool { self == .active || self == .visible }
}
