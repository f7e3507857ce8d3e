import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct AdminTests {
    @Test("The administrator's routes take the administrator's token only") func access() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            for route in api.handler.routes where route.contains("/v1/admin/") {
                let parts = route.split(separator: " ").map(String.init)
                let path = parts[1].replacing("{id}", with: "x")
                #expect(try await api.call(parts[0], path).status == 401, "\(route)")
                #expect(try await api.call(parts[0], path, token: "wrong").status == 401, "\(route)")
                #expect(try await api.call(parts[0], path, token: client.token).status == 403, "\(route)")
            }
            // Nor is the administrator a device.
            let device = try await api.call("GET", "/v1/devices", token: TestAPI.adminToken.exposed)
            #expect((device.status, device.code) == (401, "bad_token"))
            // Refusals are logged, but nobody can fill the disk with them.
            let count = api.test.log.records(of: .authRefused).count
            #expect((1...10).contains(count))
        }
    }

    @Test("Accounts are created, listed, disabled and ended") func accounts() async throws {
        try await TestAPI.run { api in
            let created = try await api.admin(
                "POST", "accounts", ["name": "robot", "password": .string(TestAPI.password), "kind": "program"])
            #expect(created.status == 201)
            #expect(created["kind"]?.string == "program")
            let twice = try await api.admin("POST", "accounts", ["name": "robot", "password": "robots-password"])
            #expect((twice.status, twice.code) == (409, "account_exists"))
            for (body, field) in [
                (["name": "a b"], "name"), (["name": "x", "password": "short"], "password"),
                (["name": "x", "kind": "cat"], "kind"), (["password": "x"], "name"),
            ] as [(JSON, String)] {
                let reply = try await api.admin("POST", "accounts", body)
                #expect((reply.status, reply.field) == (400, field))
            }
            let client = try await api.device("robot")
            let registration = try await api.watched(client)
            #expect(try await api.admin("GET", "devices?account=robot").items.count == 1)
            #expect(try await api.admin("GET", "devices?account=nobody").items.isEmpty)
            #expect(try await api.admin("DELETE", "accounts/robot").status == 204)
            #expect(try await api.admin("GET", "accounts/robot").status == 404)
            #expect(try await api.admin("DELETE", "accounts/robot").status == 404)
            #expect(try await api.admin("GET", "devices").items.isEmpty)
            #expect(try await api.call("GET", "/v1/devices", token: client.token).status == 401)
            try await api.test.monitor.waitUntilRunning(registration.id, false)
            try await api.restarted {
                for list in ["accounts", "registrations"] {
                    let reply = try await api.admin("GET", list)
                    #expect(reply.items.isEmpty)
                }
            }
        }
    }

    @Test("The administrator sees no push address and no message") func privacy() async throws {
        try await TestAPI.run { api in
            let client = try await api.device(channel: TestAPI.channel("address-of-the-phone"))
            try await api.test.post(subject: "Private subject", body: "Private body")
            for path in ["devices", "devices/\(client.id)", "queues", "status", "launches"] {
                let reply = try await api.admin("GET", path)
                #expect(reply.status == 200)
                for text in ["address-of-the-phone", "Private"] { #expect(!reply.text.contains(text)) }
            }
            let queues = try await api.admin("GET", "queues").items
            #expect(queues.contains { $0["queue"]?.string == "account/alice" && $0["open"]?.integer == 1 })
        }
    }

    @Test("A reload is asked for, unless the file has faults") func reload() async throws {
        try await TestAPI.run { api in
            #expect(try await api.admin("POST", "reload").status == 202)
            #expect(api.reloads.withLock { $0 } == 1)
            api.problems.withLock { $0 = ["config.json:3:5: listen.port: expected an integer"] }
            let reply = try await api.admin("POST", "reload")
            #expect((reply.status, reply.code) == (409, "config_invalid"))
            #expect(reply["detail"]?.string?.contains("config.json:3:5") == true)
            #expect(api.reloads.withLock { $0 } == 1)
        }
    }

    @Test("Status and metrics count what there is") func counts() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            try await api.logIn(client, instance: "again")
            try await api.test.post()
            let status = try await api.admin("GET", "status")
            #expect(status["version"]?.string == "1.2.3")
            #expect(status["ready"]?.bool == true)
            for name in ["accounts", "devices", "registrations", "sessions", "openMessages"] {
                #expect(status[name]?.integer == 1, "\(name)")
            }
            #expect(status["monitors"]?["watching"]?.integer == 1)
            #expect(status["lanes"]?.array?.compactMap { $0["push"]?.string } == ["browser", "phone"])
            #expect(try await api.call("GET", "/v1/none").status == 404)
            let lines = Set(try await api.call("GET", "/metrics").text.split(separator: "\n").map(String.init))
            for line in [
                "farbell_sessions 1", "farbell_streams 0", "farbell_messages_open 1", "farbell_ready 1",
                "farbell_monitors{state=\"watching\"} 1", "farbell_monitors{state=\"refused\"} 0",
                "farbell_push_waiting{push=\"phone\"} 0", "farbell_push_breaker_open{push=\"phone\"} 0",
                "farbell_requests_total{status=\"404\"} 1", "# TYPE farbell_requests_total counter",
                "# TYPE process_resident_memory_bytes gauge",
            ] { #expect(lines.contains(line), "\(line)") }
            #expect(try await api.admin("GET", "monitors/\(registration.id)")["lastItem"] == nil)
        }
    }

    @Test("Readiness waits for the start and falls with the store; liveness does not") func readiness() async throws {
        try await TestAPI.run { api in
            api.isStarted.withLock { $0 = false }
            let starting = try await api.call("GET", "/readyz")
            #expect((starting.status, starting.code) == (503, "not_ready"))
            #expect(try await api.call("GET", "/healthz").status == 200)
            api.isStarted.withLock { $0 = true }
            #expect(try await api.call("GET", "/readyz").status == 200)
            let client = try await api.device()
            api.test.store.fail(with: StoreError(.full, "no room is left"))
            let change = try await api.call(
                "PATCH", "/v1/devices/\(client.id)", token: client.token, ["name": "new"])
            #expect((change.status, change.code) == (503, "unavailable"))
            #expect(try await api.call("GET", "/readyz").status == 503)
            // The gateway ends with its store; that is what it should do.
            _ = try await api.test.failure()
        }
    }
}
