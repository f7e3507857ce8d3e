import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct LaunchesTests {
    private func tap(_ api: TestAPI, _ client: Client) async throws -> String {
        let registration = try await api.watched(client)
        _ = try await api.test.news(registration, "1")
        return try await api.test.push.alerts(count: 1)[0].tap
    }

    @Test("SG-11 a tap launches; the same tap again is the same launch; on another device, forged or late it is 410")
    func taps()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let tap = try await tap(api, client)
            let first = try await api.call("POST", "/v1/launches", token: client.token, ["tap": .string(tap)])
            #expect(first.status == 201)
            #expect(first["app"]?.string == "mail")
            #expect(first["session"]?.isNull == true)
            #expect(first["action"]?["kind"]?.string == "url")
            #expect(first["action"]?["url"]?.string?.hasPrefix("https://farm.example/mail") == true)
            let second = try await api.call("POST", "/v1/launches", token: client.token, ["tap": .string(tap)])
            #expect(second.status == 200)
            #expect(second["id"] == first["id"])
            #expect(second["expires"] == first["expires"])
            let other = try await api.device("alice", "tablet")
            for (token, tap) in [(other.token, tap), (client.token, "forged"), (client.token, "")] {
                let reply = try await api.call("POST", "/v1/launches", token: token, ["tap": .string(tap)])
                #expect((reply.status, reply.code) == (410, "launch_expired"))
            }
            api.test.time.advance(by: .seconds(121))
            let late = try await api.call("POST", "/v1/launches", token: client.token, ["tap": .string(tap)])
            #expect((late.status, late.code) == (410, "launch_expired"))
        }
    }

    @Test("SG-11 after the log-out a tap opens nothing, nor for whoever logs in on the device next") func loggedOut()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let tap = try await tap(api, client)
            let path = "/v1/devices/\(client.id)"
            #expect(try await api.call("DELETE", path, token: client.token).status == 204)
            let late = try await api.call("POST", "/v1/launches", token: client.token, ["tap": .string(tap)])
            #expect((late.status, late.code) == (401, "bad_token"))
            for account in ["alice", "bob"] {
                let next = try await api.device(account)
                let reply = try await api.call("POST", "/v1/launches", token: next.token, ["tap": .string(tap)])
                #expect((reply.status, reply.code) == (410, "launch_expired"), "\(account)")
            }
            #expect(api.test.farm.requests.all.isEmpty)
        }
    }

    @Test("SG-11 an app is launched by its name, also where a message is named") func byName() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let key = try await api.test.post().key
            let cases: [(JSON, Int, String?)] = [
                (["app": "desk"], 201, nil), (["app": "mail", "message": .string(key.description)], 201, nil),
                (["app": "none"], 404, "unknown_app"), (["app": "talk"], 409, "no_farm"),
                (["app": "mail", "message": "m1-zzz"], 404, "not_found"),
                (["app": "mail", "message": "x"], 404, "not_found"), ([:], 400, "invalid_field"),
                (["app": "mail", "tap": "x"], 400, "invalid_field"),
                (["tap": "x", "message": "m1-1"], 400, "invalid_field"), (["tap": 1], 400, "invalid_field"),
            ]
            for (body, status, code) in cases {
                let reply = try await api.call("POST", "/v1/launches", token: client.token, body)
                #expect((reply.status, reply.code) == (status, code), "\(body.serialized)")
            }
        }
    }

    @Test("SG-11 a farm that fails is told as it says") func farm() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            api.test.farm.fail(with: GatewayError(.farmUnavailable, "the farm does not answer"))
            let reply = try await api.call("POST", "/v1/launches", token: client.token, ["app": "mail"])
            #expect((reply.status, reply.code) == (503, "farm_unavailable"))
        }
    }
}
