import Base
import FarbellClient
import Foundation
import GatewayTestKit
import Testing

/// The queue through the client library and the shell client, against the built program.
@Suite(.timeLimit(.minutes(3)))
struct ConsumerTests {
    /// Runs a story with an application that has a key.
    private static func run(_ body: (Scenario, FarbellClient) async throws -> Void) async throws {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.startsGateway = false
        options.sections = ["apps": ["oa": ["name": "OA", "key": ["file": "oa.key"]]]]
        try await Scenario.run(options) { world in
            let made = try await world.gateway.run("app", "key", "oa")
            let key = try #require(made.output.first, "\(made.errors)")
            world.gateway.keepSecret(key)
            try await world.gateway.start()
            let url = try #require(URL(string: "http://127.0.0.1:\(world.gateway.port)"))
            try await body(world, FarbellClient(server: url, token: key, transport: URLSessionTransport()))
        }
    }

    private static func device(
        _ world: Scenario, _ installation: String, tags: [String] = []
    ) async throws
        -> FarbellClient
    {
        let url = try #require(URL(string: "http://127.0.0.1:\(world.gateway.port)"))
        let client = try await FarbellClient.createDevice(
            server: url, account: "alice", password: Scenario.accountPassword, installation: installation,
            name: installation, platform: "linux", tags: tags, transport: URLSessionTransport())
        world.gateway.keepSecret(client.token)
        return client
    }

    @Test("PL-1 PL-5 PL-6 PL-9 PL-13 competing consumers take each message once; settled in every way")
    func consumers() async throws {
        try await Self.run { world, consumer in
            let device = try await Self.device(world, "sender")
            for number in 1...20 {
                var message = OutgoingMessage("\(number)")
                message.id = "own-\(number)"
                // Twice the same: one message.
                let first = try await device.send(message, to: [.app("oa")])
                let second = try await device.send(message, to: [.app("oa")])
                #expect(first.map(\.id) == second.map(\.id))
            }
            #expect(try await consumer.peek(queue: "app/oa").items.count == 20)
            let bodies = Recorder<String>()
            let loops = (0..<4).map { _ in
                Task {
                    for try await message in consumer.messages(queue: "app/oa", max: 2) {
                        try await message.receipt.complete()
                        bodies.append(message.body)
                    }
                }
            }
            try await bodies.wait(count: 20, deadline: .seconds(30))
            for loop in loops { loop.cancel() }
            for loop in loops { await #expect(throws: CancellationError.self) { try await loop.value } }
            #expect(Set(bodies.all).count == 20 && bodies.count == 20)
            // A connection that is being closed may be given a message in its last moment.
            let admin = try world.administrator()
            try await Eventually.wait("nobody waits any more", for: .seconds(20)) {
                let queues = try await admin("GET", "queues", nil).json["items"]?.array ?? []
                return queues.first { $0["queue"]?.string == "app/oa" }?["waiting"]?.integer == 0
            }

            try await device.send(to: .app("oa"), "again")
            let given = try #require(try await consumer.receive(wait: .seconds(10)).first)
            #expect(try await given.receipt.abandon() == .ready)
            let taken = try #require(try await consumer.receive(wait: .seconds(10)).first)
            #expect(taken.id == given.id && taken.receipt.delivery == 2)
            try await taken.receipt.defer()
            let deferred = try #require(try await consumer.receive(deferred: [taken.id]).first)
            try await deferred.receipt.deadLetter(reason: "no use")
            let dead = try await consumer.deadLetters().items
            #expect(dead.map(\.reason) == ["no use"] && dead.first?.consumer == "oa")
            try await consumer.redrive(taken.id)
            let seen = try #require(try await consumer.peek().items.first)
            let locked = try await consumer.lock(seen.id)
            try await locked.receipt.complete()
            try await locked.receipt.complete()
            #expect(try await consumer.trace(taken.id).state == .done)
        }
    }

    @Test("PL-12 PL-14 a lock of one second is kept over four by renewing, and lost without")
    func renewal() async throws {
        try await Self.run { world, consumer in
            let device = try await Self.device(world, "sender")
            try await device.send(to: .app("oa"), "long work")
            let kept = try #require(try await consumer.receive(wait: .seconds(10), lock: .seconds(1)).first)
            #expect(try await consumer.receive(wait: .seconds(4)).isEmpty)
            try await kept.receipt.complete()

            try await device.send(to: .app("oa"), "forgotten work")
            let lost = try #require(
                try await consumer.receive(wait: .seconds(10), lock: .seconds(1), renews: false).first)
            let other = try #require(try await consumer.receive(wait: .seconds(10)).first)
            #expect(other.id == lost.id && other.receipt.delivery == 2)
            let error = await #expect(throws: FarbellError.self) { try await lost.receipt.complete() }
            #expect(error?.code == .lockLost && error?.status == 409)
            try await other.receipt.complete()
        }
    }

    @Test("TT-2 TT-4 TT-5 TT-6 TT-7 TT-9 a shell device sends by tag and answers; the library hears both")
    func smallDevice() async throws {
        try await Self.run { world, _ in
            let kitchen = try await Self.device(world, "kitchen", tags: ["kitchen"])
            let script =
                "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")
                + "/Documentation/Examples/small-device.sh"
            let words = [
                "FARBELL_URL=http://127.0.0.1:\(world.gateway.port)",
                "FARBELL_STATE=\(world.gateway.folder.file("oven"))", "sh", script,
            ]
            let created = try await ChildProcess.run(
                "env", words + ["create", "alice", "oven-1", "oven"], input: "\(Scenario.accountPassword)\n")
            #expect(created.exit == .code(0), "\(created.errors)")
            // Nobody listens yet: held, and forwarded when the device connects.
            let sent = try await ChildProcess.run("env", words + ["send", "kitchen", "soup"])
            #expect(sent.exit == .code(0), "\(sent.errors)")
            let stream = kitchen.stream()
            var events = stream.makeAsyncIterator()
            var soup: MessageView?
            while soup == nil, let event = try await events.next() {
                if case .message(let view) = event.content { soup = view }
                if let id = event.id { try await stream.acknowledge(upTo: id) }
            }
            let message = try #require(soup)
            #expect(message.body == "soup" && message.sender.hasPrefix("device/"))
            let listener = try await ChildProcess("env", words + ["listen"])
            try await kitchen.reply(to: message.id, "thanks")
            let line = try await listener.waitForLine("the answer") { $0.hasPrefix("message {\"id\":\"") }
            #expect(line.contains("\"body\":\"thanks\""))
            try await listener.waitForLine("the receipt") { $0.hasPrefix("receipt ") && $0.contains("delivered") }
            let id = line.split(separator: "\"")[3]
            let answered = try await ChildProcess.run("env", words + ["reply", String(id), "welcome"])
            #expect(answered.exit == .code(0), "\(answered.errors)")
            while let event = try await events.next() {
                if case .message(let view) = event.content, view.body == "welcome" { break }
            }
            listener.kill()
        }
    }
}
