import Base
import Gateway
import MonitorTools
import GatewayTestKit
import Outbound
import Testing

@testable import GraphMonitor

/// A watch whose mailbox is subscribed to.
private struct Notified: Sendable {
    let subject: GraphSubject
    let host: RecordingMonitorHost
    var graph: FakeGraph { subject.graph }

    static func run(_ body: @escaping @Sendable (Notified) async throws -> Void) async throws {
        try await withClient { client in
            let subject = try GraphSubject(client, isService: true, isNotified: true)
            let notified = Notified(subject: subject, host: RecordingMonitorHost())
            try await MonitorRun.during(subject.monitor, credentials: [:], host: notified.host) {
                try await notified.settle(1)
                try await body(notified)
            }
            #expect(subject.graph.violations == [] && notified.host.failures == [])
        }
    }

    /// Returns when so many subscriptions were made, the mailbox was looked at behind that, and the watch waits.
    func settle(_ made: Int) async throws {
        let heard = host.heardCount
        try await Eventually.wait("\(made) subscriptions; \(graph.violations)") {
            graph.subscriptionCounts.made >= made && host.heardCount >= max(heard, made + 1)
        }
        try await subject.time.waitForSleepers(1)
        subject.time.advance(by: GraphMonitor.gap)
    }

    func tell(_ body: [UInt8], method: String = "POST") async throws -> InboundAnswer {
        let call = InboundCall(method: method, body: body) { _ in nil }
        return try await #require(subject.monitor as? GraphMonitor).receive(call, desk: NoDesk())
    }

    var subscription: String { graph.subscriptions.first ?? "" }
}

private struct NoDesk: InboundDesk {
    func accept(_ batch: MonitorBatch, for account: AccountID) async throws {
        throw ConformanceViolation("a notification carries no news")
    }
}

