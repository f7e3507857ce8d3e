internal import Base
internal import Gateway

/// Watches whatever a program of the operator's can watch.
final class ExecMonitor: Monitor {
    enum Contract: String, CaseIterable, Sendable {
        /// One program for all registrations, lines of JSON both ways.
        case stream
        /// A run of the program for each look at a registration.
        case once
    }

    struct Settings: Sendable {
        var command: ChildProgram.Command
        var contract = Contract.stream
        var fields: [CredentialField] = []
        /// Handed to the program with each registration.
        var config: [(name: String, value: String)] = []
        /// Longest silence of a program of the `stream` contract.
        var heartbeat = Duration.seconds(90)
        /// Between two looks.
        var poll = Duration.seconds(300)
        /// A run of the `once` contract.
        var timeout = Duration.seconds(30)
        /// Runs of the `once` contract at the same time.
        var concurrency = 4
        var limits = ExecMonitor.limits

        init(command: ChildProgram.Command) { self.command = command }
    }

    private static var limits: ChildProgram.Limits {
        var limits = ChildProgram.Limits()
        limits.lineBytes = 256 << 10
        // A line for each of 10,000 registrations.
        limits.waitingBytes = 16 << 20
        return limits
    }

    let settings: Settings
    let hub: ExecHub
    private let turnstile: Turnstile
    private let thread = Locked<WorkThread?>(nil)
    private let time: any TimeSource
    private let log: Log
    private let errorLines = Locked(ExecLineBudget())

    init(_ settings: Settings, time: any TimeSource, log: Log) {
        (self.settings, self.time, self.log) = (settings, time, log)
        hub = ExecHub(settings, time: time, log: log)
        turnstile = Turnstile(settings.concurrency)
    }

    var credentialFields: [CredentialField] { settings.fields }
    var upstream: String { settings.command.path }

    /// Nil for a program that stays: its heartbeat is watched over, and a quiet registration says nothing.
    var heardEvery: Duration? {
        switch settings.contract {
        case .stream: nil
        // A turn may have to wait for others.
        case .once: settings.poll * 1.1 + settings.timeout * 2
        }
    }

    func run() async throws {
        switch settings.contract {
        case .stream: try await hub.run()
        case .once: while true { try await time.sleep(for: .seconds(86_400)) }
        }
    }

    func watch(_ target: MonitorTarget, host: any MonitorHost) async throws {
        let registration = try ExecRegistration(target, settings)
        switch settings.contract {
        case .stream: try await follow(registration, host)
        case .once: try await look(target, host)
        }
    }

    // MARK: The stream contract

    private func follow(_ registration: ExecRegistration, _ host: any MonitorHost) async throws {
        let (ticket, inputs) = hub.join(registration, host)
        defer { hub.leave(registration.id, ticket) }
        for await input in inputs {
            switch input {
            case .watching: host.watching()
            case .batch(let batch, let run):
                let cursor = ExecCursor(text: batch.cursor).encoded
                try await host.emit(MonitorBatch(changes: batch.changes, cursor: cursor))
                hub.acknowledge(batch.id, run: run)
            case .failure(let failure): throw failure
            }
        }
        try Task.checkCancellation()
        throw MonitorFailure(
            .protocolViolation,
            "the program sent more than \(ExecHub.unacknowledgedLimit) batches without waiting for an answer")
    }

    // MARK: The one-shot contract

    private func look(_ target: MonitorTarget, _ host: any MonitorHost) async throws {
        var cursor = target.cursor
        var isFirst = true
        while true {
            let registration = try ExecRegistration(
                MonitorTarget(
                    registration: target.registration, account: target.account, credentials: target.credentials,
                    cursor: cursor), settings)
            let secrets = registration.secrets.map(\.value.exposed)
            let outcome = try await turnstile.pass { [settings, time] in
                try await ExecOnce.run(registration, settings, on: starter(), time: time) { [self] line in
                    tell(line, hiding: secrets)
                }
            }
            let report = try ExecReport(outcome, secrets: secrets, now: time.now)
            cursor = try await store(report, after: registration.cursor, isKnown: cursor != nil, host) ?? cursor
            if isFirst { host.watching() } else { host.heard() }
            isFirst = false
            // Not all at the same second.
            try await time.sleep(for: settings.poll * Double.random(in: 0.9...1.1))
        }
    }

    /// Hands a run's news to the host, at most `eventLimit` at once; returns the cursor stored, nil for none.
    private func store(
        _ report: ExecReport, after before: String?, isKnown: Bool, _ host: any MonitorHost
    ) async throws -> [UInt8]? {
        let after = ExecCursor(text: report.cursor ?? before).encoded
        if report.changes.isEmpty && isKnown && report.cursor ?? before == before { return nil }
        var rest = report.changes[...]
        while rest.count > ExecMessage.eventLimit {
            // On a first run nothing may be stored as known but not as the whole: a nil cursor must stay the mark of it.
            guard isKnown else {
                throw MonitorFailure(
                    .protocolViolation,
                    "the program printed more than \(ExecMessage.eventLimit) events on its first run")
            }
            let cursor = ExecCursor(text: before).encoded
            try await host.emit(MonitorBatch(changes: Array(rest.prefix(ExecMessage.eventLimit)), cursor: cursor))
            rest = rest.dropFirst(ExecMessage.eventLimit)
        }
        try await host.emit(MonitorBatch(changes: Array(rest), cursor: after))
        return after
    }

    /// Made with the first run: a configuration that is only checked starts nothing.
    private func starter() -> WorkThread {
        thread.withLock { thread in
            let known = thread ?? WorkThread(name: "monitor-exec")
            thread = known
            return known
        }
    }

    /// What a program complains of: at debug only, as it may name anybody.
    private func tell(_ line: [UInt8], hiding secrets: [String]) {
        guard errorLines.withLock({ [now = time.now] in $0.spend(now: now) }) else { return }
        var text = String(decoding: line, as: UTF8.self)
        for secret in secrets where !secret.isEmpty { text = text.replacing(secret, with: "***") }
        log.debug(.programSaid, "The program wrote to its standard error", ["text": .personal(text)])
    }
}
