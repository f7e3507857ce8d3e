package import Base
internal import FarmTools
package import Gateway

/// Farms of xpra servers, one for each account: published apps in the browser, and the only farm of the free ones
/// that says itself when a client is hidden.
package struct XpraPlugin: FarmPlugin {
    package init() {}

    package var kind: String { "xpra" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        if !reader.has("session") {
            reader.report(
                nil, "the key 'session' is missing: the program that finds or starts an account's xpra server")
        }
        let program = SessionProgram(reader, time: context.time)
        let path = reader.string("xpra", default: "/usr/bin/xpra")
        if !FileSystem.isExecutable(path) { reader.report("xpra", "'\(path)' is not a program that can be run") }
        let origins = reader.strings("origins")
        for origin in origins where !WebOrigin.isSource(origin, schemes: ["https", "http"]) {
            reader.report("origins", "'\(origin)' is not a scheme and host, such as https://apps.example:14500")
        }
        if origins.isEmpty {
            reader.report("origins", "expected where the HTML5 client is served, such as https://host")
        }
        let poll = reader.seconds("pollSeconds", in: 1...60, default: 3)
        guard let program else { return nil }
        return XpraFarm(
            id: farm, program: program, control: XpraControl(path: path, time: context.time), origins: origins,
            poll: FactPoll(farm: farm, interval: poll, time: context.time, log: context.log), log: context.log)
    }
}

/// One such farm.
package final class XpraFarm: Farm {
    /// Accounts whose servers are asked at the same time: each question starts a Python program.
    static let questionsAtOnce = 4
    /// Accounts whose display is remembered.
    static let displayLimit = 10_000

    private let id: FarmID
    private let program: SessionProgram
    private let control: XpraControl
    private let origins: [String]
    private let poll: FactPoll
    private let log: Log
    /// Where accounts' servers are, as their session programs said at the last launch.
    private let displays = Locked<[AccountID: String]>([:])

    init(id: FarmID, program: SessionProgram, control: XpraControl, origins: [String], poll: FactPoll, log: Log) {
        (self.id, self.program, self.control) = (id, program, control)
        (self.origins, self.poll, self.log) = (origins, poll, log)
    }

    /// What one app is: its command inside the account's server, and how its windows are known.
    struct Target: LaunchTarget {
        let command: [String]
        /// The second part of WM_CLASS.
        let window: String
    }

    package var usesCredentials: Bool { true }
    package var screenOrigins: [String] { origins }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? {
        guard let reader else {
            parent.report(nil, "the key 'launch' is missing: 'command' says what the app is")
            return nil
        }
        let command = reader.strings("command")
        let window = reader.optionalString("window")
        guard let first = command.first, !first.isEmpty else {
            reader.report("command", "expected the program and its arguments as a list")
            return nil
        }
        // `xpra control` joins words by spaces and lets the server split them again.
        guard command.allSatisfy({ $0.utf8.allSatisfy { $0 > 0x20 && $0 != 0x22 && $0 != 0x27 && $0 != 0x5C } }) else {
            reader.report("command", "words must have no spaces, quotes or backslashes; use a script")
            return nil
        }
        let name = first.split(separator: "/").last.map(String.init) ?? first
        return Target(command: command, window: window ?? name)
    }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction { .screen }

    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart {
        guard let target = target as? Target else {
            throw GatewayError(.farmUnavailable, "the app's launch target was made by another farm")
        }
        // Where the account's server was found last: it is asked while the session program runs. What it says counts
        // if that program finds the same server.
        let known = displays.withLock { $0[request.account] }
        async let early = early(known)
        let answer = try await program.open(request, log: log)
        guard let display = answer["display"]?.string, !display.hasPrefix("-"), let url = answer["url"]?.string,
            url.hasPrefix("https://") || url.hasPrefix("http://")
        else { throw GatewayError(.farmUnavailable, "the session program names no display and url") }
        displays.withLock { displays in
            if displays.count >= Self.displayLimit { displays = [:] }
            displays[request.account] = display
        }
        do {
            // In a server that has just been started nothing runs.
            let isNew = answer["started"]?.bool == true
            var status: XpraStatus? = isNew ? XpraStatus(lines: []) : nil
            if !isNew, display == known { status = try await early }
            try await bringUp(target, on: display, status)
        } catch {
            log.error(
                .launchFailed, "xpra could not start or raise the app",
                [
                    "launch": .id(request.launch), "account": .id(request.account), "app": .id(request.app),
                    "reason": .string("\(error)".printable),
                ])
            throw GatewayError(.farmUnavailable, "the farm cannot open the app now")
        }
        var query = "submit=true&sharing=true&reconnect=true"
        if let name = answer["username"]?.string { query += "&username=\(name.percentEncoded())" }
        if let password = answer["password"]?.string { query += "&password=\(password.percentEncoded())" }
        return .frame(url: Secret("\(url)\(url.contains("?") ? "&" : "?")\(query)"))
    }

    /// What a server says of itself; nil where there is none to ask, or none any more.
    /// - Throws: `ProgramRun.Failure` when it does not answer in time: asking again would take as long.
    private func early(_ display: String?) async throws -> XpraStatus? {
        guard let display else { return nil }
        do { return try await control.status(of: display) } catch let failure as ProgramRun.Failure {
            guard failure.code != .tooSlow else { throw failure }
            return nil
        } catch {
            return nil
        }
    }

    /// Raises the app where it runs in the live session, and starts it where it does not.
    /// - Parameter status: nil where the server has still to be asked.
    private func bringUp(_ target: Target, on display: String, _ status: XpraStatus?) async throws {
        let status = if let status { status } else { try await control.status(of: display) }
        if let window = status.windows.first(where: { $0.value.caseInsensitiveEquals(target.window) })?.key {
            try await control.tell(display, ["focus", window])
        } else {
            try await control.tell(display, ["start"] + target.command)
        }
    }

    package func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws {
        try await poll.run(apps: Set(apps.keys), facts: facts) { [self] subjects in try await look(at: subjects) }
    }

    private func look(at subjects: Set<FarmSubject>) async throws -> [FarmSubject: FarmFact.State] {
        let accounts = Set(subjects.map(\.account))
        let known = displays.withLock { displays in
            accounts.compactMap { account in displays[account].map { (account, $0) } }
        }
        var states: [AccountID: FarmFact.State] = [:]
        var lastError: (any Error)?
        try await withThrowingTaskGroup(of: (AccountID, Result<FarmFact.State, any Error>).self) { group in
            var rest = known[...]
            func next() {
                guard let (account, display) = rest.popFirst() else { return }
                group.addTask { [control] in
                    do { return (account, .success(try await control.status(of: display).state)) } catch {
                        return (account, .failure(error))
                    }
                }
            }
            for _ in 0..<Self.questionsAtOnce { next() }
            while let (account, result) = try await group.next() {
                switch result {
                case .success(let state): states[account] = state
                case .failure(let error): lastError = error
                }
                next()
            }
        }
        // One server that does not answer is that account's trouble; none at all is the farm's.
        if states.isEmpty, let lastError { throw lastError }
        return Dictionary(
            uniqueKeysWithValues: subjects.compactMap { subject in
                states[subject.account].map { (subject, $0) }
            })
    }
}

extension String {
    /// Equality that ignores the case of ASCII letters, as WM_CLASS is compared.
    func caseInsensitiveEquals(_ other: String) -> Bool { lowercased() == other.lowercased() }
}
