internal import Base

/// Which conversations are remembered, and for how long.
package struct ConversationRules: Sendable, Hashable {
    /// The default of `history.retentionDays` and `apps.<id>.history.retentionDays`.
    package static let defaultDays = 30
    package static let days = 0...3650

    /// Between accounts; zero: not at all.
    package var accounts: Duration = .seconds(defaultDays * 86_400)
    /// With applications; those that are missing have none.
    package var apps: [AppID: Duration] = [:]
    /// Applications that are called, and so are told of edits, withdrawals and read marks.
    package var told: Set<AppID> = []

    package init() {}

    /// Of the applications as configured.
    package init(_ configuration: GatewayConfiguration) {
        accounts = configuration.history
        for app in configuration.apps {
            if app.history > .zero { apps[app.id] = app.history }
            if app.callback != nil { told.insert(app.id) }
        }
    }

    /// How long what is said between two ends is kept; nil: not at all.
    package func retention(_ a: QueueAddress, _ b: QueueAddress) -> Duration? {
        switch (a, b) {
        case (.account, .account): accounts > .zero ? accounts : nil
        case (.account, .app(let id)), (.app(let id), .account): apps[id]
        default: nil
        }
    }
}
