import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("right thing at the right time", .timeLimit(.minutes(2)))
struct PushTests {
    /// A device with a second channel, at the service `browser`.
    private func ladder(_ test: TestGateway) async throws -> Device {
        let phone = try await test.device()
        var update = Devices.Update()
        update.furtherChannels = [("browser", .token("alice@example.org"))]
        return try await test.gateway.devices.update(phone.id, of: "alice", update)
    }

    /// A push service that takes one at a time, and no grouping.
    private static func slowPhone() -> (TestGateway.Parts, RecordingPushAdapter) {
        var parts = TestGateway.Parts()
        let slow = RecordingPushAdapter(concurrency: 1)
        parts.pushes["phone"] = slow
        parts.notify.group = .zero
        return (parts, slow)
    }

    @Test("IM-6 a message that was edited goes on to the next channel when the account has chosen")
    func editedGoesOn() async throws {
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        parts.notify.targets = .escalate([], after: .seconds(20))
        try await TestGateway.run(parts) { test in
            _ = try await ladder(test)
            let bob = try await test.device("bob")
            var order = SendOrder(to: [.account("alice")])
            order.body = Array("first".utf8)
            let postings = try test.gateway.postmaster.prepare(order, by: .device(bob))
            let key = try #require(try await test.gateway.postmaster.send(postings).first).key
            try await test.push.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            _ = try await test.gateway.conversations.edit(
                key, by: .account("bob"), subject: nil, body: Array("second".utf8))
            try await test.push.pushes.wait(count: 2)
            try await test.waitUntilIdle()
            try await test.advance(by: .seconds(15))
            #expect(test.push("browser").pushes.count == 0)
            // Less than the minute of those who have not chosen.
            try await test.advance(by: .seconds(10))
            try await test.push("browser").pushes.wait(count: 1)
        }
    }

