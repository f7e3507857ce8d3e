import Base
import Gateway
import GatewayTestKit
import Inbound
import Testing

@Suite(.timeLimit(.minutes(2))) struct StreamTests {
    private func open(
        _ api: TestAPI, _ client: Client, after: String? = nil
    ) async throws -> EventReader {
        var headers: HTTPFields = [:]
        if let after { headers["Last-Event-ID"] = after }
        let reply = try await api.call("GET", "/v1/stream", token: client.token, headers: headers)
        #expect(reply.status == 200)
        #expect(reply.headers["Cache-Control"] == "no-store")
        return EventReader(try #require(reply.stream))
    }

    @Test("MN-9 the token opens the device's stream; it begins with a pause to reconnect and hello") func hello()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reader = try await open(api, client)
            let hello = try await reader.first("hello")
            #expect(hello.id == nil)
            #expect(hello.data["device"]?.string == client.id)
            #expect(hello.data["cursor"]?.integer == 0)
            #expect((hello.data["epoch"]?.integer ?? 0) > 0)
            #expect(hello.data.object?.keys == ["device", "epoch", "cursor"])
            #expect(reader.all.hasPrefix("retry: 2000\n\n"))
            let shown = try await api.call("GET", "/v1/devices/\(client.id)", token: client.token)
            #expect(shown["connected"]?.bool == true)
        }
    }

    @Test("MN-9 news comes on the stream instead of the push service") func news() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            let reader = try await open(api, client)
            try await Eventually.wait("the stream is live") { api.gateway.streams.isLive(DeviceID(client.id)) }
            let key = try await api.test.news(registration, "1", from: "Bob", title: "Lunch", preview: "At noon?")
            let message = try await reader.first("message")
            #expect(message.id == key.seq)
            #expect(message.data["id"]?.string == key.description)
            #expect(message.data["queue"]?.string == "account/alice")
            #expect(message.data["app"]?.string == "mail")
            #expect(message.data["subject"]?.string == "Lunch")
            #expect(message.data["body"]?.string == "At noon?")
            #expect(message.data["sender"]?.string == "app/mail")
            let notify = try await reader.first("notify")
            #expect((notify.id ?? 0) > key.seq)
            #expect(notify.data["message"]?.string == key.description)
            #expect(notify.data["badge"]?.integer == 1)
            #expect(notify.data["tap"]?.string?.isEmpty == false)
            let ack = try await api.call(
                "POST", "/v1/stream/ack", token: client.token, ["upTo": .integer(notify.id ?? 0)])
            #expect(ack.status == 204)
            try await api.test.advance(by: .seconds(30))
            #expect(api.test.push.alerts.isEmpty)
        }
    }

    @Test("MN-9 a stream goes on after the device's cursor, or after the event the client names") func resume()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            var keys: [MessageKey] = []
            for number in 1...3 { keys.append(try await api.test.news(registration, "\(number)")) }
            func heard(_ reader: EventReader) async throws -> [Int64] {
                let last = keys[2].seq
                _ = try await reader.first("message") { $0.id == last }
                return reader.events.filter { $0.event == "message" }.compactMap(\.id)
            }
            #expect(try await heard(open(api, client)) == keys.map(\.seq))
            let ack = try await api.call(
                "POST", "/v1/stream/ack", token: client.token, ["upTo": .integer(keys[0].seq)])
            #expect(ack.status == 204)
            #expect(try await heard(open(api, client)) == [keys[1].seq, keys[2].seq])
            #expect(try await heard(open(api, client, after: "\(keys[1].seq)")) == [keys[2].seq])
            // An id this queue never gave out must hide nothing.
            #expect(try await heard(open(api, client, after: "999999999")) == [keys[1].seq, keys[2].seq])
            for wrong in ["abc", "-1"] {
                let reply = try await api.call(
                    "GET", "/v1/stream", token: client.token, headers: ["Last-Event-ID": wrong])
                #expect((reply.status, reply.field) == (400, "Last-Event-ID"))
            }
            let beyond = try await api.call("POST", "/v1/stream/ack", token: client.token, ["upTo": 999_999_999])
            #expect((beyond.status, beyond.field) == (400, "upTo"))
        }
    }

    @Test("A second stream of a device ends the first; the device stays connected") func fencing() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let first = try await open(api, client)
            let second = try await open(api, client)
            #expect(!first.stream.isOpen)
            #expect(second.stream.isOpen)
            let epochs = [try await first.first("hello"), try await second.first("hello")].map {
                $0.data["epoch"]?.integer ?? 0
            }
            #expect(epochs[0] < epochs[1])
            #expect(api.gateway.streams.isConnected(DeviceID(client.id)))
            second.stream.close()
            try await Eventually.wait("the gateway knows that the stream ended") {
                !api.gateway.streams.isConnected(DeviceID(client.id))
            }
        }
    }

    @Test("A client that reads nothing is dropped, without harm to the sender, and resumes where it was")
    func overflow() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reader = try await open(api, client)
            try await Eventually.wait("the stream is live") { api.gateway.streams.isLive(DeviceID(client.id)) }
            let body = String(repeating: "x", count: 60_000)
            for _ in 0..<8 { try await api.test.post(body: body) }
            try await Eventually.wait("the stream is dropped") { !reader.stream.isOpen }
            try await Eventually.wait("the gateway knows it") {
                !api.gateway.streams.isConnected(DeviceID(client.id))
            }
            // More is stored than may wait at once: the replay must wait for its reader.
            let again = try await open(api, client)
            try await Eventually.wait("all eight arrive") {
                again.events.count { $0.event == "message" } == 8
            }
            #expect(again.stream.isOpen)
        }
    }

    @Test("MN-7 a revoked token's stream is closed") func revoked() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let reader = try await open(api, client)
            #expect(try await api.call("DELETE", "/v1/devices/\(client.id)", token: client.token).status == 204)
            #expect(!reader.stream.isOpen)
            #expect(try await api.call("GET", "/v1/stream", token: client.token).status == 401)
            let second = try await api.device("alice", "tablet")
            let other = try await open(api, second)
            #expect(try await api.admin("PATCH", "accounts/alice", ["disabled": true]).status == 200)
            #expect(!other.stream.isOpen)
        }
    }

    @Test("Reading a message clears it on the account's other devices; a launch reaches the running client")
    func events() async throws {
        try await TestAPI.run { api in
            let phone = try await api.device()
            let registration = try await api.watched(phone)
            let tablet = try await api.device("alice", "tablet")
            let reader = try await open(api, tablet)
            try await Eventually.wait("the stream is live") { api.gateway.streams.isLive(DeviceID(tablet.id)) }
            let key = try await api.test.news(registration, "1")
            #expect(try await api.call("POST", "/v1/messages/\(key)/read", token: phone.token).status == 204)
            let clear = try await reader.first("clear")
            #expect(clear.data["message"]?.string == key.description)
            #expect(clear.data["notifications"]?.array != nil)
            let session = try await api.logIn(tablet)
            let launch = try await api.call("POST", "/v1/launches", token: tablet.token, ["app": "mail"])
            #expect(launch.status == 201)
            #expect(launch["session"]?.string == session)
            let raised = try await reader.first("launch")
            #expect(raised.data == ["launch": launch["id"] ?? .null, "app": "mail"])
        }
    }
}
