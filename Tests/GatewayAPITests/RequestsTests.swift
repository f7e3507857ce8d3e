import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct RequestsTests {
    @Test("A body that is not JSON is 400 with the place") func malformed() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let bodies: [([UInt8], String)] = [
                (Array(#"{"app":}"#.utf8), "at byte 7"), (Array(#"{"app":"a"} x"#.utf8), "at byte 12"),
                ([0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D], "at byte 2"),
                (Array(#"{"app":1,"app":2}"#.utf8), "at byte"),
                ([], "empty"), (Array("[]".utf8), "an array"), (Array("7".utf8), "an integer"),
            ]
            for (bytes, detail) in bodies {
                let reply = try await api.call("POST", "/v1/launches", token: client.token, bytes: bytes)
                #expect((reply.status, reply.code) == (400, "invalid_json"))
                #expect(reply["detail"]?.string?.contains(detail) == true, "\(reply.text)")
                #expect(reply.contentType == "application/problem+json")
            }
        }
    }

    @Test("A field nobody knows is 400 with its name and a suggestion; null counts as absent") func unknown()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reply = try await api.call("POST", "/v1/launches", token: client.token, ["ap": "mail", "app": "mail"])
            #expect((reply.status, reply.code, reply.field) == (400, "unknown_field", "ap"))
            #expect(reply["detail"]?.string?.contains("did you mean 'app'?") == true)
            let null = try await api.call(
                "POST", "/v1/launches", token: client.token, bytes: Array(#"{"tap":null,"app":"desk"}"#.utf8))
            #expect(null.status == 201)
            let nested = try await api.call(
                "PATCH", "/v1/devices/\(client.id)", token: client.token,
                ["channel": ["adapter": "phone", "token": "x", "tokn": "y"]])
            #expect((nested.code, nested.field) == ("unknown_field", "channel.tokn"))
            let extra = try await api.call("POST", "/v1/devices/\(client.id)/test", token: client.token, ["a": 1])
            #expect(extra.code == "unknown_field")
            let query = try await api.call("GET", "/v1/devices?limt=1", token: client.token)
            #expect((query.status, query.code, query.field) == (400, "unknown_field", "limt"))
        }
    }

    @Test("A field of the wrong type is 400 with its name") func wrongTypes() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let cases: [(JSON, String)] = [
                (["name": 1], "name"), (["tags": "a"], "tags"), (["tags": ["a", 2]], "tags[1]"),
                (["channel": "x"], "channel"), (["channel": ["adapter": 1, "token": "x"]], "channel.adapter"),
                (["channel": ["adapter": "phone", "subscription": ["endpoint": "x"]]], "channel.subscription.keys"),
                (["payload": true], "payload"), (["name": ""], "name"),
            ]
            for (body, field) in cases {
                let reply = try await api.call("PATCH", "/v1/devices/\(client.id)", token: client.token, body)
                #expect((reply.status, reply.code, reply.field) == (400, "invalid_field", field), "\(body.serialized)")
            }
        }
    }

    @Test("Lists are paged by id; the next page begins after the last item") func paging() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            for number in 1...4 { _ = try await api.device("alice", "device-\(number)") }
            let all = try await api.call("GET", "/v1/devices", token: client.token)
            #expect(all.items.count == 5)
            #expect(all["next"]?.isNull == true)
            var (ids, after): ([String], String?) = ([], nil)
            repeat {
                let page = try await api.call(
                    "GET", "/v1/devices?limit=2" + (after.map { "&after=\($0)" } ?? ""), token: client.token)
                ids += page.items.compactMap { $0["id"]?.string }
                after = page["next"]?.string
            } while after != nil
            #expect(ids == all.items.compactMap { $0["id"]?.string })
            // The last page is full, and there is none after it.
            let exact = try await api.call("GET", "/v1/devices?limit=5", token: client.token)
            #expect(exact["next"]?.isNull == true)
            for limit in ["0", "1001", "x", ""] {
                let reply = try await api.call("GET", "/v1/devices?limit=\(limit)", token: client.token)
                #expect((reply.status, reply.field) == (400, "limit"))
            }
        }
    }

    @Test("Unknown paths are 404, known ones with another method 405") func routing() async throws {
        try await TestAPI.run { api in
            let none = try await api.call("GET", "/v1/none")
            #expect((none.status, none.code) == (404, "not_found"))
            let method = try await api.call("DELETE", "/v1/devices")
            #expect((method.status, method.code) == (405, "method_not_allowed"))
            #expect(method.headers["Allow"] == "GET, HEAD, POST")
        }
    }

    @Test("A device that asks too often is 429 with Retry-After; others are not held up") func rates() async throws {
        var parts = TestGateway.Parts()
        parts.limits.requestsPerSecond = 2
        try await TestAPI.run(parts) { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            for _ in 0..<20 { #expect(try await api.call("GET", "/v1/apps", token: alice.token).status == 200) }
            let reply = try await api.call("GET", "/v1/apps", token: alice.token)
            #expect((reply.status, reply.code) == (429, "rate_limited"))
            #expect(reply.headers["Retry-After"] == "1")
            #expect(try await api.call("GET", "/v1/apps", token: bob.token).status == 200)
            api.test.time.advance(by: .milliseconds(500))
            #expect(try await api.call("GET", "/v1/apps", token: alice.token).status == 200)
            #expect(try await api.call("GET", "/v1/apps", token: alice.token).status == 429)
        }
    }

    @Test("A store that fails is 503 without details, and readiness says so") func storage() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.store.failNext(StoreError(.refused, "table devices in /secret/path"))
            let reply = try await api.call(
                "PATCH", "/v1/devices/\(client.id)", token: client.token, ["name": "new"])
            #expect((reply.status, reply.code) == (503, "unavailable"))
            #expect(!reply.text.contains("/secret/path"))
            // The gateway ends with its store; that is what it should do.
            _ = try await api.test.failure()
        }
    }

    @Test("A farm that throws what nobody expects is 500, logged once with the request's id") func fault() async throws
    {
        struct Surprise: Error, CustomStringConvertible { let description = "secret detail" }
        struct BrokenFarm: Farm {
            func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? { nil }
            func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction {
                throw Surprise()
            }
        }
        var parts = TestGateway.Parts()
        parts.configure = { configuration in
            configuration.apps.append(
                App(
                    id: "broken", name: "Broken", farm: "farm", farmLink: BrokenFarm(), launch: RecordingFarm.Target()))
        }
        try await TestAPI.run(parts) { api in
            let client = try await api.device()
            let request = try await api.call("POST", "/v1/launches", token: client.token, ["app": "broken"])
            #expect((request.status, request.code) == (500, "internal_error"))
            #expect(!request.text.contains("secret detail"))
            let lines = api.test.log.records(of: "api.failed")
            #expect(lines.count == 1)
            #expect(lines.first?.fields["requestId"] == "request-1")
        }
    }
}
