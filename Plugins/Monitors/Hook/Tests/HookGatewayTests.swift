import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Inbound
import Testing

@testable import HookMonitor

/// A whole gateway behind a real server, with an app `inbox` that is told by calls.
struct HookRig: Sendable {
    let test: TestGateway
    let port: UInt16

    /// - Parameter configuration: of the app's monitor.
    static func run(
        _ configuration: String, environment: [String: String],
        _ body: @escaping @Sendable (HookRig) async throws -> Void
    ) async throws {
        var parts = TestGateway.Parts()
        let monitor = try HookMonitor.configured(by: HookMonitorPlugin(), configuration, environment: environment)
        parts.configure = { $0.apps.append(App(id: "inbox", name: "Inbox", monitorKind: "hook", monitor: monitor)) }
        try await TestGateway.run(parts) { test in
            let handler = APIHandler(
                gateway: test.gateway,
                options: APIOptions(publicURL: "https://x.example", version: "1", adminToken: Secret("admin-token")))
            let server = try Server(ServerConfiguration(threads: 1), handler: handler, log: Log(sink: test.log))
            try server.listen()
            let port = try #require(server.port)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in handler.services { group.addTask { try await service.run() } }
                group.addTask { try await server.run() }
                defer {
                    server.beginShutdown()
                    for service in handler.services { service.beginShutdown() }
                }
                try await body(HookRig(test: test, port: port))
            }
        }
    }

    /// Registers an account and logs in, so that its news is taken.
    func watched(_ account: String) async throws -> Registration {
        let device = try await test.device(account)
        let registration = try await test.gateway.registrations.put(
            account: AccountID(account), app: "inbox", credentials: [:], isEnabled: true,
            preferences: NotifyPreferences()
        ).registration
        let session = try await test.logIn(device, app: "inbox")
        test.present(session, device, .gone)
        try await Eventually.wait("watched") { test.gateway.monitors.health(registration.id)?.state == .watching }
        return registration
    }

    func post(_ path: String, _ headers: HTTPFields, _ body: [UInt8]) async throws -> (Int, JSON) {
        let port = port
        let thread = WorkThread(name: "sender")
        defer { thread.stop() }
        return try await thread.run {
            let client = try WireClient(port: port)
            let lines = headers.fields.map { "\($0.name): \($0.value)" }
            let answer = try client.call("POST", path, headers: lines, body: body)
            return (answer.status, answer.status == 204 ? .null : answer.json)
        }
    }

    /// The messages of a registration's open items, in the order they were stored.
    func messages(_ registration: Registration) async throws -> [Message] {
        var messages: [Message] = []
        for key in try await test.store.openItems(registration: registration.id).values.sorted() {
            if let message = try await test.store.message(key) { messages.append(message) }
        }
        return messages
    }
}

@Suite(.timeLimit(.minutes(2))) struct HookGatewayTests {
    @Test("SG-4 SG-5 a signed call rings once, is stored when answered, and tells nobody who is registered")
    func signed() async throws {
        try await HookRig.run(SignedSender.configuration, environment: SignedSender.environment) { rig in
            let registration = try await rig.watched("alice")
            try await rig.test.account("bob")
            let sender = SignedSender(time: SystemTime())
            func send(_ user: String, _ id: String, path: String = "/hooks/inbox") async throws -> (Int, JSON) {
                let body = JSON.object([
                    "user": .string(user),
                    "events": [["type": "new", "id": .string(id), "title": .string("news \(id)")]],
                ]).serializedBytes
                return try await rig.post(path, sender.headers(body, id: "call-\(user)-\(id)"), body)
            }
            #expect(try await send("alice", "1").0 == 204)
            let stored = try await rig.test.store.items(registration: registration.id, keys: ["1"])
            #expect(stored["1"]?.isOpen == true)
            // Not registered, no such account: the same answer.
            for user in ["bob", "nobody"] { #expect(try await send(user, "1").0 == 204) }
            // The same item by another call, and the same call.
            #expect(try await send("alice", "1").0 == 204)
            #expect(try await send("alice", "2").0 == 204)
            let items = rig.test.log.records(of: .monitorItem)
            #expect(items.count == 2)
            #expect(rig.test.gateway.monitors.health(registration.id)?.lastItem != nil)
            // An app that takes no calls, and none at all: as with a wrong secret.
            for path in ["/hooks/mail", "/hooks/nothing"] {
                let (status, problem) = try await send("alice", "3", path: path)
                #expect(status == 401 && problem["code"]?.string == "bad_signature")
            }
            let (status, problem) = try await rig.post("/hooks/inbox", [:], Array("{}".utf8))
            #expect(status == 401 && problem["code"]?.string == "bad_signature")
            // Read elsewhere: the item is done.
            let seen = JSON.object(["user": "alice", "events": [["type": "seen", "id": "1"]]]).serializedBytes
            #expect(try await rig.post("/hooks/inbox", sender.headers(seen, id: "s"), seen).0 == 204)
            let after = try await rig.test.store.items(registration: registration.id, keys: ["1", "2"])
            #expect(after["1"]?.isOpen == false && after["2"]?.isOpen == true)
        }
    }
}

/// The driver "ox" of a real Dovecot's push_notification plugin.
@Suite(.enabled(if: DovecotServer.isAvailable), .timeLimit(.minutes(2))) struct HookDovecotTests {
    @Test("SG-4 SG-14 a real Dovecot's delivery rings over its push_notification plugin, decoded, without a connection")
    func delivery() async throws {
        let secret = "a-long-dovecot-secret"
        try await HookRig.run(
            #"{"monitor":{"format":"dovecot","secret":{"env":"D"}}}"#, environment: ["D": secret]
        ) { rig in
            let registration = try await rig.watched("anna")
            let authority = try TestCertificateAuthority()
            let server = try await DovecotServer(
                users: ["anna", "bert"], identity: authority.localhost,
                pushURL: "http://farbell:\(secret)@127.0.0.1:\(rig.port)/hooks/inbox")
            try await server.subscribe("anna")
            try await server.subscribe("bert")
            let encoded = Array("=?GB18030?B?xOO6ww==?= =?ISO-2022-JP?B?GyRCJDMkcyRLJEEkTxsoQg==?=".utf8)
            try await server.deliver(TestNews("", header: encoded, id: "1").mail, to: "anna")
            // Nobody registered, and a header of no character set.
            try await server.deliver(TestNews("for bert", id: "2").mail, to: "bert")
            try await server.deliver(TestNews("", header: [0xC4, 0xE3, 0xBA, 0xC3], id: "3").mail, to: "anna")
            try await Eventually.wait("both: \(server.log)") { rig.test.log.records(of: .monitorItem).count == 2 }
            let messages = try await rig.messages(registration)
            #expect(messages.first?.subject == "你好こんにちは")
            #expect(messages.first?.header["from"] == "Anna Example")
            #expect(messages.first?.header["address"] == "anna@example.org")
            #expect(messages.first.map { String(decoding: $0.body, as: UTF8.self) } == "The text.")
            #expect(messages.count == 2)
            #expect(rig.test.gateway.monitors.health(registration.id)?.lastItem != nil)
            try await server.stop()
        }
    }
}
