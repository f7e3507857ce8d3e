import Base
import Gateway
import GatewayTestKit
import Testing

/// A bridge in the test's hands: each run is a connection that stands until the test ends it.
private final class ScriptedBridge: Bridge {
    final class Inbox: BridgeInbox {
        let events = Recorder<(event: BridgeEvent, number: Int64?)>()
        let room = Locked(Int.max)

        func take(_ event: BridgeEvent, number: Int64?, for account: AccountID) -> Bool {
            let hasRoom = room.withLock { room in
                room -= 1
                return room >= 0
            }
            guard hasRoom || number == nil else { return false }
            events.append((event, number))
            return true
        }
        func drained() async {}

        var texts: [String] {
            events.all.compactMap {
                if case .message(let message) = $0.event { String(decoding: message.body, as: UTF8.self) } else { nil }
            }
        }
        var receipts: [ReceiptState] {
            events.all.compactMap { if case .receipt(_, let state) = $0.event { state } else { nil } }
        }
        var isEnded: Bool { events.all.contains { $0.number == nil } }
    }

    let hosts = Recorder<any BridgeHost>()
    private let failures = AsyncStream.makeStream(of: BridgeFailure.self)

    func run(_ host: any BridgeHost) async throws {
        host.connected()
        hosts.append(host)
        for await failure in failures.stream { throw failure }
        throw CancellationError()
    }

    func end(_ failure: BridgeFailure) { failures.continuation.yield(failure) }

    func host() async throws -> any BridgeHost {
        try await Eventually.value("the bridge's host") { self.hosts.all.last }
    }
}

