import Base
import GatewayTestKit
import Testing

/// The queue as a product of its own, through the built program.
@Suite(.timeLimit(.minutes(3))) struct QueueTests {
    private static var options: Scenario.Options {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.users = ["alice", "bob"]
        options.sections = [
            "apps": [
                "shop": ["key": ["file": "data/shop.key"]], "store": ["key": ["file": "data/store.key"]],
            ],
            "limits": ["maxDeliveries": 2, "requestsPerSecond": 1000],
        ]
        options.startsGateway = false
        return options
    }

    /// Runs a story with the keys of the two apps.
    private static func run(_ body: (Scenario, _ shop: AppClient, _ store: AppClient) async throws -> Void) async throws
    {
        try await Scenario.run(options) { world in
            let (shop, store) = (try await AppClient(world, "shop"), try await AppClient(world, "store"))
            try await world.gateway.start()
            try await body(world, shop, store)
        }
    }

    @Test("An app's key is made by 'farbell app key', never over another one by chance") func keys() async throws {
        try await Self.run { world, shop, _ in
            let file = world.gateway.folder.file("data/shop.key")
            #expect(FileSystem.contents(of: file, limit: 1000) == Array("\(shop.key)\n".utf8))
            let again = try await world.gateway.run("app", "key", "shop")
            #expect(again.exit == .code(65) && again.errors.joined().contains("--replace"))
            let other = try await world.gateway.run("app", "key", "shop", "--replace")
            #expect(other.exit == .code(0) && other.output.first?.utf8.count == 47)
            #expect(other.output != [shop.key])
            let unknown = try await world.gateway.run("app", "key", "shp")
            #expect(unknown.exit == .code(67) && unknown.errors.joined().contains("did you mean 'shop'"))
            // The running gateway goes on with the key it has read.
            #expect(try await shop.receive().isEmpty)
        }
    }

    @Test("PL-1 PL-2 PL-5 PL-6 PL-9 G8 two consumers share a queue; one that waits is woken") func consumers()
        async throws
    {
        try await Self.run { world, shop, store in
            async let first = store.receive(["waitSeconds": 60])
            async let second = store.receive(["waitSeconds": 60])
            try await Eventually.wait("both wait") {
                let queues = try await world.admin("queues")["items"]?.array ?? []
                return queues.first { $0["queue"]?.string == "app/store" }?["waiting"]?.integer == 2
            }
            let begin = ContinuousClock.now
            let sent = try await shop.send("one")
            #expect(sent["state"]?.string == "forwarded")
            try await shop.send("two")
            let taken = try await first + second
            // Not at the end of their waits.
            #expect(ContinuousClock.now - begin < .seconds(30))
            #expect(taken.compactMap { $0["body"]?.string }.sorted() == ["one", "two"])
            for message in taken { #expect(try await store.settle(message, "complete").status == 200) }
            #expect(try await store.receive().isEmpty)
            // Repeated, the same answer; something else, none.
            #expect(try await store.settle(taken[0], "complete").json["state"]?.string == "done")
            #expect(try await store.settle(taken[0], "abandon").status == 409)
        }
    }

    @Test("G1 G2 G3 G5 G11 what was accepted outlives kill -9, locks do not; dead letters come back when redriven")
    func crash() async throws {
        try await Self.run { world, shop, store in
            for text in ["one", "two", "three"] { try await shop.send(text) }
            let taken = try await store.receive(["max": 3])
            #expect(try await store.settle(taken[0], "complete").status == 200)
            #expect(try await store.settle(taken[1], "dead-letter", ["reason": "sold out"]).status == 200)
            try await world.gateway.kill()
            try await world.gateway.start()
            #expect(try await store.settle(taken[0], "complete").json["state"]?.string == "done")
            #expect(try await store.settle(taken[2], "complete").status == 409)
            let rest = try await store.receive(["max": 3])
            #expect(rest.map { $0["body"]?.string } == ["three"])
            #expect(rest[0]["receipt"]?["delivery"]?.integer == 2)
            #expect(try await store.settle(rest[0], "complete").status == 200)
            let dead = try await store.call("GET", "/v1/dead").json["items"]?.array ?? []
            #expect(dead.map { $0["reason"]?.string } == ["sold out"])
            let path = "/v1/dead/\(dead[0]["id"]?.string ?? "")/redrive"
            #expect(try await store.call("POST", path).status == 200)
            let back = try await store.receive()
            #expect(back.map { $0["body"]?.string } == ["two"])
            #expect(try await store.settle(back[0], "complete").status == 200)
        }
    }

    @Test("PL-14 G4 a lock that ends frees the message; after maxDeliveries it is dead") func expiry() async throws {
        try await Self.run { world, shop, store in
            try await shop.send("text")
            let first = try await store.receive(["lockSeconds": 1])
            let second = try await store.receive(["lockSeconds": 1, "waitSeconds": 20])
            #expect(second.map { $0["id"] } == first.map { $0["id"] })
            #expect(try await store.settle(first[0], "complete").status == 409)
            try await world.log.wait(for: "message.lock_expired")
            let dead = try await world.log.wait(for: "message.dead")
            #expect(dead["reason"] == "max_deliveries" && dead["consumer"] == "store")
        }
    }

    @Test("TT-1 TT-2 TT-3 TT-5 TT-6 TT-7 TT-8 TT-9 between devices: by tag, on the stream, acknowledged, answered")
    func devices() async throws {
        try await Self.run { world, shop, _ in
            var (phone, fridge) = (
                TerminalClient(world.gateway, account: "alice"), TerminalClient(world.gateway, account: "alice")
            )
            try await phone.bind(password: Scenario.accountPassword, installation: "phone")
            try await fridge.bind(
                password: Scenario.accountPassword, installation: "fridge", platform: "firmware",
                extra: ["tags": ["kitchen"]])
            let (own, other) = (try await phone.stream(), try await fridge.stream())
            _ = try await own.first("hello")
            _ = try await other.first("hello")
            let sent = try await phone.call("POST", "/v1/messages", ["to": ["tag": "kitchen"], "body": "cooler"])
            let id = sent["messages"]?[0]?["id"]?.string ?? ""
            let message = try await other.first("message")
            #expect(message.data["id"]?.string == id)
            #expect(message.data["body"]?.string == "cooler")
            try await fridge.acknowledge(message.number)
            let receipt = try await own.first("receipt")
            #expect(receipt.data["state"]?.string == "delivered" && receipt.data["message"]?.string == id)
            let trace = try await phone.call("GET", "/v1/messages/\(id)")
            #expect(trace["state"]?.string == "done")
            try await fridge.call("POST", "/v1/messages/\(id)/reply", ["body": "2 degrees"])
            let answer = try await own.first("message")
            #expect(answer.data["body"]?.string == "2 degrees")
            #expect(answer.data["correlation"]?.string == id)
            #expect(answer.data["sender"]?.string == "device/\(fridge.device)")
            // An app hears of a person's message in its own queue.
            let asked = try await shop.send("hello", to: ["account": "alice"], ["receipts": "final"])
            try await phone.call("POST", "/v1/messages/\(asked["id"]?.string ?? "")/read")
            let told = try await shop.receive(["max": 5, "waitSeconds": 20])
            #expect(told.first?["header"]?["message"] == asked["id"])
        }
    }

    @Test("A stopping gateway answers consumers that wait, and keeps what they did not get") func stop() async throws {
        try await Self.run { world, shop, store in
            async let waiting = store.receive(["waitSeconds": 60])
            try await Eventually.wait("it waits") {
                let queues = try await world.admin("queues")["items"]?.array ?? []
                return queues.contains { $0["waiting"]?.integer == 1 }
            }
            let begin = ContinuousClock.now
            #expect(try await world.gateway.stop() == .code(0))
            #expect(try await waiting.isEmpty)
            #expect(ContinuousClock.now - begin < .seconds(50))
        }
    }
}

/// A web application with its key.
private struct AppClient: Sendable {
    let gateway: GatewayProcess
    let key: String

    /// Makes the app's key, before the gateway starts.
    init(_ world: Scenario, _ name: String) async throws {
        gateway = world.gateway
        let made = try await gateway.run("app", "key", name)
        #expect(made.exit == .code(0), "\(made.errors)")
        key = try #require(made.output.first)
        gateway.keepSecret(key)
    }

    func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> PlainResponse {
        try await TerminalClient.send(gateway, method, path, authorization: "Bearer \(key)", body)
    }

    @discardableResult
    func send(_ body: String, to: JSON = ["app": "store"], _ more: JSON = [:]) async throws -> JSON {
        var order: JSONObject = ["to": to, "body": .string(body)]
        for member in more.object?.members ?? [] { order[member.key] = member.value }
        let response = try await call("POST", "/v1/messages", .object(order))
        #expect(response.status == 202, "\(response.text)")
        return response.json["messages"]?[0] ?? .null
    }

    func receive(_ order: JSON = [:]) async throws -> [JSON] {
        let response = try await call("POST", "/v1/messages/receive", order)
        #expect(response.status == 200, "\(response.text)")
        return response.json["messages"]?.array ?? []
    }

    func settle(_ message: JSON, _ verb: String, _ more: JSON = [:]) async throws -> PlainResponse {
        var order: JSONObject = ["token": message["receipt"]?["token"] ?? .null]
        for member in more.object?.members ?? [] { order[member.key] = member.value }
        return try await call("POST", "/v1/messages/\(message["id"]?.string ?? "")/\(verb)", .object(order))
    }
}

extension Scenario {
    /// Asks the running gateway as its administrator.
    fileprivate func admin(_ path: String) async throws -> JSON {
        let token = FileSystem.contents(of: gateway.folder.file("data/admin.token"), limit: 4096) ?? []
        let text = String(decoding: token, as: UTF8.self).trimmingSpace
        return try await TerminalClient.send(
            gateway, "GET", "/v1/admin/\(path)", authorization: "Bearer \(text)"
        ).json
    }
}
