internal import Base
internal import Gateway

/// What every monitor must do. Each check takes a fresh subject and throws a `ConformanceViolation` or
/// `DeadlineMissed` when the monitor does something else.
package enum MonitorConformance {
    /// The checks, for a parameterised test.
    package enum Check: String, Sendable, CaseIterable {
        case silentBaseline, newsWhileAway, doubledWakeUp, lostWakeUp, invalidCursor, refusedPassword
        case serverAwayAndBack, readElsewhere, deletedElsewhere, hugeSubject, nulByte, unknownCharset, slowHost
        case cancellation, killedBeforeCommit, silentServer, throttled, nonsense, quietAboutSecrets
    }

    /// Runs one check.
    /// - Throws: `ConformanceViolation`, `DeadlineMissed`, or what the subject throws.
    package static func run(_ check: Check, _ subject: some MonitorSubject) async throws {
        switch check {
        case .silentBaseline: try await silentBaseline(subject)
        case .newsWhileAway: try await newsWhileAway(subject)
        case .doubledWakeUp: try await doubledWakeUp(subject)
        case .lostWakeUp: try await lostWakeUp(subject)
        case .invalidCursor: try await invalidCursor(subject)
        case .refusedPassword: try await refusedPassword(subject)
        case .serverAwayAndBack: try await serverAwayAndBack(subject)
        case .readElsewhere: try await readElsewhere(subject)
        case .deletedElsewhere: try await deletedElsewhere(subject)
        case .hugeSubject: try await hugeSubject(subject)
        case .nulByte: try await nulByte(subject)
        case .unknownCharset: try await unknownCharset(subject)
        case .slowHost: try await slowHost(subject)
        case .cancellation: try await cancellation(subject)
        case .killedBeforeCommit: try await killedBeforeCommit(subject)
        case .silentServer: try await silentServer(subject)
        case .throttled: try await throttled(subject)
        case .nonsense: try await nonsense(subject)
        case .quietAboutSecrets: try await quietAboutSecrets(subject)
        }
    }

    // MARK: News

    private static func silentBaseline(_ subject: some MonitorSubject) async throws {
        for number in 1...3 { try await subject.deliver(TestNews("old \(number)", id: "old\(number)")) }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.deliver(TestNews("news", id: "news"))
            let items = try await news(1, host, subject)
            try require(items.map(\.title) == ["news"], "rang for \(items.map(\.title))")
            let (item, able) = (items.first, subject.abilities)
            try require(
                !able.contains(.contentKeys) || item?.contentKey?.contains("news@example.org") == true,
                "the content key is no Message-ID")
            try require(
                !able.contains(.addresses) || item?.senderAddress == "anna@example.org",
                "the sender's address is missing")
            try require(!able.contains(.names) || item?.sender == "Anna Example", "the sender's name is missing")
            try require(!able.contains(.times) || item?.time != nil, "the time is missing")
        }
        try require(host.heardCount > 0 || host.batches > 0, "no sign of life")
    }

    private static func newsWhileAway(_ subject: some MonitorSubject) async throws {
        let host = RecordingMonitorHost()
        try await watch(subject, host) { try await host.waitForWatching() }
        try await subject.deliver(TestNews("while away", id: "away"))
        try await watch(subject, host) {
            try await news(1, host, subject)
            try await host.waitForWatching(2)
        }
        try await watch(subject, host) { try await host.waitForWatching(3) }
        try require(host.rung.map(\.title) == ["while away"], "rang for \(host.rung.map(\.title))")
    }

    private static func doubledWakeUp(_ subject: some MonitorSubject) async throws {
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.deliver(TestNews("one", id: "one"))
            try await news(1, host, subject)
            for _ in 1...3 { try await subject.wakeWithoutNews() }
            try await subject.deliver(TestNews("two", id: "two"))
            try await news(2, host, subject)
        }
        try require(host.rung.map(\.title) == ["one", "two"], "rang for \(host.rung.map(\.title))")
    }

    private static func lostWakeUp(_ subject: some MonitorSubject) async throws {
        let host = RecordingMonitorHost()
        try await subject.setLosesWakeUps(true)
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.deliver(TestNews("unannounced", id: "unannounced"))
            try await news(1, host, subject)
        }
    }

    // MARK: Read elsewhere

    private static func readElsewhere(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.tellsRead) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            let key = try await oneItem(host, subject)
            try await subject.markRead(key)
            try await passing(subject, "\(key) seen, not \(host.seen)") { host.seen == [key] }
        }
        try require(host.gone.isEmpty, "a message read is not gone")
    }

    private static func deletedElsewhere(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.tellsGone) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            let key = try await oneItem(host, subject)
            try await subject.remove(key)
            try await passing(subject, "\(key) gone, not \(host.gone)") { host.gone == [key] }
        }
    }

    // MARK: Failures

    private static func invalidCursor(_ subject: some MonitorSubject) async throws {
        for text in ["", "rubbish", #"{"v":99}"#] {
            let host = RecordingMonitorHost(cursor: Array(text.utf8))
            try await watch(subject, host) { try await host.waitForFailures() }
            try require(host.failures.map(\.code) == [.cursorInvalid], "\(host.failures) for the cursor '\(text)'")
            try require(host.batches == 0, "emitted something")
        }
    }

    private static func refusedPassword(_ subject: some MonitorSubject) async throws {
        guard let wrong = subject.wrongCredentials else { return }
        let before = try await subject.loginAttempts()
        let host = RecordingMonitorHost()
        try await MonitorRun.during(subject.monitor, credentials: wrong, host: host) {
            try await host.waitForFailures()
        }
        try require(host.failures.map(\.code) == [.authFailed], "\(host.failures)")
        let attempts = try await subject.loginAttempts() - before
        try require(attempts == 1, "\(attempts) attempts with a refused password")
        for secret in wrong.values where host.failures[0].message.contains(secret.exposed) && secret.bytes.count > 5 {
            throw ConformanceViolation("the failure shows a credential")
        }
    }

    private static func serverAwayAndBack(_ subject: some MonitorSubject) async throws {
        guard subject.abilities.contains(.server) else { return }
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.setServerRunning(false)
            try await passing(subject, "a failure") { !host.failures.isEmpty }
            try await subject.setServerRunning(true)
            try await subject.deliver(TestNews("back", id: "back"))
            try await news(1, host, subject)
        }
        let unexpected = host.failures.filter {
            $0.code != .network && $0.code != .sourceGone && $0.code != .authTemporary
        }
        try require(unexpected.isEmpty, "\(unexpected)")
        try require(host.rung.map(\.title) == ["back"], "rang for \(host.rung.map(\.title))")
    }

    // MARK: Bad mail

    private static func hugeSubject(_ subject: some MonitorSubject) async throws {
        let long = String(repeating: "x", count: 200_000)
        let items = try await bracketed(subject, TestNews(long, id: "huge"))
        try require((items[0].title ?? "").utf8.count <= 4_096, "a title of \(items[0].title?.utf8.count ?? 0) bytes")
    }

    private static func nulByte(_ subject: some MonitorSubject) async throws {
        let items = try await bracketed(subject, TestNews("a\0b", id: "nul"))
        let controls = (items[0].title ?? "").unicodeScalars.filter { $0.value < 0x20 || $0.value == 0x7F }
        try require(controls.isEmpty, "control characters in a title")
    }

    private static func unknownCharset(_ subject: some MonitorSubject) async throws {
        let items = try await bracketed(
            subject,
            TestNews("\u{FFFD} 你好", header: Array("=?x-klingon-9?B?/v79?= =?gb18030?B?xOO6ww==?=".utf8), id: "charset"))
        try require(items[0].title?.contains("你好") == true, "the title is \(items[0].title ?? "none")")
    }

    /// The bad message and a good one after it, which must ring too.
    private static func bracketed(_ subject: some MonitorSubject, _ bad: TestNews) async throws -> [Item] {
        let host = RecordingMonitorHost()
        return try await watch(subject, host) {
            try await host.waitForWatching()
            try await subject.deliver(bad)
            try await news(1, host, subject)
            try await subject.deliver(TestNews("good", id: "good"))
            let items = try await news(2, host, subject)
            try require(items[1].title == "good", "the next message's title is \(items[1].title ?? "none")")
            return items
        }
    }

    // MARK: Load and end

    private static func slowHost(_ subject: some MonitorSubject) async throws {
        let count = 600
        let host = RecordingMonitorHost()
        try await watch(subject, host) {
            try await host.waitForWatching()
            host.isClosed = true
            for number in 0..<count { try await subject.deliver(TestNews("m\(number)", id: "m\(number)")) }
            host.isClosed = false
            try await news(count, host, subject)
        }
        try require(host.rung.count == count, "\(host.rung.count) items of \(count) messages")
        try require(host.largestBatch <= 500, "\(host.largestBatch) items in one batch")
        try require(host.largestCursor <= MonitorBatch.cursorLimit, "a cursor of \(host.largestCursor) bytes")
    }

    private static func cancellation(_ subject: some MonitorSubject) async throws {
        for number in 1...3 {
            let host = RecordingMonitorHost()
            // Returns only when `watch` has.
            try await watch(subject, host) { if number > 1 { try await host.waitForWatching() } }
            try require(host.failures.isEmpty, "a cancelled monitor reported \(host.failures)")
        }
    }

    // MARK: Tools

    @discardableResult
    static func watch<Result: Sendable>(
        _ subject: some MonitorSubject, _ host: RecordingMonitorHost,
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host, body: body)
    }

    private static func oneItem(_ host: RecordingMonitorHost, _ subject: some MonitorSubject) async throws -> String {
        try await host.waitForWatching()
        try await subject.deliver(TestNews("one", id: "one"))
        return try await news(1, host, subject)[0].key
    }

    @discardableResult
    static func news(
        _ count: Int, _ host: RecordingMonitorHost, _ subject: some MonitorSubject
    ) async throws -> [Item] {
        try await passing(subject, "\(count) items, not \(host.rung.count); failures: \(host.failures)") {
            host.rung.count >= count
        }
        return host.rung
    }

    /// Waits while the subject's time passes, slower than a monitor needs for one step.
    static func passing(
        _ subject: some MonitorSubject, _ what: @autoclosure () -> String, until condition: () -> Bool
    ) async throws {
        var questions = 0
        try await Eventually.wait(what(), for: .seconds(60)) {
            if condition() { return true }
            questions += 1
            if questions % 20 == 0 { try await subject.passTime() }
            return false
        }
    }

    static func require(_ condition: Bool, _ what: @autoclosure () -> String) throws {
        if !condition { throw ConformanceViolation(what()) }
    }
}
