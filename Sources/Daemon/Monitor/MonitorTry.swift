package import Base
package import Gateway

/// `farbell monitor try`: watches one account of an app and says what it would ring for. Stores nothing.
package struct MonitorTry: Sendable {
    private let app: App
    private let monitor: any Monitor
    private let account: AccountID
    private let defaults: NotifyDefaults
    private let environment: Environment

    /// - Parameter account: whose mail it is, for monitors that ask no user name.
    /// - Throws: `DaemonError` for an app that is not watched, or one that needs an account's name.
    package init(
        _ name: String, account: String?, _ configuration: GatewayConfiguration, _ environment: Environment
    ) throws {
        guard let app = configuration.apps.first(where: { $0.id.text == name }) else {
            let known = configuration.apps.map(\.id.text)
            throw DaemonError(.usage, "there is no app '\(name.printable)'" + Suggestion.text(for: name, among: known))
        }
        guard let monitor = app.monitor else {
            throw DaemonError(
                .configuration, "apps.\(name) has no 'monitor': nothing is watched. Give it one, with its 'kind'")
        }
        if let account, !Account.isName(account) {
            throw DaemonError(.usage, "'\(account.printable)' is no account name")
        }
        (self.app, self.monitor, self.environment) = (app, monitor, environment)
        self.account = AccountID(account ?? "try")
        defaults = configuration.notify
    }

    /// Asks for what the monitor needs to log in, in the order of its fields; secrets without echo. Where standard
    /// input is no terminal, one line each; an empty line for what is not required.
    /// - Throws: `DaemonError`; `CancellationError`.
    package func askCredentials() throws -> [String: Secret] {
        var credentials: [String: Secret] = [:]
        for field in monitor.credentialFields {
            let prompt = field.name + (field.isRequired ? ": " : " (may be left empty): ")
            let answer = try Terminal.answer(prompt, isSecret: field.isSecret)
            if let answer, !answer.isEmpty {
                credentials[field.name] = answer
            } else if field.isRequired {
                throw DaemonError(.usage, "'\(field.name)' is needed to log in")
            }
        }
        return credentials
    }

    /// Watches until cancelled; after a failure of the connection again, as the gateway would.
    /// - Throws: `DaemonError` when the first attempt fails, or the server refuses the credentials;
    ///   `CancellationError`.
    package func run(_ credentials: [String: Secret]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [monitor] in
                do {
                    try await monitor.run()
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    throw DaemonError(
                        .unavailable, "the common part of the monitor failed: \(error)", underlying: error)
                }
            }
            group.addTask { try await watch(credentials) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    /// Pauses between attempts, after having watched.
    private static let pauses: [Duration] = [.seconds(1), .seconds(5), .seconds(30)]

    private func watch(_ credentials: [String: Secret]) async throws {
        let host = TryHost(app, credentials["username"]?.exposed, account, defaults, environment)
        var failures = 0
        environment.print("\(app.id.text): logging in at \(monitor.upstream.printable); Ctrl-C ends")
        if monitor.credentialFields.isEmpty { environment.print("  for the account '\(account)' (--account NAME)") }
        while true {
            let target = MonitorTarget(
                registration: "reg_try", account: account, credentials: credentials, cursor: host.cursor)
            let before = host.watchCount
            var failure = MonitorFailure(.protocolViolation, "the monitor returned without a failure")
            do {
                try await monitor.watch(target, host: host)
            } catch let error as MonitorFailure {
                failure = error
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                failure = MonitorFailure(.network, "\(error)")
            }
            try Task.checkCancellation()
            let advice = MonitorAdvice(failure)
            environment.complain("\(app.id.text): \(failure.message.printable)")
            environment.complain("  \(advice.cure)")
            if failure.code == .cursorInvalid, failures == 0 { host.forget() }
            if host.watchCount == 0 && failure.code != .cursorInvalid || advice.isFinal || failures > 100 {
                throw DaemonError(advice.code, "\(app.id.text): \(advice.verdict)", underlying: failure)
            }
            failures = host.watchCount > before ? 1 : failures + 1
            let pause = Self.pauses[min(failures, Self.pauses.count) - 1]
            environment.print("\(app.id.text): tries again in \(pause.wholeSeconds) s")
            try await environment.time.sleep(for: pause)
        }
    }
}

/// What a monitor that is tried reports to: prints what the gateway would do, and keeps the cursor in memory.
final class TryHost: MonitorHost {
    /// Items remembered, so that none is told twice and those read elsewhere can be named.
    static let itemLimit = 10_000

    private struct State {
        var cursor: [UInt8]?
        var titles: [String: String] = [:]
        var watchCount = 0
    }

    private let state = Locked(State())
    private let app: App
    private let own: OwnAddresses
    private let defaults: NotifyDefaults
    private let environment: Environment

    init(
        _ app: App, _ username: String?, _ account: AccountID, _ defaults: NotifyDefaults, _ environment: Environment
    ) {
        (self.app, self.defaults, self.environment) = (app, defaults, environment)
        own = OwnAddresses(nil, of: account, app: app, username: username)
    }

    var cursor: [UInt8]? { state.withLock { $0.cursor } }
    /// How often the monitor was ready to see news.
    var watchCount: Int { state.withLock { $0.watchCount } }
    func forget() { state.withLock { $0.cursor = nil } }

    func emit(_ batch: MonitorBatch) async throws {
        try Task.checkCancellation()
        guard batch.cursor.count <= MonitorBatch.cursorLimit else {
            throw MonitorFailure(.protocolViolation, "the monitor's cursor is over \(MonitorBatch.cursorLimit) bytes")
        }
        let isBaseline = state.withLock { state in
            defer { state.cursor = batch.cursor }
            return state.cursor == nil
        }
        if isBaseline {
            let count = batch.changes.count { if case .new = $0 { true } else { false } }
            if count > 0 { environment.print("  \(count) there already: they ring for nothing") }
        }
        for change in batch.changes { tell(change, isBaseline) }
    }

    func watching() {
        state.withLock { $0.watchCount += 1 }
        environment.print("  watching: what comes now would ring")
    }

    func heard() {}

    private func tell(_ change: MonitorBatch.Change, _ isBaseline: Bool) {
        switch change {
        case .new(let item):
            let text = words(item)
            let isKnown = state.withLock { state in
                defer { if state.titles.count < Self.itemLimit { state.titles[item.key] = text } }
                return state.titles[item.key] != nil
            }
            if isBaseline || isKnown { return }
            let isOwn = own.has(item.senderAddress)
            environment.print(isOwn ? "  your own, rings for nobody: \(text)" : "  would ring: \(text)")
        case .seen(let key): taken("read elsewhere", key)
        case .gone(let key): taken("gone", key)
        }
    }

    private func taken(_ what: String, _ key: String) {
        guard let title = state.withLock({ $0.titles.removeValue(forKey: key) }) else { return }
        environment.print("  \(what), would be cleared: \(title)")
    }

    private func words(_ item: Item) -> String {
        let text = SummaryText(
            [
                SummaryContent(
                    appName: app.name, policy: defaults.summary, sender: item.sender, subject: item.title,
                    preview: item.preview, locale: nil)
            ], defaults.templates)
        return [text.title, text.body ?? ""].filter { !$0.isEmpty }.map(\.printable).joined(separator: " | ")
    }
}