@Suite(.timeLimit(.minutes(1))) struct GraphNoticeTests {
    @Test("Graph's question whether the address is ours is answered as it stands, up to a limit; not where it is off")
    func validation() async throws {
        try await withClient { client in
            func ask(_ token: String, isNotified: Bool = true) async throws -> InboundAnswer? {
                let subject = try GraphSubject(client, isService: true, isNotified: isNotified)
                let call = InboundCall(method: "POST", query: [("validationToken", token)], body: []) { _ in nil }
                return try await (subject.monitor as? GraphMonitor)?.receive(call, desk: NoDesk())
            }
            let token = "Validation: <b> Testing & more \u{E9}"
            let echo = try await ask(token)
            #expect(echo == .text(token))
            let long = String(repeating: "x", count: InboundAnswer.textLimit + 1)
            await #expect(throws: InboundRefusal.self) { try await ask(long) }
            await #expect(throws: InboundRefusal.self) { try await ask("") }
            await #expect(throws: InboundRefusal.self) { try await ask(token, isNotified: false) }
        }
    }

    @Test(
        "a notification wakes the mailbox's look before the poll; doubled ones, forged ones and strangers' do nothing")
    func wakeUp() async throws {
        try await Notified.run { notified in
            let good = notified.graph.notification(of: notified.subscription)
            let before = notified.subject.time.now
            notified.graph.deliver(TestNews("one", id: "one"))
            let heard = notified.host.heardCount
            let forged = notified.graph.notification(of: notified.subscription, clientState: "guessed")
            await #expect(throws: InboundRefusal(.unauthorized, "the caller is not known here")) {
                try await notified.tell(forged)
            }
            let strange = try await notified.tell(notified.graph.notification(of: "another", clientState: "x"))
            #expect(strange == .accepted)
            await #expect(throws: InboundRefusal.self) { try await notified.tell(Array("{}".utf8)) }
            await #expect(throws: InboundRefusal.self) { try await notified.tell(good, method: "PUT") }
            #expect(notified.host.heardCount == heard && notified.host.rung.isEmpty)
            for _ in 0..<3 {
                let answer = try await notified.tell(good)
                #expect(answer == .accepted)
            }
            try await notified.host.waitForItems(1)
            #expect(notified.subject.time.now == before && notified.host.rung.map(\.title) == ["one"])
            #expect(notified.graph.subscriptionCounts == .init(made: 1))
        }
    }

    @Test("missed: a look; reauthorizationRequired: a renewal; subscriptionRemoved: another subscription")
    func lifecycle() async throws {
        try await Notified.run { notified in
            let graph = notified.graph
            let first = notified.subscription
            graph.deliver(TestNews("one", id: "one"))
            _ = try await notified.tell(graph.notification(of: first, lifecycle: "missed"))
            try await notified.host.waitForItems(1)
            _ = try await notified.tell(graph.notification(of: first, lifecycle: "reauthorizationRequired"))
            try await Eventually.wait("a renewal") {
                notified.subject.time.advance(by: GraphMonitor.gap)
                return graph.subscriptionCounts.renewed == 1
            }
            let removed = graph.notification(of: first, lifecycle: "subscriptionRemoved")
            graph.dropSubscription(first)
            _ = try await notified.tell(removed)
            try await Eventually.wait("another subscription") {
                notified.subject.time.advance(by: GraphMonitor.gap)
                return graph.subscriptionCounts.made == 2
            }
            #expect(notified.subscription != first && graph.subscriptionCounts == .init(made: 2, renewed: 1))
        }
    }

    @Test("a subscription is renewed at half its life, and made anew when Graph has none any more")
    func renewal() async throws {
        try await Notified.run { notified in
            let graph = notified.graph
            notified.subject.time.advance(by: SubscriptionPlan.lifetime / 2)
            try await Eventually.wait("a renewal") { graph.subscriptionCounts.renewed == 1 }
            try await notified.subject.time.waitForSleepers(1)
            graph.dropSubscription(notified.subscription)
            try await Eventually.wait("another subscription") {
                notified.subject.time.advanceToNextDeadline()
                return graph.subscriptionCounts.made == 2
            }
        }
    }

    @Test("who cannot subscribe polls at the old pace")
    func refused() async throws {
        try await withClient { client in
            let subject = try GraphSubject(client, isService: true, isNotified: true)
            subject.graph.setRefusesSubscriptions(true)
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: [:], host: host) {
                try await host.waitForWatching()
                subject.graph.deliver(TestNews("one", id: "one"))
                try await Eventually.wait("news") {
                    try await subject.passTime()
                    return host.rung.count == 1
                }
                #expect(host.failures.isEmpty && subject.graph.subscriptionCounts.made == 0)
            }
        }
    }

    @Test("who ends a watch ends its subscription")
    func ending() async throws {
        try await withClient { client in
            let subject = try GraphSubject(client, isService: true, isNotified: true)
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: [:], host: host) {
                try await Eventually.wait("a subscription") { subject.graph.subscriptionCounts.made == 1 }
                subject.graph.forgetLinks()
                try await Eventually.wait("its end") {
                    try await subject.passTime()
                    return subject.graph.subscriptionCounts.ended == 1
                }
            }
            #expect(host.failures.map(\.code) == [.cursorInvalid] && subject.graph.subscriptions.isEmpty)
        }
    }

    @Test("the plan: pauses double up to an hour, Graph's own word counts, and what has run out is dropped")
    func plan() {
        var plan = SubscriptionPlan()
        var now = Moment(nanoseconds: 1_000_000_000_000)
        #expect(plan.step(now: now) == .subscribe)
        for pause in [60, 120, 240, 480, 960, 1920, 3600, 3600] {
            plan.failed(now: now)
            #expect(plan.step(now: now + .seconds(pause - 1)) == .none)
            now = now + .seconds(pause)
            #expect(plan.step(now: now) == .subscribe)
        }
        plan.holds("a", for: .seconds(1000), now: now)
        #expect(plan.step(now: now + .seconds(499)) == .none && plan.step(now: now + .seconds(500)) == .renew("a"))
        plan.failed(now: now + .seconds(500), until: now + .seconds(900))
        #expect(plan.step(now: now + .seconds(899)) == .none && plan.step(now: now + .seconds(900)) == .renew("a"))
        plan.failed(now: now + .seconds(990))
        #expect(plan.due == now + .seconds(1000))
    }
}