    @Test("messages that come together, more than a step takes, leave once each and in order; one read before does not")
    func together() async throws {
        let (parts, slow) = Self.slowPhone()
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let postings = (0..<2 * Notifier.announcedAtOnce + 3).map { _ in
                Posting(MessageDraft(sender: .account("bob"), app: "mail"), to: .account("alice"))
            }
            let posted = try await test.gateway.mailroom.post(postings).compactMap(\.message)
            let read = posted[Notifier.announcedAtOnce + 1].key
            try await test.gateway.messages.read(read, by: phone)
            let decisions = test.gateway.messages.accepted(posted)
            let expected = posted.map(\.key).filter { $0 != read }
            try await Eventually.wait("all have left") { slow.alerts.count >= expected.count }
            try await test.waitUntilIdle()
            #expect(slow.alerts.map(\.message) == expected)
            #expect(decisions == Dictionary(uniqueKeysWithValues: expected.map { ($0, .push) }))
        }
    }

    @Test("pushes that end together are noted once each, and told in the log")
    func endTogether() async throws {
        let count = 2 * Notifier.announcedAtOnce + 3
        var parts = TestGateway.Parts()
        let service = RecordingPushAdapter(concurrency: count)
        parts.pushes["phone"] = service
        parts.notify.group = .zero
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            service.hold()
            let postings = (0..<count).map { _ in
                Posting(MessageDraft(sender: .account("bob"), app: "mail"), to: .account("alice"))
            }
            let posted = try await test.gateway.mailroom.post(postings).compactMap(\.message)
            _ = test.gateway.messages.accepted(posted)
            try await service.pushes.wait(count: count)
            service.release()
            try await test.waitUntilIdle()
            let keys = posted.map(\.key)
            let deliveries = try await test.store.deliveries(of: keys)
            #expect(deliveries.map(\.message).sorted() == keys)
            for delivery in deliveries {
                #expect(delivery.outcome == .pushed)
                #expect(delivery.notification == test.gateway.identities.notification(delivery.message, phone.id))
            }
            let told = test.log.records(of: .notificationSent).compactMap { $0.fields["messageId"] }
            #expect(Set(told).count == count && told.count == count)
        }
    }

    @Test("the badge is what is unread when the push leaves its lane, not when it came there")
    func badge() async throws {
        let (parts, slow) = Self.slowPhone()
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            slow.hold()
            let first = try await test.news(registration, "1")
            try await slow.pushes.wait(count: 1)
            try await test.news(registration, "2")
            try await test.news(registration, "3")
            try await Eventually.wait("two wait") { test.gateway.dispatcher.statistics().contains { $0.waiting == 2 } }
            try await test.gateway.messages.read(first, by: phone)
            slow.release()
            try await Eventually.wait("both left") { slow.alerts.count == 3 }
            #expect(slow.alerts.map(\.badge) == [1, 2, 2])
        }
    }

    @Test(
        "a push that waits in its lane is sent no more once its own device has read the message",
        arguments: [true, false])
    func readMeanwhile(isConnected: Bool) async throws {
        let (parts, slow) = Self.slowPhone()
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            slow.hold()
            _ = try await test.post()
            try await slow.pushes.wait(count: 1)
            let second = try await test.post()
            try await Eventually.wait("one waits") { test.gateway.dispatcher.statistics().contains { $0.waiting == 1 } }
            if isConnected { _ = try await test.connect(phone, after: 0) }
            try await test.gateway.messages.read(second.key, by: phone)
            slow.release()
            try await test.waitUntilIdle()
            try await test.advance(by: .seconds(1))
            #expect(!slow.alerts.map(\.message).contains(second.key))
        }
    }

    @Test("a message that takes another's place replaces its notification, and the older one is sent no more")
    func update() async throws {
        let (parts, slow) = Self.slowPhone()
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            func send(_ subject: String, _ collapse: String?) async throws -> MessageKey {
                var order = SendOrder(to: [.account("alice")])
                (order.subject, order.collapse) = (subject, collapse)
                let postings = try test.gateway.postmaster.prepare(order, by: .app("talk"))
                return try #require(try await test.gateway.postmaster.send(postings).first).key
            }
            _ = try await send("one", "build")
            try await slow.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            slow.hold()
            _ = try await send("other", nil)
            try await slow.pushes.wait(count: 2)
            _ = try await send("two", "build")
            let last = try await send("three", "build")
            slow.release()
            try await test.waitUntilIdle()
            #expect(slow.alerts.map(\.body) == ["one", "other", "three"])
            #expect(slow.alerts[0].collapse == slow.alerts[2].collapse && slow.alerts[0].collapse.utf8.count <= 64)
            #expect(slow.alerts[1].collapse != slow.alerts[0].collapse)
            #expect(slow.clears.isEmpty && slow.alerts[2].badge == 2)
            try await test.restart()
            try await test.gateway.messages.read(last, by: try await test.device("alice", "tablet", adapter: nil))
            try await Eventually.wait("taken back") { slow.clears.count == 1 }
            guard case .clear(let ids, let collapse, let badge)? = slow.pushes.last?.content else { return }
            #expect(ids == [slow.alerts[2].id] && collapse == slow.alerts[2].collapse && badge == 1)
            _ = phone
        }
    }

    @Test("one that takes the place of a message and is not told there: the older notification is taken away")
    func updateElsewhere() async throws {
        try await TestGateway.run { test in
            try await test.device()
            func send(_ subject: String, in wait: Duration?) async throws {
                var order = SendOrder(to: [.account("alice")])
                (order.subject, order.collapse) = (subject, "build")
                order.notBefore = wait.map { test.time.timestamp + $0 }
                _ = try await test.gateway.postmaster.send(
                    try test.gateway.postmaster.prepare(order, by: .app("talk")))
            }
            try await send("one", in: nil)
            try await test.push.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            try await send("two", in: .seconds(3600))
            try await Eventually.wait("taken away") { test.push.clears == [[test.push.alerts[0].id]] }
        }
    }

    @Test("an address the service calls dead is removed, and the account's devices are told, also later")
    func pruned() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let tablet = try await test.device("alice", "tablet", adapter: nil)
            let registration = try await test.watched(
                phone, notify: NotifyPreferences(targets: .devices([phone.id])))
            let stream = try await test.connect(tablet)
            test.push.answer(PushReport(.gone(since: nil), status: 410, reason: "Unregistered"))
            try await test.news(registration, "1")
            try await test.waitForLog(.devicePruned)
            #expect(test.gateway.devices.device(phone.id)?.channel == nil)
            let expected = #"{"device":"\#(phone.id)","state":"pruned","push":"phone","reason":"Unregistered"}"#
            try await Eventually.wait("the event") { stream.stored(.device) == [expected] }
            try await test.restart()
            let later = try await test.connect(phone, after: 0)
            try await Eventually.wait("the replay") { later.stored(.device) == [expected] }
        }
    }

    @Test(
        "no other verdict takes an address away, nor one from before the device told us the address",
        arguments: [
            PushOutcome.rejected, .retry(after: .seconds(1), .device), .retry(after: .seconds(1), .service),
            .credential,
            .gone(since: Timestamp(seconds: 1)),
        ])
    func kept(outcome: PushOutcome) async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            test.push.answer(PushReport(outcome, status: 400, reason: "Whatever"))
            try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            try await test.waitForLog(
                outcome == .rejected || outcome == .gone(since: Timestamp(seconds: 1))
                    ? .notificationFailed : outcome == .credential ? .pushBreakerOpened : .notificationRetry)
            #expect(test.gateway.devices.device(phone.id)?.channel != nil)
            #expect(test.log.records(of: .devicePruned).isEmpty)
        }
    }

    @Test("nobody acknowledges: the device's next channel, with the same notification, also over a restart")
    func nextChannel() async throws {
        try await TestGateway.run { test in
            let phone = try await ladder(test)
            let registration = try await test.watched(phone)
            let key = try await test.news(registration, "1")
            try await test.push.pushes.wait(count: 1)
            try await test.waitUntilIdle()
            try await test.advance(by: .seconds(40))
            try await test.crash()
            try await test.waitForWatching(registration.id)
            try await test.advance(by: .seconds(59))
            #expect(test.push("browser").pushes.count == 0)
            try await test.advance(by: .seconds(2))
            let pushes = try await test.push("browser").pushes.wait(count: 1)
            #expect(pushes[0].address == .token("alice@example.org"))
            #expect(pushes[0].id == test.push.pushes.last?.id)
            #expect(test.push("browser").alerts.first?.collapse == test.push.alerts.last?.collapse)
            #expect(test.push.pushes.count == 1)
            try await test.waitUntilIdle()
            #expect(try await test.store.deliveries(of: [key]).map(\.adapter) == ["browser"])
            try await test.crash()
            try await test.waitForWatching(registration.id)
            try await test.advance(by: .seconds(130))
            #expect(test.push("browser").pushes.count == 1 && test.push.pushes.count == 1)
            try await test.gateway.messages.read(key, by: try await test.device("alice", "tablet"))
            try await Eventually.wait("the first is taken back") { test.push.clears.count == 1 }
        }
    }

    @Test("a dead first channel: the next one at once, and only the dead one is removed")
    func deadChannel() async throws {
        try await TestGateway.run { test in
            let phone = try await ladder(test)
            let registration = try await test.watched(phone)
            test.push.answer(PushReport(.gone(since: nil), status: 410))
            let key = try await test.news(registration, "1")
            try await test.push("browser").pushes.wait(count: 1)
            try await test.waitForDecision(key, "push channel_failed")
            let device = test.gateway.devices.device(phone.id)
            #expect(device?.channel == nil && device?.furtherChannels.map(\.adapter) == ["browser"])
            // From now on it is the device's only one.
            try await test.news(registration, "2")
            try await test.advance(by: .seconds(31))
            try await test.push("browser").pushes.wait(count: 2)
        }
    }

    @Test("words in the device's language, else the account's, else the configured one")
    func languages() async throws {
        var parts = TestGateway.Parts()
        parts.notify.group = .zero
        try await TestGateway.run(parts) { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone, notify: NotifyPreferences(summary: .hint))
            func said(_ key: String) async throws -> [String?] {
                try await test.news(registration, key)
                try await test.waitUntilIdle()
                return [test.push.alerts.last?.body, test.push.pushes.last?.locale]
            }
            #expect(try await said("1") == ["You have a message", "en"])
            try await test.gateway.accounts.setLocale("alice", "zh_CN")
            #expect(try await said("2") == ["您有一条新消息", "zh-CN"])
            var update = Devices.Update()
            update.locale = .some("en-GB")
            _ = try await test.gateway.devices.update(phone.id, of: "alice", update)
            #expect(try await said("3") == ["You have a message", "en-GB"])
            _ = try await test.gateway.devices.test(phone.id)
            #expect(test.push.alerts.last?.body == "This is a test notification")
        }
    }
}
