import Base
import Gateway
import GatewayTestKit
import Testing

/// Who may do what.
@Suite(.timeLimit(.minutes(2))) struct PartyTests {
    @Test("An app calls with its key; a wrong one is refused like a wrong token") func keys() async throws {
        try await TestAPI.runQueue { api in
            #expect(try await api.receive().isEmpty)
            for token in ["", "talk", TestAPI.talkKey + "x", TestAPI.adminToken.exposed] {
                let reply = try await api.call("POST", "/v1/messages/receive", token: token, [:])
                #expect((reply.status, reply.code) == (401, "bad_token"))
                #expect(reply.headers["WWW-Authenticate"]?.hasPrefix("Bearer") == true)
            }
            #expect(api.test.log.records(of: .authRefused).count == 3)
            #expect(api.gateway.configuration.apps.allSatisfy { $0.key == nil })
        }
    }

    @Test("An app's key opens nothing that is a device's or the administrator's") func bounds() async throws {
        try await TestAPI.runQueue { api in
            for path in ["/v1/devices", "/v1/stream", "/v1/sessions", "/v1/registrations", "/v1/admin/status"] {
                let reply = try await api.call("GET", path, token: TestAPI.talkKey)
                #expect((reply.status, reply.code) == (403, "forbidden"), "\(path)")
            }
            let read = try await api.call("POST", "/v1/messages/m1-1/read", token: TestAPI.talkKey)
            #expect(read.status == 403)
        }
    }

    @Test("A message of somebody else's queue is 403 whatever is asked, and one that never was 404") func foreign()
        async throws
    {
        try await TestAPI.runQueue { api in
            let alice = try await api.device()
            let sent = try await api.send()
            let token: JSON = ["token": "1-0123456789abcdef"]
            for verb in ["complete", "abandon", "renew", "defer", "dead-letter"] {
                let path = "/v1/messages/\(sent.id)/\(verb)"
                #expect(try await api.call("POST", path, token: alice.token, token).status == 403, "\(verb)")
                #expect(try await api.call("POST", path, token: TestAPI.deskKey, token).status == 403, "\(verb)")
                for id in ["x", "m9-9", sent.id + "z"] {
                    let path = "/v1/messages/\(id)/\(verb)"
                    let reply = try await api.call("POST", path, token: TestAPI.talkKey, token)
                    #expect((reply.status, reply.code) == (404, "not_found"), "\(verb) \(id)")
                }
            }
            for call in ["messages/\(sent.id)/lock", "dead/\(sent.id)/redrive"] {
                #expect(try await api.call("POST", "/v1/\(call)", token: TestAPI.deskKey).status == 403, "\(call)")
            }
            for queue in ["app/talk", "account/alice"] {
                let order: JSON = ["queue": .string(queue)]
                let reply = try await api.call("POST", "/v1/messages/receive", token: TestAPI.deskKey, order)
                #expect((reply.status, reply.field) == (403, "queue"))
            }
            let none = try await api.call("POST", "/v1/messages/receive", token: TestAPI.deskKey, ["queue": "app/none"])
            #expect(none.status == 404)
            // Nothing of this has touched the message.
            #expect(try await api.receive().map(\.id) == [sent.id])
        }
    }

    @Test("What is asked of a queue must be within its bounds") func ranges() async throws {
        try await TestAPI.runQueue { api in
            for (body, field) in [
                (#"{"max":0}"#, "max"), (#"{"max":101}"#, "max"), (#"{"waitSeconds":61}"#, "waitSeconds"),
                (#"{"waitSeconds":-1}"#, "waitSeconds"), (#"{"lockSeconds":0}"#, "lockSeconds"),
                (#"{"lockSeconds":301}"#, "lockSeconds"), (#"{"mode":"steal"}"#, "mode"),
                (#"{"deferred":[]}"#, "deferred"), (#"{"deferred":["m1-1"],"max":1}"#, "deferred"),
                (#"{"locks":1}"#, "locks"), (#"{"queue":"talk"}"#, "queue"),
            ] {
                let reply = try await api.call(
                    "POST", "/v1/messages/receive", token: TestAPI.talkKey, bytes: Array(body.utf8))
                #expect((reply.status, reply.field) == (400, field), "\(body)")
            }
            try await api.send()
            let id = try await api.peek()[0].id
            for (verb, body, field) in [
                ("complete", "{}", "token"), ("complete", #"{"token":"x","delaySeconds":1}"#, "delaySeconds"),
                ("abandon", #"{"token":"x","delaySeconds":-1}"#, "delaySeconds"),
                ("renew", #"{"token":"x","lockSeconds":0}"#, "lockSeconds"),
                ("dead-letter", #"{"token":"x","reason":""}"#, "reason"),
                ("lock", #"{"lockSeconds":0}"#, "lockSeconds"),
            ] {
                let reply = try await api.call(
                    "POST", "/v1/messages/\(id)/\(verb)", token: TestAPI.talkKey, bytes: Array(body.utf8))
                #expect((reply.status, reply.field) == (400, field), "\(verb) \(body)")
            }
            for body in [#"{}"#, #"{"settlements":[]}"#, #"{"settlements":[1]}"#, #"{"settlements":[{"id":"x"}]}"#] {
                let reply = try await api.call(
                    "POST", "/v1/messages/settle", token: TestAPI.talkKey, bytes: Array(body.utf8))
                #expect(reply.status == 400, "\(body)")
            }
        }
    }

    @Test("An app's requests are counted like a device's") func rate() async throws {
        try await TestAPI.runQueue { limits in
            limits.requestsPerSecond = 1
        } _: { api in
            for _ in 0..<10 { #expect(try await api.call("GET", "/v1/messages", token: TestAPI.talkKey).status == 200) }
            let reply = try await api.call("GET", "/v1/messages", token: TestAPI.talkKey)
            #expect((reply.status, reply.code) == (429, "rate_limited"))
            #expect(try await api.call("GET", "/v1/messages", token: TestAPI.deskKey).status == 200)
        }
    }
}
