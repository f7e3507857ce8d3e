import Base
import Gateway
import GatewayTestKit
import Glibc
import Testing

@testable import ExecMonitor

/// The monitor with the examples that it ships, which watch a folder.
final class ExecSubject: MonitorSubject {
    static let examples = "/" + #filePath.split(separator: "/").dropLast(2).joined(separator: "/") + "/Examples"
    static let password = "correct horse"

    let home: TemporaryFolder
    let execMonitor: ExecMonitor
    let contract: ExecMonitor.Contract
    let logged: RecordingLogSink? = RecordingLogSink()
    let credentials = ["password": Secret(ExecSubject.password)]
    var wrongCredentials: [String: Secret]? { ["password": Secret("not the password")] }
    var monitor: any Monitor { execMonitor }
    private let count = Locked(0)

    init(_ contract: ExecMonitor.Contract) throws {
        self.contract = contract
        home = try TemporaryFolder()
        _ = unsafe mkdir(home.file("spool"), 0o755)
        try home.write(Self.password, to: "spool/.password")
        // Says nonsense when it is told to, and is the example otherwise.
        let example = contract == .stream ? "watch-folders.py" : "look-once.sh"
        try home.write(
            "#!/bin/sh\n[ ! -e \(home.path)/nonsense ] || echo 'no json'\nexec \(Self.examples)/\(example)\n",
            to: "program")
        _ = unsafe chmod(home.file("program"), 0o755)
        var settings = ExecMonitor.Settings(
            command: ChildProgram.Command(
                home.file("program"),
                environment: ExecMonitorPlugin.basicEnvironment.merging(["INTERVAL": "0.05"]) { $1 }))
        settings.command.limits = .init(memoryBytes: 1 << 30, openFiles: 256)
        settings.contract = contract
        settings.fields = [CredentialField("password", isSecret: true)]
        settings.config = [("folder", home.file("spool"))]
        settings.poll = contract == .stream ? .seconds(300) : .milliseconds(100)
        settings.heartbeat = .seconds(20)
        settings.timeout = .seconds(20)
        execMonitor = ExecMonitor(settings, time: SystemTime(), log: Log(sink: logged ?? RecordingLogSink()))
    }

    /// Neither contract has a wake-up that could be lost, but a server that can be. A run of the one-shot contract that
    /// says nothing is a hung one, which has a test of its own.
    var abilities: Set<MonitorAbility> {
        let lacking: Set<MonitorAbility> = contract == .stream ? [.silence] : [.silence, .tellsRead, .tellsGone]
        return Set(MonitorAbility.allCases).subtracting(lacking)
    }

    func deliver(_ news: TestNews) async throws {
        let number = count.withLock { count in
            count += 1
            return count
        }
        let name = "\(1_000_000 + number).json"
        let item: JSONObject = [
            "key": .string(name), "title": .string(news.subject), "sender": .string(news.sender),
            "senderAddress": .string(news.senderAddress), "contentKey": .string("\(news.id)@example.org"),
            "time": .string(news.time),
        ]
        // Whole or not there.
        try home.write(JSON.object(item).serialized + "\n", to: "spool/.new")
        _ = unsafe rename(home.file("spool/.new"), home.file("spool/\(name)"))
    }

    func markRead(_ key: String) async throws {
        _ = unsafe rename(home.file("spool/\(key)"), home.file("spool/\(key).seen"))
    }
    func remove(_ key: String) async throws { _ = unsafe unlink(home.file("spool/\(key)")) }
    func wakeWithoutNews() async throws {}
    func setLosesWakeUps(_ loses: Bool) async throws {}
    func passTime() async throws {}
    func setServerRunning(_ running: Bool) async throws {
        let (here, away) = (home.file("spool"), home.file("away"))
        _ = unsafe running ? rename(away, here) : rename(here, away)
    }
    func loginAttempts() async throws -> Int {
        (FileSystem.contents(of: home.file("spool/.logins"), limit: 1 << 20) ?? []).count { $0 == 10 }
    }
    func throttle(seconds: Int) async throws { try home.write("\(seconds)\n", to: "spool/.busy") }
    func setNonsense(_ nonsense: Bool) async throws {
        if nonsense {
            try home.write("", to: "nonsense")
            // It is started anew, and says it then.
            if let processID = execMonitor.hub.processID { _ = kill(processID, SIGTERM) }
        } else {
            _ = unsafe unlink(home.file("nonsense"))
        }
    }
}

/// One after the other: programs that look ten times a second, forty of them, would starve the tests beside them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct ExecConformanceTests {
    @Test(
        "the exec monitor keeps the contract, with both of its examples",
        arguments: MonitorConformance.Check.allCases, ExecMonitor.Contract.allCases)
    func conformance(check: MonitorConformance.Check, contract: ExecMonitor.Contract) async throws {
        let subject = try ExecSubject(contract)
        try await MonitorConformance.run(check, subject)
    }
}
