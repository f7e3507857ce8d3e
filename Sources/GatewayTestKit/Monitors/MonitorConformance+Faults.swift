internal import Base
internal import Gateway

// What goes wrong between a monitor, its server and its host.
extension MonitorConformance {
    /// Nothing is lost, and nothing rings twice, when the process dies after a monitor saw news and before that is
    /// stored.
    static func killedBeforeCommit(_ subject: some MonitorSubject) async throws {
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            host.crashes = 2
            try await subject.deliver(TestNews("survives", id: "survives"))
            try await news(1, host, subject)
            try await subject.deliver(TestNews("next", id: "next"))
            try await news(2, host, subject)
        }
        try require(host.crashes == 0, "no batch was lost")
        try require(host.rung.map(\.title) == ["survives", "next"], "rang for \(host.rung.map(\.title))")
    }

    /// A server that accepts everything and answers nothing is found out within the monitor's own deadline.
    static func silentServer(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.silence) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.setSilent(true)
            try await passing(subject, "a failure") { !host.failures.isEmpty }
            try await subject.setSilent(false)
            try await subject.deliver(TestNews("heard again", id: "again"))
            try await news(1, host, subject)
        }
        let unexpected = host.failures.filter { $0.code != .network && $0.code != .authTemporary }
        try require(unexpected.isEmpty, "\(unexpected)")
        try require(host.rung.map(\.title) == ["heard again"], "rang for \(host.rung.map(\.title))")
    }

    /// A pause the server asks for reaches the host, with its length.
    static func throttled(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.throttling) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.throttle(seconds: 90)
            try await passing(subject, "a failure") { !host.failures.isEmpty }
        }
        guard case .throttled = host.failures[0].code else {
            throw ConformanceViolation("\(host.failures[0]) instead of throttled")
        }
    }

    /// Malformed answers are a typed failure, neither a crash nor news; right ones are taken again.
    static func nonsense(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.nonsense) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.setNonsense(true)
            try await passing(subject, "a failure") { !host.failures.isEmpty }
            try await subject.setNonsense(false)
            try await subject.deliver(TestNews("sense", id: "sense"))
            try await news(1, host, subject)
        }
        let unexpected = host.failures.filter { $0.code != .protocolViolation && $0.code != .network }
        try require(unexpected.isEmpty, "\(unexpected)")
        try require(host.rung.map(\.title) == ["sense"], "rang for \(host.rung.map(\.title))")
    }

    /// Neither the log nor a failure shows a secret, a subject or a text.
    static func quietAboutSecrets(_ subject: some MonitorSubject) async throws {
        let host = RecordingMonitorHost()
        let text = "Zwiebelkuchen"
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.deliver(TestNews(text, id: "quiet"))
            try await news(1, host, subject)
            guard subject.abilities.contains(.server) else { return }
            try await subject.setServerRunning(false)
            try await passing(subject, "a failure") { !host.failures.isEmpty }
            try await subject.setServerRunning(true)
        }
        let written = (subject.logged?.records ?? []).map { "\($0)" } + host.failures.map(\.description)
        let secrets = subject.credentials.filter { $0.key != "username" }.map(\.value.exposed).filter { $0.count > 3 }
        for unwanted in secrets + [text] where written.contains(where: { $0.contains(unwanted) }) {
            throw ConformanceViolation("a log line or a failure shows what nobody may read there")
        }
    }
}
