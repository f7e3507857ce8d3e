import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct DevicesTests {
    @Test("MN-1 MN-3 MN-6 a client registers: a device is created and a token comes back") func create() async throws {
        try await TestAPI.run { api in
            try await api.test.account("alice")
            let reply = try await api.call(
                "POST", "/v1/devices", basic: ("alice", TestAPI.password),
                TestAPI.description("inst-1", channel: TestAPI.channel("abc")))
            #expect(reply.status == 201)
            #expect(reply["account"]?.string == "alice")
            #expect(reply.headers["Cache-Control"] == "no-store")
            let id = try #require(reply["id"]?.string)
            let token = try #require(reply["token"]?.string)
            #expect(api.gateway.devices.device(DeviceID(id))?.installation == "inst-1")
            let shown = try await api.call("GET", "/v1/devices/\(id)", token: token)
            #expect(shown["name"]?.string == "My phone")
            #expect(shown["payload"]?.string == "summary")
            #expect(shown["connected"]?.bool == false)
        }
    }

    @Test("MN-2 MN-8 the notification token is taken and names the channel that pushes use") func channel() async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device(channel: TestAPI.channel("token-from-the-platform"))
            let shown = try await api.call("GET", "/v1/devices/\(client.id)", token: client.token)
            #expect(shown["channel"]?["adapter"]?.string == "phone")
            #expect(shown["channel"]?["token"]?.string == "token-from-the-platform")
            api.test.push.answer(PushReport(.rejected, status: 400, reason: "BadTopic"))
            let tested = try await api.call("POST", "/v1/devices/\(client.id)/test", token: client.token)
            #expect(tested.status == 200)
            #expect(tested["outcome"]?.string == "rejected")
            #expect(tested["status"]?.integer == 400)
            #expect(tested["reason"]?.string == "BadTopic")
            #expect(tested["hop"]?.string == "payload")
            #expect(api.test.push.pushes.last?.address == .token("token-from-the-platform"))
        }
    }

    @Test("MN-8 each kind of address is understood; the keys of a subscription are not shown again")
    func addresses() async throws {
        try await TestAPI.run { api in
            let client = try await api.device(channel: nil)
            let path = "/v1/devices/\(client.id)"
            let subscription: JSON = [
                "endpoint": "https://push.example/x", "keys": ["p256dh": "the-p256dh", "auth": "the-auth"],
            ]
            var reply = try await api.call(
                "PATCH", path, token: client.token, ["channel": ["adapter": "browser", "subscription": subscription]])
            #expect(reply["channel"]?["subscription"]?["endpoint"]?.string == "https://push.example/x")
            #expect(!reply.text.contains("the-auth"))
            #expect(
                api.gateway.devices.device(DeviceID(client.id))?.channel?.address
                    == .subscription(endpoint: "https://push.example/x", p256dh: "the-p256dh", auth: "the-auth"))
            reply = try await api.call(
                "PATCH", path, token: client.token, ["channel": ["adapter": "phone", "url": "https://up.example/y"]])
            #expect(reply["channel"]?["url"]?.string == "https://up.example/y")
            reply = try await api.call("PATCH", path, token: client.token, ["channel": .null])
            #expect(reply.status == 200)
            #expect(reply["channel"] == nil)
            reply = try await api.call("POST", "\(path)/test", token: client.token)
            #expect((reply.status, reply.code) == (409, "no_channel"))
            for channel: JSON in [
                ["adapter": "phone"], ["adapter": "phone", "token": "a", "url": "https://b.example"],
            ] {
                reply = try await api.call("PATCH", path, token: client.token, ["channel": channel])
                #expect((reply.status, reply.field) == (400, "channel"))
            }
            reply = try await api.call(
                "PATCH", path, token: client.token, ["channel": ["adapter": "phones", "token": "a"]])
            #expect((reply.status, reply.field) == (400, "channel.adapter"))
            #expect(reply["detail"]?.string?.contains("did you mean 'phone'?") == true)
            api.test.push.setFault("this is no address")
            reply = try await api.call(
                "PATCH", path, token: client.token, ["channel": ["adapter": "phone", "token": "a"]])
            #expect((reply.status, reply.code) == (400, "invalid_field"))
        }
    }

    @Test("a device's own keys are checked, kept, passed on with its pushes, and taken away again")
    func encryption() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let path = "/v1/devices/\(client.id)"
            let key = ([4] + [UInt8](1...64)).base64URL
            let secret = [UInt8](1...16).base64URL
            let reply = try await api.call(
                "PATCH", path, token: client.token, ["encryption": ["p256dh": .string(key), "auth": .string(secret)]])
            #expect(reply.status == 200)
            #expect(reply["encryption"]?["p256dh"]?.string == key)
            #expect(!reply.text.contains(secret))
            try await api.restarted {
                _ = try await api.call("POST", "\(path)/test", token: client.token)
                let expected = Device.Encryption(publicKey: [4] + Array(1...64), secret: Array(1...16))
                #expect(api.test.push.pushes.last?.encryption == expected)
            }
            // The same installation logging in without keys does not lose them: nothing may go out in clear.
            _ = try await api.call(
                "POST", "/v1/devices", basic: ("alice", TestAPI.password),
                TestAPI.description("alice-phone", channel: TestAPI.channel("t")))
            #expect(api.gateway.devices.device(DeviceID(client.id))?.encryption != nil)
        }
    }

    @Test(
        "keys of another form are refused, with the field",
        arguments: [
            ([UInt8]([5] + [UInt8](1...64)).base64URL, [UInt8](1...16).base64URL, "encryption.p256dh"),
            ([UInt8]([4] + [UInt8](1...63)).base64URL, [UInt8](1...16).base64URL, "encryption.p256dh"),
            // Not on the curve, says the fake library.
            ([UInt8]([4] + [UInt8](1...63) + [255]).base64URL, [UInt8](1...16).base64URL, "encryption.p256dh"),
            ([UInt8]([4] + [UInt8](1...64)).base64URL, [UInt8](1...15).base64URL, "encryption.auth"),
            ("not base64!", [UInt8](1...16).base64URL, "encryption.p256dh"),
        ]) func wrongKeys(key: String, secret: String, field: String) async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let path = "/v1/devices/\(client.id)"
            let order: JSON = ["encryption": ["p256dh": .string(key), "auth": .string(secret)]]
            let reply = try await api.call("PATCH", path, token: client.token, order)
            #expect((reply.status, reply.code, reply.field) == (400, "invalid_field", field))
            let removed = try await api.call("PATCH", path, token: client.token, ["encryption": .null])
            #expect(removed.status == 200 && removed["encryption"] == nil)
        }
    }

    @Test("further channels are kept in order, each service once, at most four; a language may be changed")
    func furtherChannels() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let path = "/v1/devices/\(client.id)"
            let mail: JSON = ["adapter": "browser", "token": "alice@example.org"]
            var reply = try await api.call(
                "PATCH", path, token: client.token, ["channels": [mail], "locale": "zh_CN"])
            #expect(reply.status == 200)
            #expect(reply["channels"]?.array?.first?["token"]?.string == "alice@example.org")
            let tested = try await api.call("POST", "\(path)/test", token: client.token, ["adapter": "browser"])
            #expect(tested["outcome"]?.string == "delivered")
            #expect(api.test.push("browser").pushes.last?.address == .token("alice@example.org"))
            let none = try await api.call("POST", "\(path)/test", token: client.token, ["adapter": "none"])
            #expect((none.status, none.code) == (409, "no_channel"))
            #expect(reply["locale"]?.string == "zh-CN")
            for (channels, field) in [
                (JSON.array([mail, mail]), "channels"), ([TestAPI.channel("again")], "channels"),
                (JSON.array([mail, mail, mail, mail, mail]), "channels"),
                ([["adapter": "browsr", "token": "a"]], "channels[0].adapter"),
                ([["adapter": "browser"]], "channels[0]"),
            ] {
                reply = try await api.call("PATCH", path, token: client.token, ["channels": channels])
                #expect((reply.status, reply.field) == (400, field))
            }
            reply = try await api.call("PATCH", path, token: client.token, ["locale": "no language"])
            #expect((reply.status, reply.field) == (400, "locale"))
            reply = try await api.call("PATCH", path, token: client.token, ["channels": .null, "locale": .null])
            #expect(reply.status == 200 && reply["channels"] == nil && reply["locale"] == nil)
            _ = try await api.call("PATCH", path, token: client.token, ["channels": [mail]])
            // What becomes the first channel at a login is no further one any more.
            _ = try await api.call(
                "POST", "/v1/devices", basic: ("alice", TestAPI.password),
                [
                    "installation": "alice-phone", "name": "My phone", "platform": "ios", "channel": mail,
                    "encryption": [
                        "p256dh": .string(([4] + [UInt8](1...64)).base64URL),
                        "auth": .string([UInt8](1...16).base64URL),
                    ],
                ])
            let bound = try #require(api.gateway.devices.device(DeviceID(client.id)))
            #expect(bound.channel?.adapter == "browser" && bound.furtherChannels.isEmpty && bound.encryption != nil)
        }
    }

    @Test("MN-4 device and token outlast a restart") func restart() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            try await api.restarted {
                let shown = try await api.call("GET", "/v1/devices/\(client.id)", token: client.token)
                #expect(shown.status == 200)
                #expect(shown["channel"]?["token"]?.string == "channel-token-1")
            }
        }
    }

    @Test("MN-5 the same installation is the same device: channel and token new, the old token revoked")
    func again() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reply = try await api.call(
                "POST", "/v1/devices", basic: ("alice", TestAPI.password),
                TestAPI.description("alice-phone", channel: TestAPI.channel("channel-token-2")))
            #expect(reply.status == 200)
            #expect(reply["id"]?.string == client.id)
            let token = try #require(reply["token"]?.string)
            #expect(token != client.token)
            let shown = try await api.call("GET", "/v1/devices/\(client.id)", token: token)
            #expect(shown["channel"]?["token"]?.string == "channel-token-2")
            let old = try await api.call("GET", "/v1/devices", token: client.token)
            #expect((old.status, old.code) == (401, "bad_token"))
        }
    }

    @Test("MN-5 another account's installation is refused") func taken() async throws {
        try await TestAPI.run { api in
            _ = try await api.device()
            try await api.test.account("bob")
            let reply = try await api.call(
                "POST", "/v1/devices", basic: ("bob", TestAPI.password), TestAPI.description("alice-phone"))
            #expect((reply.status, reply.code) == (409, "installation_taken"))
        }
    }

    @Test("MN-7 another account's device is 403, an unknown one 404, a revoked token 401") func ownership() async throws
    {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let calls: [(String, String, JSON?)] = [
                ("GET", "", nil), ("PATCH", "", ["name": "mine"]), ("DELETE", "", nil), ("POST", "/test", nil),
            ]
            for (method, rest, body) in calls {
                let foreign = try await api.call(method, "/v1/devices/\(bob.id)\(rest)", token: alice.token, body)
                #expect((foreign.status, foreign.code) == (403, "forbidden"))
                let unknown = try await api.call(method, "/v1/devices/dev_none\(rest)", token: alice.token, body)
                #expect((unknown.status, unknown.code) == (404, "not_found"))
            }
            #expect(try await api.call("GET", "/v1/devices", token: alice.token).items.count == 1)
            #expect(try await api.call("DELETE", "/v1/devices/\(bob.id)", token: bob.token).status == 204)
            let gone = try await api.call("GET", "/v1/devices", token: bob.token)
            #expect((gone.status, gone.code) == (401, "bad_token"))
            #expect(gone.headers["WWW-Authenticate"] == "Bearer realm=\"farbell\"")
        }
    }

    @Test("MN-7 a request without the right credentials is 401 and says which it takes") func credentials() async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            for headers: HTTPFields in [
                [:], ["Authorization": "Bearer "], ["Authorization": "Bearer unknown"], ["Authorization": "Basic x"],
                ["Authorization": client.token],
            ] {
                let reply = try await api.call("GET", "/v1/devices", headers: headers)
                #expect((reply.status, reply.code) == (401, "bad_token"))
            }
            let none = try await api.call("POST", "/v1/devices", TestAPI.description("x"))
            #expect((none.status, none.code) == (401, "bad_credentials"))
            #expect(none.headers["WWW-Authenticate"]?.hasPrefix("Basic realm=\"farbell\"") == true)
            for (name, password) in [("alice", "wrong"), ("nobody", TestAPI.password), ("", "")] {
                let reply = try await api.call(
                    "POST", "/v1/devices", basic: (name, password), TestAPI.description("x"))
                #expect((reply.status, reply.code) == (401, "bad_credentials"))
            }
            // The scheme's name has no case.
            let lower = try await api.call("GET", "/v1/devices", headers: ["authorization": "bearer \(client.token)"])
            #expect(lower.status == 200)
        }
    }

    @Test("Too many refused log-ins are 429 with Retry-After") func limited() async throws {
        var parts = TestGateway.Parts()
        parts.limits.refusedLogins = 3
        try await TestAPI.run(parts) { api in
            try await api.test.account("alice")
            for _ in 0..<3 {
                let reply = try await api.call(
                    "PUT", "/v1/account/password", basic: ("alice", "wrong-password"), ["password": "new-password"])
                #expect(reply.status == 401)
            }
            let reply = try await api.call(
                "PUT", "/v1/account/password", basic: ("alice", TestAPI.password), ["password": "new-password"])
            #expect((reply.status, reply.code) == (429, "rate_limited"))
            #expect((reply.headers["Retry-After"].flatMap { Int($0) } ?? 0) > 0)
        }
    }

    @Test("A disabled account's password and tokens are refused with 403") func disabled() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            #expect(try await api.admin("PATCH", "accounts/alice", ["disabled": true]).status == 200)
            let token = try await api.call("GET", "/v1/devices", token: client.token)
            #expect((token.status, token.code) == (403, "account_disabled"))
            let basic = try await api.call(
                "POST", "/v1/devices", basic: ("alice", TestAPI.password), TestAPI.description("x"))
            #expect((basic.status, basic.code) == (403, "account_disabled"))
            #expect(try await api.admin("PATCH", "accounts/alice", ["disabled": false]).status == 200)
            #expect(try await api.call("GET", "/v1/devices", token: client.token).status == 200)
        }
    }

    @Test("The account's own password can be changed") func password() async throws {
        try await TestAPI.run { api in
            try await api.test.account("alice")
            let path = "/v1/account/password"
            let short = try await api.call("PUT", path, basic: ("alice", TestAPI.password), ["password": "short"])
            #expect((short.status, short.field) == (400, "password"))
            let reply = try await api.call(
                "PUT", path, basic: ("alice", TestAPI.password), ["password": "päss: word"])
            #expect(reply.status == 204)
            let old = try await api.call("POST", "/v1/devices", basic: ("alice", TestAPI.password), [:])
            #expect(old.status == 401)
            // A password may hold colons and other languages' letters.
            let new = try await api.call(
                "POST", "/v1/devices", basic: ("alice", "päss: word"), TestAPI.description("x"))
            #expect(new.status == 201)
        }
    }

    @Test("MN-13 the client chooses between payload and wake-up only", arguments: ["summary", "wakeup"])
    func payload(_ payload: String) async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reply = try await api.call(
                "PATCH", "/v1/devices/\(client.id)", token: client.token, ["payload": .string(payload)])
            #expect(reply["payload"]?.string == payload)
            _ = try await api.call("POST", "/v1/devices/\(client.id)/test", token: client.token)
            #expect(api.test.push.pushes.last?.payload.rawValue == payload)
            let wrong = try await api.call(
                "PATCH", "/v1/devices/\(client.id)", token: client.token, ["payload": "sumary"])
            #expect((wrong.status, wrong.field) == (400, "payload"))
            #expect(wrong["detail"]?.string?.contains("did you mean 'summary'?") == true)
        }
    }
}