@Suite(.timeLimit(.minutes(1))) struct BridgeTests {
    private func run(
        _ body: @escaping @Sendable (TestGateway, ScriptedBridge) async throws -> Void
    ) async throws {
        var parts = TestGateway.Parts()
        let bridge = ScriptedBridge()
        parts.configure = { $0.bridges = [ConfiguredBridge(name: "chat", kind: "scripted", bridge: bridge)] }
        try await TestGateway.run(parts) { test in try await body(test, bridge) }
    }

    /// Returns when the stream of alice's device of the bridge has caught up.
    private func live(_ test: TestGateway) async throws {
        try await Eventually.wait("the stream") {
            let device = test.gateway.devices.devices(of: "alice").first { $0.isBridge }
            return device.map { test.gateway.streams.isLive($0.id) } ?? false
        }
    }

    private func attach(
        _ host: any BridgeHost, _ account: AccountID = "alice", after: Int64 = 0
    ) async throws -> (inbox: ScriptedBridge.Inbox, isNew: Bool) {
        let inbox = ScriptedBridge.Inbox()
        return (inbox, try await host.attach(account, inbox, after: after))
    }

    @Test(
        "IM-7 IM-12 an account is linked once: what came before stays away, what comes later comes, also after a pause")
    func linking() async throws {
        try await run { test, bridge in
            try await test.account()
            try await test.post(body: "before")
            let host = try await bridge.host()
            let (first, isNew) = try await attach(host)
            #expect(isNew && host.linked() == ["alice"])
            try await test.post(body: "one")
            try await Eventually.wait("one") { first.texts == ["one"] }
            try await host.arrived("alice", upTo: try #require(first.events.all.last?.number))
            host.detach("alice")
            try await Eventually.wait("the end") { first.isEnded }
            try await test.post(body: "two")
            let (second, isNewAgain) = try await attach(host)
            #expect(!isNewAgain)
            try await Eventually.wait("two") { second.texts == ["two"] }
            // What the bridge has passed on does not come again.
            host.detach("alice")
            let (third, _) = try await attach(host, after: try #require(second.events.all.first?.number))
            try await test.post(body: "three")
            try await Eventually.wait("three") { third.texts == ["three"] }
        }
    }

    @Test("IM-7 what comes while an account is being linked comes through")
    func meanwhile() async throws {
        try await run { test, bridge in
            try await test.account()
            try await test.post(body: "before")
            let host = try await bridge.host()
            test.store.pause()
            let inbox = ScriptedBridge.Inbox()
            async let attached = host.attach("alice", inbox, after: 0)
            try await Eventually.wait("the device is on its way to the disk") { test.store.heldAnswers == 1 }
            async let posted = test.post(body: "meanwhile")
            try await Eventually.wait("the message, too") { test.store.heldAnswers == 2 }
            test.store.resume()
            #expect(try await attached)
            _ = try await posted
            try await Eventually.wait("the message") { inbox.texts == ["meanwhile"] }
        }
    }

    @Test("SG-12 a bridge's device is never rung and does not take the place of the one seen last")
    func neverRung() async throws {
        try await run { test, bridge in
            let phone = try await test.device()
            test.time.advance(by: .seconds(60))
            let (inbox, _) = try await attach(try await bridge.host())
            try await live(test)
            let message = try await test.post(body: "ring")
            try await test.waitForDecision(message.key, "push no_connection")
            try await Eventually.wait("the message") { inbox.texts == ["ring"] }
            #expect(test.decisions(message.key).count == 1 && test.decisions(message.key, phone).count == 1)
        }
    }

    @Test("IM-4 IM-6 what a linked user sends is the account's; its receipts come back; what is read is settled")
    func posting() async throws {
        try await run { test, bridge in
            try await test.account()
            let bob = try await test.device("bob", "desk", adapter: nil)
            let host = try await bridge.host()
            let (inbox, _) = try await attach(host)
            var message = BridgeMessage(from: "alice", to: .account("bob"), body: "hello")
            message.id = "phone/1"
            let key = try await host.post(message)
            #expect(try await host.post(message) == key, "the same id is the same message")
            let stored = try #require(try await test.store.message(key))
            #expect(stored.sender == .account("alice") && stored.address == .account("bob"))
            let stream = try await test.connect(bob)
            try await test.gateway.devices.acknowledge(bob.id, upTo: try #require(stream.numbers.last))
            try await test.gateway.messages.read(key, by: bob)
            try await Eventually.wait("the receipts") { inbox.receipts == [.delivered, .read] }
            let other = try await test.post(body: "for alice")
            try await host.read(other.key, by: "alice")
            #expect(!test.gateway.mailroom.isOpen(other.key))
            try await host.read(other.key, by: "alice")
            try await host.read(key, by: "alice")
        }
    }

    @Test("IM-7 accounts that are not linked, disabled, or gone can do nothing, and nothing goes to them")
    func notLinked() async throws {
        try await run { test, bridge in
            try await test.account()
            try await test.account("bob")
            let host = try await bridge.host()
            let message = BridgeMessage(from: "alice", to: .account("bob"), body: "x")
            await #expect(throws: GatewayError.self) { try await host.post(message) }
            await #expect(throws: GatewayError.self) { try await attach(host, "nobody") }
            let (inbox, _) = try await attach(host)
            try await test.gateway.setDisabled("alice", true)
            try await Eventually.wait("the end") { inbox.isEnded }
            #expect(host.account("alice") == nil && host.account("nobody") == nil && host.linked().isEmpty)
            await #expect(throws: GatewayError.self) { try await host.post(message) }
            await #expect(throws: GatewayError.self) { try await attach(host) }
        }
    }

    @Test("IM-7 deleting the device ends the link; no client may name its device as a bridge's")
    func devices() async throws {
        try await run { test, bridge in
            try await test.account()
            let host = try await bridge.host()
            let (inbox, _) = try await attach(host)
            let device = try #require(test.gateway.devices.devices(of: "alice").first)
            #expect(device.platform == "bridge" && device.isBridge && device.tokenHash == nil)
            try await test.gateway.devices.delete(device.id, of: "alice")
            try await Eventually.wait("the end") { inbox.isEnded }
            #expect(host.linked().isEmpty)
            let forged = Devices.Description(installation: "bridge/chat/alice", name: "x", platform: "ios")
            await #expect(throws: GatewayError.self) { try await test.gateway.devices.bind("alice", forged) }
        }
    }

    @Test("IM-7 an inbox without room ends its stream, and what it did not take comes when it is attached again")
    func overflow() async throws {
        try await run { test, bridge in
            try await test.account()
            let host = try await bridge.host()
            let (inbox, _) = try await attach(host)
            try await live(test)
            inbox.room.withLock { $0 = 2 }
            for text in ["1", "2", "3", "4"] { try await test.post(body: text) }
            try await Eventually.wait("the end") { inbox.isEnded }
            #expect(inbox.texts == ["1", "2"])
            let (second, _) = try await attach(host, after: try #require(inbox.events.all.compactMap(\.number).last))
            try await Eventually.wait("the rest") { second.texts == ["3", "4"] }
        }
    }

    @Test("IM-9 who is at the other side is online here, as the bridge says; its stream alone is nobody's presence")
    func presence() async throws {
        try await run { test, bridge in
            let bob = try await test.device("bob", "desk", adapter: nil)
            try await test.account()
            let host = try await bridge.host()
            let (inbox, _) = try await attach(host)
            let people = test.gateway.people
            #expect(people.present("alice").state == .offline)
            #expect(try await host.setContact("bob", of: "alice", true) == .contact)
            #expect(host.contact("bob", of: "alice") == .contact && host.contacts(of: "alice").map(\.peer) == ["bob"])
            try await Eventually.wait("the contact") {
                inbox.events.all.contains { if case .contact("bob", .contact) = $0.event { true } else { false } }
            }
            host.setPresence(of: "alice", connection: "phone", AccountPresence(.busy, text: "in a call"))
            #expect(people.present("alice") == AccountPresence(.busy, text: "in a call"))
            host.setPresence(of: "alice", connection: "desk", AccountPresence(.online))
            host.setPresence(of: "alice", connection: "phone", nil)
            #expect(people.present("alice").state == .online)
            // How a contact is comes on the account's stream.
            _ = try await test.connect(bob)
            try await Eventually.wait("bob's presence") {
                test.time.advance(by: .milliseconds(100))
                return inbox.events.all.contains {
                    if case .presence("bob", let presence) = $0.event { presence.state == .online } else { false }
                }
            }
            #expect(host.presence(of: "bob", for: "alice")?.state == .online)
            #expect(host.presence(of: "alice", for: "bob") == nil, "alice is not on bob's list")
            bridge.end(BridgeFailure(.network, "gone"))
            try await Eventually.wait("nobody") { people.present("alice").state == .offline }
        }
    }

    @Test("IM-4 IM-10 typing, corrections and withdrawals go both ways")
    func conversation() async throws {
        try await run { test, bridge in
            let bob = try await test.device("bob", "desk", adapter: nil)
            try await test.account()
            let host = try await bridge.host()
            let (inbox, _) = try await attach(host)
            let stream = try await test.connect(bob)
            try await live(test)
            host.typing(.composing, from: "alice", to: .account("bob"))
            test.gateway.conversations.typing(.composing, from: .account("bob"), to: .account("alice"))
            try await Eventually.wait("both") {
                let there = stream.entries.all.contains {
                    if case .typing(.account("alice"), .composing) = $0.event { true } else { false }
                }
                return there
                    && inbox.events.all.contains {
                        if case .typing(.account("bob"), .composing) = $0.event { true } else { false }
                    }
            }
            let key = try await host.post(BridgeMessage(from: "alice", to: .account("bob"), body: "wrnog"))
            try await host.edit(key, by: "alice", body: "right")
            #expect(try await test.store.message(key)?.body == Array("right".utf8))
            try await host.withdraw(key, by: "alice")
            #expect(!test.gateway.mailroom.isOpen(key))
            await #expect(throws: GatewayError.self) { try await host.edit(key, by: "alice", body: "again") }
            let posted = try await test.gateway.postmaster.send(
                try test.gateway.postmaster.prepare(
                    {
                        var order = SendOrder(to: [.account("alice")])
                        (order.from, order.body) = (.account, Array("helo".utf8))
                        return order
                    }(), by: .device(bob)))
            let theirs = try #require(posted.first?.key)
            _ = try await test.gateway.conversations.edit(
                theirs, by: .account("bob"), subject: nil, body: Array("hello".utf8))
            try await test.gateway.conversations.withdraw(theirs, by: .account("bob"))
            try await Eventually.wait("the changes") {
                let texts = inbox.events.all.compactMap { item -> String? in
                    guard case .edited(theirs, .account("bob"), _, let body) = item.event else { return nil }
                    return body.map { String(decoding: $0, as: UTF8.self) } ?? "(withdrawn)"
                }
                return texts == ["hello", "(withdrawn)"]
            }
        }
    }

    @Test("IM-7 a lost bridge is tried again with growing pauses; a refused one is not, and both are said")
    func failures() async throws {
        try await run { test, bridge in
            _ = try await bridge.host()
            for (count, pause) in [(1, 1), (2, 2), (3, 4)] {
                bridge.end(BridgeFailure(.network, "gone"))
                let lines = try await test.waitForLog(.bridgeLost, count: count)
                #expect(lines.last?.fields["pauseMilliseconds"] == .milliseconds(.seconds(pause)))
                #expect(test.gateway.bridges.statistics().map(\.isConnected) == [false])
                try await Eventually.wait("the next connection") {
                    test.time.advance(by: .milliseconds(100))
                    return bridge.hosts.all.count == count + 1
                }
            }
            test.time.advance(by: Bridges.steady)
            bridge.end(BridgeFailure(.protocolViolation, "odd"))
            let lines = try await test.waitForLog(.bridgeLost, count: 4)
            #expect(lines.last?.fields["pauseMilliseconds"] == .milliseconds(.seconds(1)), "it stood for a while")
            try await Eventually.wait("the next connection") {
                test.time.advance(by: .milliseconds(100))
                return bridge.hosts.all.count == 5
            }
            bridge.end(BridgeFailure(.refused, "no"))
            try await test.waitForLog(.bridgeRefused)
            test.time.advance(by: .seconds(3600))
            #expect(bridge.hosts.all.count == 5)
        }
    }
}
