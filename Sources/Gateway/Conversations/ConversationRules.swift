package import Base

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

    /// How long an entry of a conversation is kept; nil: it is not written.
    package func retention(_ pair: ConversationPair) -> Duration? {
        switch (pair.low, pair.high) {
        case (.app(let id), _), (_, .app(let id)): apps[id]
        default: accounts > .zero ? accounts : nil
        }
    }
}
