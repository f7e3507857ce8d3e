import Base
import Gateway
import GatewayTestKit
import Testing

@testable import Daemon

/// `farbell monitor try` with a monitor that a test speaks for.
@Suite(.timeLimit(.minutes(2))) struct MonitorTryTests {
    private struct Setup {
        let monitor: ScriptedMonitor
        let said = Recorder<String>()
        let attempt: MonitorTry

        init(_ monitor: ScriptedMonitor = ScriptedMonitor(), app: String = "mail", account: String? = nil) throws {
            self.monitor = monitor
            var configuration = GatewayConfiguration()
            var mail = App(id: "mail", name: "Mail", monitorKind: "scripted", monitor: monitor)
            mail.ownAddresses = ["{username}"]
            configuration.apps = [mail, App(id: "desk", name: "Desk")]
            let said = said
            let environment = Environment(
                plugins: PluginCatalog(monitors: [], pushes: [], farms: []), variables: [:],
                print: { said.append($0) }, complain: { said.append("! \($0)") })
            attempt = try MonitorTry(app, account: account, configuration, environment)
        }

        /// Runs the command beside `body`, whose end is the signal.
        func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
            let credentials = ["username": Secret("alice@mail"), "password": Secret("open sesame")]
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { [attempt] in try await attempt.run(credentials) }
                group.addTask { try await body() }
                defer { group.cancelAll() }
                try await group.next()
            }
        }

        func wait(_ words: String) async throws {
            try await Eventually.wait("'\(words)' is said, not only \(said.all)") {
                said.all.contains { $0.contains(words) }
            }
        }
    }

    @Test("it says what would ring, what would be cleared, and what is the account's own; old items ring for nothing")
    func rings() async throws {
        let setup = try Setup()
        setup.monitor.isManual = true
        let (monitor, said) = (setup.monitor, setup.said)
        try await setup.run {
            try await monitor.emit("reg_try", .new(Item(key: "old", sender: "Eve", title: "Old")))
            try await monitor.watching("reg_try")
            try await monitor.emit("reg_try", .new(Item(key: "1", sender: "Bob", title: "Lunch\u{1B}[2J")))
            try await monitor.emit("reg_try", .new(Item(key: "1", sender: "Bob", title: "Lunch")))
            try await monitor.emit(
                "reg_try", .new(Item(key: "2", sender: "Alice", senderAddress: "alice@mail", title: "Mine")))
            try await monitor.emit("reg_try", .seen(key: "1"), .gone(key: "never"))
        }
        let lines = said.all
        #expect(
            lines.filter { $0.contains("would ring") } == [
                "  watching: what comes now would ring",
                "  would ring: New message from Bob | Lunch\\u{1b}[2J",
            ])
        #expect(lines.contains("  1 there already: they ring for nothing"))
        #expect(lines.contains { $0.hasPrefix("  your own, rings for nobody:") && $0.contains("Mine") })
        #expect(lines.filter { $0.contains("would be cleared") }.count == 1)
        #expect(!lines.joined().contains("open sesame"))
    }

    @Test("refused: one attempt, the cure, and 77") func refused() async throws {
        let setup = try Setup()
        setup.monitor.accept(only: "another")
        let error = await #expect(throws: DaemonError.self) { try await setup.run { await ShutdownSignal().wait() } }
        #expect(error?.code == .permission)
        #expect(setup.monitor.watches.count == 1)
        #expect(setup.said.all.contains { $0.contains("app password") })
        #expect(!setup.said.all.joined().contains("open sesame"))
    }

    @Test(
        "a first attempt that fails ends the command, with a status of sysexits.h",
        arguments: [
            (MonitorFailure.Code.network, Int32(69)), (.authTemporary, 69), (.sourceGone, 78),
            (.protocolViolation, 76), (.throttled(until: Moment(nanoseconds: 0)), 69),
        ])
    func fails(code: MonitorFailure.Code, status: Int32) async throws {
        let setup = try Setup()
        setup.monitor.isManual = true
        let monitor = setup.monitor
        let error = await #expect(throws: DaemonError.self) {
            try await setup.run {
                try await monitor.fail("reg_try", MonitorFailure(code, "the server said no"))
                await ShutdownSignal().wait()
            }
        }
        #expect(error?.code.rawValue == status)
        #expect(setup.said.all.contains("! mail: the server said no"))
        #expect(monitor.watches.count == 1)
    }

    @Test("a connection that is lost after it watched is made again, from where it was") func again() async throws {
        let setup = try Setup()
        let monitor = setup.monitor
        try await setup.run {
            try await monitor.emit("reg_try", .new(Item(key: "1", sender: "Bob")))
            try await monitor.fail("reg_try", MonitorFailure(.network, "connection lost"))
            try await monitor.watches.wait(count: 2)
            try await monitor.emit("reg_try", .new(Item(key: "1", sender: "Bob")), .new(Item(key: "2", sender: "Eve")))
        }
        #expect(monitor.watches.all.map { $0.cursor != nil } == [false, true])
        #expect(setup.said.all.count { $0.contains("would ring: New message") } == 2)
    }

    @Test("every failure has a cure of its own; the words for a network failure follow what happened")
    func cures() {
        let codes: [MonitorFailure.Code] = [
            .authFailed, .authTemporary, .throttled(until: Moment(nanoseconds: 0)), .network, .sourceGone,
            .cursorInvalid, .protocolViolation,
        ]
        #expect(Set(codes.map { MonitorAdvice(MonitorFailure($0, "x")).cure }).count == codes.count)
        let words = [
            "SSL certificate problem: self-signed": "caFile", "Could not resolve host": "DNS",
            "the connection timed out": "firewall", "connection refused": "server runs",
            "a private address": "allowHosts",
        ]
        for (message, cure) in words {
            #expect(MonitorAdvice(MonitorFailure(.network, message)).cure.contains(cure), "\(message)")
        }
    }

    @Test("an app that does not exist or is not watched is told before anything is asked")
    func unknownApp() {
        #expect { try Setup(app: "mial") } throws: { error in
            (error as? DaemonError)?.code == .usage && "\(error)".contains("did you mean 'mail'")
        }
        #expect { try Setup(app: "desk") } throws: { ($0 as? DaemonError)?.code == .configuration }
        #expect { try Setup(account: "a b") } throws: { ($0 as? DaemonError)?.code == .usage }
    }
}
