import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import MaildirMonitor

/// A Maildir on disk.
final class DiskSubject: MonitorSubject {
    private let folder: TemporaryFolder
    private let time: ManualTime
    private let state = Locked((usesInotify: true, number: 0))

    init() throws {
        folder = try TemporaryFolder()
        time = ManualTime(timestamp: SystemTime().timestamp)
        for name in ["alice", "alice/new", "alice/cur", "alice/tmp"] {
            #expect(FileSystem.createFolder(folder.file(name)))
        }
    }

    var monitor: any Monitor {
        var settings = MaildirMonitor.Settings(path: folder.file("{username}"))
        settings.usesInotify = state.withLock { $0.usesInotify }
        return MaildirMonitor(settings, time: time, log: Log(sink: NullLogSink()))
    }
    let credentials: [String: Secret] = [:]
    let wrongCredentials: [String: Secret]? = nil

    let abilities = Set(MonitorAbility.allCases).subtracting([.silence, .throttling, .nonsense])

    func deliver(_ news: TestNews) async throws {
        let number = state.withLock { state in
            state.number += 1
            return state.number
        }
        let name = "\(SystemTime().timestamp.seconds).M\(100_000 + number).host"
        try folder.write(news.mail, to: "alice/tmp/\(name)")
        try move("alice/tmp/\(name)", "alice/new/\(name)")
    }
    func markRead(_ key: String) async throws { try move("alice/new/\(key)", "alice/cur/\(key):2,S") }
    func remove(_ key: String) async throws { _ = unsafe unlink(folder.file("alice/new/\(key)")) }
    func wakeWithoutNews() async throws {
        try folder.write("x", to: "alice/new/.hidden")
        _ = unsafe unlink(folder.file("alice/new/.hidden"))
    }
    func setLosesWakeUps(_ loses: Bool) async throws { state.withLock { $0.usesInotify = !loses } }
    func passTime() async throws { if time.sleeperCount > 0 { time.advanceToNextDeadline() } }
    func setServerRunning(_ running: Bool) async throws {
        try running ? move("away", "alice") : move("alice", "away")
    }
    func loginAttempts() async throws -> Int { 0 }

    private func move(_ from: String, _ to: String) throws {
        guard unsafe rename(folder.file(from), folder.file(to)) == 0 else {
            throw PeerError(.file, FileSystem.lastError)
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct MaildirConformanceTests {
    @Test("the maildir monitor keeps the contract", arguments: MonitorConformance.Check.allCases)
    func conformance(check: MonitorConformance.Check) async throws {
        try await MonitorConformance.run(check, DiskSubject())
    }

    @Test("SG-4 a delivery is told at once, without a timer")
    func inotify() async throws {
        let subject = try DiskSubject()
        let host = RecordingMonitorHost()
        try await MonitorRun.during(subject.monitor, credentials: [:], host: host) {
            try await host.waitForWatching()
            try await subject.deliver(TestNews("at once", id: "1"))
            try await host.waitForItems(1)
        }
        #expect(host.rung.map(\.title) == ["at once"])
    }

    @Test(
        "a username cannot leave its place in the path",
        arguments: ["../bob", "a/b", ".", "..", ".hidden", "a\0b", "a\nb"])
    func unsafeName(name: String) async throws {
        let subject = try DiskSubject()
        let host = RecordingMonitorHost()
        try await MonitorRun.during(subject.monitor, credentials: [:], host: host, account: AccountID(name)) {
            try await host.waitForFailures()
        }
        #expect(host.failures.map(\.code) == [.authFailed])
        #expect(!MaildirMonitor.isSafe(name) && MaildirMonitor.isSafe("anna@example.org"))
    }

    @Test("a registration cannot name somebody else's mailbox")
    func foreignName() async throws {
        let subject = try DiskSubject()
        let host = RecordingMonitorHost()
        try await MonitorRun.during(
            subject.monitor, credentials: ["username": Secret("alice")], host: host, account: "mallory"
        ) {
            try await host.waitForFailures()
        }
        #expect(!host.failures.isEmpty && host.failures.allSatisfy { $0.code == .sourceGone })
    }

    @Test("a missing mailbox is gone, not a crash")
    func missing() async throws {
        let subject = try DiskSubject()
        let host = RecordingMonitorHost()
        try await MonitorRun.during(subject.monitor, credentials: [:], host: host, account: "bob") {
            try await host.waitForFailures(2)
        }
        #expect(host.failures.allSatisfy { $0.code == .sourceGone })
    }

    @Test("a link or pipe in the mailbox is neither followed nor waited for")
    func oddFiles() throws {
        let folder = try TemporaryFolder()
        #expect(FileSystem.createFolder(folder.file("new")))
        try folder.write("secret", to: "secret")
        #expect(unsafe symlink(folder.file("secret"), folder.file("new/link")) == 0)
        #expect(unsafe mkfifo(folder.file("new/pipe"), 0o600) == 0)
        let maildir = DiskMaildir(path: folder.path)
        #expect(maildir.beginning(of: "link", in: .new, limit: 100) == nil)
        #expect(maildir.beginning(of: "pipe", in: .new, limit: 100) == nil)
    }
}

@Suite struct MaildirConfigTests {
    static func read(_ text: String) throws(ConfigError) -> MaildirMonitor {
        try MaildirMonitor.configured(by: MaildirMonitorPlugin(), text)
    }

    @Test("the example configuration is valid")
    func example() throws {
        let monitor = try Self.read(try MaildirMonitorPlugin().example())
        #expect(monitor.upstream == "maildir:/srv/mail/{username}/Maildir")
        #expect(monitor.credentialFields.isEmpty)
    }

    @Test(
        "faults are reported with their place",
        arguments: [
            (#"{"monitor":{}}"#, "the key 'path' is missing"),
            (#"{"monitor":{"path":"/srv/mail"}}"#, "without {username}"),
            (#"{"monitor":{"path":"/{username}","seen":"read"}}"#, "not one of moved, flagged"),
            (#"{"monitor":{"path":"/{username}","pollSecond":3}}"#, "did you mean 'pollSeconds'?"),
        ])
    func faults(text: String, message: String) {
        #expect { try Self.read(text) } throws: { "\($0)".contains(message) }
    }
}
