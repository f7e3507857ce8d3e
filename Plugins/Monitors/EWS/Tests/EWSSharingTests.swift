import Base
import Gateway
import GatewayTestKit
import Outbound
import Testing

@testable import EWSMonitor

/// Many mailboxes on few connections, and what happens to those.
@Suite(.timeLimit(.minutes(2))) struct EWSSharingTests {
    /// Watches accounts `u0`, `u1` … beside a body, as the gateway does.
    private func watching(
        _ count: Int, _ subject: EWSSubject,
        _ body: @escaping @Sendable ([RecordingMonitorHost]) async throws -> Void
    ) async throws {
        let hosts = (0..<count).map { _ in RecordingMonitorHost() }
        try await withThrowingTaskGroup(of: Bool.self) { tasks in
            tasks.addTask {
                try await subject.monitor.run()
                return false
            }
            for (number, host) in hosts.enumerated() {
                tasks.addTask {
                    while !Task.isCancelled {
                        let target = MonitorTarget(
                            registration: RegistrationID("r\(number)"), account: AccountID("u\(number)"),
                            credentials: [:], cursor: host.cursor)
                        do {
                            try await subject.monitor.watch(target, host: host)
                        } catch let failure as MonitorFailure {
                            host.failed(failure)
                            if failure.code == .authFailed { break }
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    }
                    return false
                }
            }
            tasks.addTask {
                try await body(hosts)
                return true
            }
            defer { tasks.cancelAll() }
            while let isDone = try await tasks.next() { if isDone { return } }
        }
    }

    @Test("24 mailboxes share three connections of at most ten; each gets its own news only")
    func sharing() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic) { $0.stream.capacity = 10 }
            try await watching(24, subject) { hosts in
                try await Eventually.wait("all watch") { hosts.allSatisfy { $0.watchingCount > 0 } }
                for number in 0..<24 {
                    subject.exchange.deliver(TestNews("for \(number)", id: "n\(number)"), to: "u\(number)@example.org")
                }
                try await Eventually.wait("all rang", for: .seconds(30)) { hosts.allSatisfy { $0.rung.count == 1 } }
                for (number, host) in hosts.enumerated() { #expect(host.rung.map(\.title) == ["for \(number)"]) }
                try await Eventually.wait("three streams") { subject.exchange.openStreams == 3 }
            }
            #expect(subject.exchange.largestStream == 10)
            #expect(subject.exchange.violations == [])
        }
    }

    @Test("the server's time for an answer is over: a new one, and no subscription is lost")
    func reopening() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic)
            try await watching(2, subject) { hosts in
                // What comes before the first comparison is no news.
                try await Eventually.wait("both watch") { hosts.allSatisfy { $0.watchingCount > 0 } }
                for round in 1...3 {
                    try await Eventually.wait("a stream") { subject.exchange.openStreams == 1 }
                    subject.exchange.endStreams()
                    subject.exchange.deliver(TestNews("\(round)", id: "n\(round)"), to: "u0@example.org")
                    try await Eventually.wait("it rang") { hosts[0].rung.count == round }
                }
                #expect(hosts.allSatisfy { $0.failures.isEmpty })
            }
            #expect(subject.exchange.count(of: "Subscribe") == 2)
        }
    }

    @Test("an event sent into a connection that breaks: the mailbox is compared when the next one stands")
    func lostInBreak() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic) { $0.stream.reconcile = .seconds(600) }
            try await watching(1, subject) { hosts in
                try await Eventually.wait("watched") {
                    hosts[0].watchingCount > 0 && subject.exchange.watchedSubscriptions == 1
                }
                subject.exchange.setLosesWakeUps(true)
                subject.exchange.deliver(TestNews("n", id: "n"), to: "u0@example.org")
                subject.exchange.setLosesWakeUps(false)
                try await subject.exchange.cutConnections()
                try await Eventually.wait("it rang") { hosts[0].rung.count == 1 }
                #expect(hosts[0].failures.isEmpty)
            }
            #expect(subject.exchange.count(of: "Subscribe") == 1)
        }
    }

    @Test("an event sent into a connection that was closed for another member: compared when the next one stands")
    func lostInReopening() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic) { $0.stream.reconcile = .seconds(600) }
            let late = RecordingMonitorHost()
            try await watching(2, subject) { hosts in
                try await Eventually.wait("both watched") { subject.exchange.watchedSubscriptions == 2 }
                subject.exchange.setLosesWakeUps(true)
                subject.exchange.deliver(TestNews("n", id: "n"), to: "u1@example.org")
                subject.exchange.setLosesWakeUps(false)
                let target = MonitorTarget(
                    registration: "late", account: "late", credentials: [:], cursor: nil)
                try await withThrowingTaskGroup(of: Void.self) { tasks in
                    tasks.addTask { try await subject.monitor.watch(target, host: late) }
                    tasks.addTask {
                        try await Eventually.wait("it rang") { hosts[1].rung.count == 1 }
                        try await Eventually.wait("all watched") { subject.exchange.watchedSubscriptions == 3 }
                    }
                    defer { tasks.cancelAll() }
                    try await tasks.next()
                }
                #expect(hosts.allSatisfy { $0.failures.isEmpty })
            }
            #expect(subject.exchange.violations == [])
        }
    }

    @Test("another server takes over: all subscribe anew, then compare; nothing is lost and nobody fails")
    func failover() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic) { $0.stream.reconcile = .seconds(600) }
            try await watching(5, subject) { hosts in
                try await Eventually.wait("a stream") {
                    hosts.allSatisfy { $0.watchingCount > 0 } && subject.exchange.openStreams == 1
                }
                try await subject.exchange.failOver()
                for number in 0..<5 {
                    subject.exchange.deliver(TestNews("n", id: "n\(number)"), to: "u\(number)@example.org")
                }
                try await Eventually.wait("all rang", for: .seconds(30)) { hosts.allSatisfy { $0.rung.count == 1 } }
                let failures = hosts.flatMap(\.failures).filter { $0.code != .network }
                #expect(failures.isEmpty)
            }
            #expect(subject.exchange.violations == [])
        }
    }

    @Test("the mailbox a connection is opened for is gone: the others go on with another")
    func anchorGone() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic) { $0.stream.reconcile = .seconds(600) }
            try await watching(4, subject) { hosts in
                try await Eventually.wait("a stream") {
                    hosts.allSatisfy { $0.watchingCount > 0 } && subject.exchange.openStreams == 1
                }
                subject.exchange.add([.response(code: "ErrorNonExistentMailbox")], for: "GetStreamingEvents")
                subject.exchange.endStreams()
                try await Eventually.wait("one failure") { hosts.contains { !$0.failures.isEmpty } }
                for number in 0..<4 {
                    subject.exchange.deliver(TestNews("n", id: "n\(number)"), to: "u\(number)@example.org")
                }
                try await Eventually.wait("all rang", for: .seconds(30)) { hosts.allSatisfy { $0.rung.count == 1 } }
                #expect(hosts.flatMap(\.failures).map(\.code) == [.sourceGone])
            }
        }
    }

    @Test("a refused service account is tried once, however many mailboxes wait for it")
    func refusedService() async throws {
        try await withClient { client in
            var options = FakeExchange.Options()
            options.login = .basic
            let exchange = try FakeExchange(options: options)
            defer { exchange.stop() }
            let login = HTTPRequest.Authentication(.basic, user: "svc", password: Secret("an old password"))
            var settings = EWSMonitor.Settings()
            settings.mailboxDomain = "example.org"
            let endpoint = EWSClient.Endpoint(
                url: "http://127.0.0.1:\(exchange.port)/EWS/Exchange.asmx", pool: "ews/test")
            let monitor = EWSMonitor(
                settings, .service(.password(login)), endpoint, transport: client, time: SystemTime())
            let failures = try await withThrowingTaskGroup(of: MonitorFailure?.self) { tasks in
                for number in 0..<20 {
                    tasks.addTask {
                        let target = MonitorTarget(
                            registration: RegistrationID("r\(number)"), account: AccountID("u\(number)"),
                            credentials: [:], cursor: nil)
                        do {
                            try await monitor.watch(target, host: RecordingMonitorHost())
                            return nil
                        } catch let failure as MonitorFailure {
                            return failure
                        }
                    }
                }
                return try await tasks.reduce(into: [MonitorFailure?]()) { $0.append($1) }
            }
            #expect(failures.count == 20 && failures.allSatisfy { $0?.code == .authFailed })
            #expect(exchange.attempts == 1)
        }
    }

    @Test("a sync state the server has forgotten makes the cursor invalid; a message gone in between is no news")
    func forgotten() async throws {
        try await withClient { client in
            let subject = try EWSSubject(client, .serviceBasic)
            try await watching(1, subject) { hosts in
                try await Eventually.wait("watching") { hosts[0].watchingCount > 0 }
                hosts[0].isClosed = true
                let id = subject.exchange.deliver(TestNews("brief", id: "brief"), to: "u0@example.org")
                subject.exchange.remove(id, from: "u0@example.org")
                hosts[0].isClosed = false
                subject.exchange.deliver(TestNews("stays", id: "stays"), to: "u0@example.org")
                try await Eventually.wait("it rang") { hosts[0].rung.contains { $0.title == "stays" } }
                subject.exchange.forgetSyncStates(of: "u0@example.org")
                try await Eventually.wait("a failure") { !hosts[0].failures.isEmpty }
                #expect(hosts[0].failures[0].code == .cursorInvalid)
            }
        }
    }
}
