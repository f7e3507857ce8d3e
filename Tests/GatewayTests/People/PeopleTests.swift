import Base
import GatewayTestKit
import Testing

@testable import Gateway

extension RecordingStream {
    /// What was heard of accounts' presence: "bob online".
    var presences: [String] {
        entries.all.compactMap { entry in
            guard case .presence(let account, let presence) = entry.event else { return nil }
            return "\(account) \(presence.state)" + (presence.text.map { " '\($0)'" } ?? "")
        }
    }
}

@Suite(.timeLimit(.minutes(2))) struct PeopleTests {
    private static func consent(_ change: (inout TestGateway.Parts) -> Void = { _ in }) -> TestGateway.Parts {
        var parts = TestGateway.Parts()
        parts.configure = { $0.contacts = .consent }
        change(&parts)
        return parts
    }

    /// Lets the machine come to its deadlines for so long.
    private static func pass(_ test: TestGateway, _ duration: Duration) async throws {
        for _ in 0..<(duration.milliseconds / 500) {
            test.time.advance(by: .milliseconds(500))
            // The gateway's own tasks take their turn.
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    private static func befriend(_ test: TestGateway, _ a: AccountID = "alice", _ b: AccountID = "bob") async throws {
        _ = try await test.gateway.people.add(b, to: a)
        _ = try await test.gateway.people.add(a, to: b)
    }

    private static func write(
        _ test: TestGateway, _ device: Device, to account: AccountID
    ) async throws -> [Sent] {
        let order = SendOrder(to: [.account(account)])
        return try await test.gateway.postmaster.send(
            try test.gateway.postmaster.prepare(order, by: .device(device)))
    }

    @Test("IM-8 IM-9 who is asked hears of it, agrees, and both see one another; a block ends that without a word")
    func consentToBlock() async throws {
        try await TestGateway.run(Self.consent()) { test in
            let (phone, other) = (try await test.device("alice"), try await test.device("bob"))
            let (alice, bob) = (try await test.connect(phone), try await test.connect(other))
            let people = test.gateway.people
            #expect(try await people.add("bob", to: "alice").state == .asked)
            try await Eventually.wait("bob is asked") {
                bob.stored(.contact) == [#"{"account":"alice","state":"asking","blocked":false}"#]
            }
            #expect(people.presence(of: "bob", for: "alice") == .offline)
            #expect(try await people.add("alice", to: "bob").state == .contact)
            try await Eventually.wait("alice hears") {
                alice.stored(.contact).last == #"{"account":"bob","state":"contact","blocked":false}"#
            }
            try await Eventually.wait("each hears of the other") {
                test.time.advance(by: .milliseconds(500))
                return alice.presences.contains("bob online") && bob.presences.contains("alice online")
            }
            try await people.setStatus(of: "alice", OwnStatusChange(.busy, text: "writing"))
            try await Eventually.wait("bob hears what she says") {
                test.time.advance(by: .milliseconds(500))
                return bob.presences.last == "alice busy 'writing'"
            }
            let heard = bob.stored(.contact).count
            try await people.block("bob", by: "alice")
            try await Eventually.wait("she looks offline to him") {
                test.time.advance(by: .milliseconds(500))
                return bob.presences.last == "alice offline"
            }
            #expect(bob.stored(.contact).count == heard)
            #expect(people.contact("alice", of: "bob")?.state == .contact)
            try await people.setStatus(of: "alice", OwnStatusChange(.lunch))
            try await Self.pass(test, .seconds(3))
            #expect(bob.presences.last == "alice offline")
        }
    }

    @Test("IM-8 unknown, blocked and not consenting look the same to a sender, and nothing is stored for any of them")
    func noEnumeration() async throws {
        try await TestGateway.run(Self.consent()) { test in
            let phone = try await test.device("alice")
            for name in ["bob", "carol", "dave"] { try await test.account(name) }
            try await Self.befriend(test, "alice", "carol")
            try await test.gateway.people.block("alice", by: "carol")
            let before = test.store.submissionCount
            var errors: Set<String> = []
            for name in ["nobody", "bob", "carol"] {
                do {
                    _ = try await Self.write(test, phone, to: AccountID(name))
                    Issue.record("a message to \(name) was taken")
                } catch let error as GatewayError {
                    errors.insert("\(error.code) \(error.field ?? "") \(error.message.replacing(name, with: "NAME"))")
                }
            }
            #expect(errors == ["unknown_recipient to there is no account 'NAME'"])
            #expect(test.store.submissionCount == before, "none of them costs a write")
            // Nor does a contact list tell.
            for name in ["nobody", "dave"] {
                let contact = try await test.gateway.people.add(AccountID(name), to: "alice")
                #expect(contact.state == .asked && test.gateway.people.kind(of: contact) == nil)
            }
            try await test.gateway.people.block("nobody", by: "alice")
        }
    }

    @Test("IM-6 a message reaches a contact; an answer is taken also after the contact ended, but not by a blocker")
    func replies() async throws {
        try await TestGateway.run(Self.consent()) { test in
            let (phone, other) = (try await test.device("alice"), try await test.device("bob"))
            try await Self.befriend(test)
            let sent = try await Self.write(test, phone, to: "bob")
            let key = try #require(sent.first).key
            try await test.gateway.people.remove("bob", from: "alice")
            await #expect(throws: GatewayError.self) { try await Self.write(test, other, to: "alice") }
            let answer = SendOrder(to: [])
            let answered = try await test.gateway.postmaster.reply(to: key, answer, by: .device(other))
            #expect(answered.map(\.address) == [.account("alice")])
            try await test.gateway.people.block("bob", by: "alice")
            await #expect(throws: GatewayError.self) {
                try await test.gateway.postmaster.reply(to: key, answer, by: .device(other))
            }
        }
    }

    @Test("Messages between accounts are limited for each sender and each recipient; applications and oneself are not")
    func rates() async throws {
        var parts = TestGateway.Parts()
        (parts.limits.messagesPerSenderPerMinute, parts.limits.messagesPerRecipientPerMinute) = (3, 4)
        try await TestGateway.run(parts) { test in
            let (phone, other) = (try await test.device("alice"), try await test.device("bob"))
            try await test.account("carol")
            for _ in 0..<3 { _ = try await Self.write(test, phone, to: "carol") }
            func refusal(_ device: Device, _ to: AccountID) async -> GatewayError? {
                do {
                    _ = try await Self.write(test, device, to: to)
                    return nil
                } catch {
                    return error as? GatewayError
                }
            }
            let sender = await refusal(phone, "bob")
            #expect(sender?.code == .rateLimited && sender?.retryAfterSeconds == 21)
            // Names are not tried any faster.
            #expect(await refusal(phone, "nobody")?.code == .rateLimited)
            #expect(await refusal(other, "carol") == nil)
            let recipient = await refusal(other, "carol")
            #expect(recipient?.code == .rateLimited && recipient?.retryAfterSeconds == 16)
            for _ in 0..<10 { _ = try await Self.write(test, phone, to: "alice") }
            let postmaster = test.gateway.postmaster
            for _ in 0..<10 {
                let order = SendOrder(to: [.account("carol")])
                _ = try await postmaster.send(try postmaster.prepare(order, by: .app("talk")))
            }
            test.time.advance(by: .seconds(20))
            #expect(await refusal(phone, "carol") == nil)
        }
    }

    @Test("IM-8 asking strangers is limited, and so is the list; agreeing is not")
    func asks() async throws {
        let parts = Self.consent { $0.limits.contactAsksPerHour = 5 }
        try await TestGateway.run(parts) { test in
            for name in ["alice", "bob"] { try await test.account(name) }
            _ = try await test.gateway.people.add("alice", to: "bob")
            for index in 0..<5 { _ = try await test.gateway.people.add(AccountID("a\(index)"), to: "alice") }
            await #expect(throws: GatewayError.self) { try await test.gateway.people.add("a9", to: "alice") }
            #expect(try await test.gateway.people.add("bob", to: "alice").state == .contact)
            for bad in ["", "a b", "alice", String(repeating: "x", count: 129)] {
                await #expect(throws: GatewayError.self) {
                    try await test.gateway.people.add(AccountID(bad), to: "alice")
                }
            }
        }
    }

    @Test("IM-9 what an account says survives a restart and a crash; whether it is there is found out anew")
    func restart() async throws {
        try await TestGateway.run(Self.consent()) { test in
            let phone = try await test.device("alice")
            try await test.account("bob")
            _ = try await test.connect(phone)
            try await Self.befriend(test)
            try await test.gateway.people.setStatus(of: "alice", OwnStatusChange(.busy, text: "out"))
            try await test.gateway.people.block("carol", by: "alice")
            for step in [{ try await test.restart() }, { try await test.crash() }]
                as [@Sendable () async throws -> Void]
            {
                try await step()
                let people = test.gateway.people
                #expect(people.status(of: "alice").word == .busy && people.status(of: "alice").text == "out")
                #expect(people.presence(of: "alice", for: "bob").state == .offline)
                #expect(people.blocks(of: "alice").map(\.peer) == ["carol"])
                _ = try await test.connect(phone)
                try await Eventually.wait("she is there again") {
                    test.time.advance(by: .milliseconds(500))
                    return people.presence(of: "alice", for: "bob") == AccountPresence(.busy, text: "out")
                }
            }
        }
    }

    @Test("IM-9 the session table counts where the account allows it")
    func sessions() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device("alice")
            try await test.account("bob")
            try await test.register()
            _ = try await test.gateway.people.add("alice", to: "bob")
            let people = test.gateway.people
            let session = try await test.logIn(phone)
            try await Self.pass(test, .seconds(2))
            #expect(people.presence(of: "alice", for: "bob") == .offline)
            var change = OwnStatusChange()
            change.fromSessions = true
            try await people.setStatus(of: "alice", change)
            func state(_ state: AccountPresence.State) async throws {
                try await Eventually.wait("alice is \(state)") {
                    test.time.advance(by: .milliseconds(500))
                    return people.presence(of: "alice", for: "bob").state == state
                }
            }
            // A client in front reports now and then, or it is not there any more.
            test.present(session, phone, .active)
            try await state(.online)
            test.present(session, phone, .hidden)
            try await state(.away)
            test.present(session, phone, .gone)
            try await state(.offline)
        }
    }

    @Test("IM-9 an application hears of its users' presence where both want it, of the newest state only")
    func applications() async throws {
        let callback = RecordingCallback()
        var parts = TestGateway.Parts()
        parts.configure = { configuration in
            for index in configuration.apps.indices where configuration.apps[index].id == "talk" {
                (configuration.apps[index].callback, configuration.apps[index].callbackPresence) = (callback, true)
            }
        }
        try await TestGateway.run(parts) { test in
            let phone = try await test.device("alice")
            try await test.register(app: "talk")
            _ = try await test.connect(phone)
            try await Self.pass(test, .seconds(2))
            #expect(callback.calls.all.isEmpty, "not allowed")
            var change = OwnStatusChange(.lunch, text: "noodles")
            change.tellsApps = true
            try await test.gateway.people.setStatus(of: "alice", change)
            try await Eventually.wait("the application hears") {
                test.time.advance(by: .milliseconds(500))
                return callback.calls.all.last?.header
                    == ["type": "presence", "account": "alice", "status": "lunch", "text": "noodles"]
            }
            change = OwnStatusChange()
            change.tellsApps = false
            try await test.gateway.people.setStatus(of: "alice", change)
            try await Eventually.wait("the last it hears") {
                callback.calls.all.last?.header == ["type": "presence", "account": "alice", "status": "offline"]
            }
            let count = callback.calls.all.count
            try await test.gateway.people.setStatus(of: "alice", OwnStatusChange(.busy))
            try await Self.pass(test, .seconds(3))
            #expect(callback.calls.all.count == count)
        }
    }

    @Test("IM-9 a bridge says how an account is elsewhere, and hears of all others")
    func bridge() async throws {
        try await TestGateway.run { test in
            try await test.account("alice")
            let heard = Recorder<String>()
            test.gateway.people.onPresence { subject, presence, watcher in
                heard.append("\(subject) \(presence.state) \(watcher?.text ?? "all")")
            }
            test.gateway.people.connect("alice", source: "bridge", AccountPresence(.busy))
            try await Eventually.wait("all hear") {
                test.time.advance(by: .milliseconds(500))
                return heard.all == ["alice busy all"]
            }
            test.gateway.people.disconnect("alice", source: "bridge")
            try await Eventually.wait("all hear of the end") {
                test.time.advance(by: .milliseconds(500))
                return heard.all == ["alice busy all", "alice offline all"]
            }
        }
    }

    @Test("IM-9 an account that is disabled or deleted is offline to everybody")
    func ended() async throws {
        try await TestGateway.run { test in
            let (phone, other) = (try await test.device("alice"), try await test.device("bob"))
            _ = try await test.connect(phone)
            let bob = try await test.connect(other)
            _ = try await test.gateway.people.add("alice", to: "bob")
            try await Eventually.wait("bob sees alice") {
                test.time.advance(by: .milliseconds(500))
                return bob.presences.last == "alice online"
            }
            try await test.gateway.setDisabled("alice", true)
            #expect(test.gateway.people.presence(of: "alice", for: "bob") == .offline)
            await #expect(throws: GatewayError.self) { try await test.gateway.people.add("alice", to: "carol") }
            try await test.gateway.setDisabled("alice", false)
            try await test.gateway.deleteAccount("alice")
            try await Eventually.wait("bob hears") { bob.presences.last == "alice offline" }
            #expect(test.gateway.people.contacts(of: "bob").isEmpty)
        }
    }
}
