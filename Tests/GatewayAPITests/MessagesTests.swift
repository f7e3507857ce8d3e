import Base
import Gateway
import GatewayTestKit
import Testing

@Suite(.timeLimit(.minutes(2))) struct MessagesTests {
    @Test("MN-10 MN-11 the queue's messages are returned on request, page by page, and stay there") func peek()
        async throws
    {
        try await TestAPI.run { api in
            let client = try await api.device()
            for number in 1...5 { try await api.test.post(subject: "Number \(number)", body: "text \(number)") }
            for _ in 0..<2 {
                var (subjects, after): ([String], String) = ([], "")
                repeat {
                    let page = try await api.call("GET", "/v1/messages?limit=2\(after)", token: client.token)
                    #expect(page.items.count <= 2)
                    subjects += page.items.compactMap { $0["subject"]?.string }
                    after = page["next"]?.string.map { "&after=\($0)" } ?? ""
                } while !after.isEmpty
                #expect(subjects == (1...5).map { "Number \($0)" })
            }
            let first = try await api.call("GET", "/v1/messages?limit=1", token: client.token).items[0]
            #expect(first["body"]?.string == "text 1")
            #expect(first["queue"]?.string == "account/alice")
            #expect(first["sender"]?.string == "account/bob")
            #expect(first["state"]?.string == "ready")
        }
    }

    @Test("Only the account's own queues can be looked into") func queues() async throws {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let cases: [(String, Int)] = [
                ("account/alice", 200), ("device/\(alice.id)", 200), ("account/bob", 403), ("device/\(bob.id)", 403),
                ("app/mail", 403), ("account/nobody", 404), ("device/none", 404), ("app/none", 404), ("alice", 400),
                ("folder/x", 400),
            ]
            for (queue, status) in cases {
                let reply = try await api.call("GET", "/v1/messages?queue=\(queue)", token: alice.token)
                #expect(reply.status == status, "\(queue)")
            }
        }
    }

    @Test("A message's trace tells what became of it") func trace() async throws {
        try await TestAPI.run { api in
            let client = try await api.device()
            let registration = try await api.watched(client)
            let key = try await api.test.news(registration, "1")
            _ = try await api.test.push.alerts(count: 1)
            try await Eventually.wait("the push is noted") {
                let trace = try await api.call("GET", "/v1/messages/\(key)", token: client.token)
                return trace["history"]?.array?.count == 2
            }
            #expect(try await api.call("POST", "/v1/messages/\(key)/read", token: client.token).status == 204)
            // Again is no fault: it is read.
            #expect(try await api.call("POST", "/v1/messages/\(key)/read", token: client.token).status == 204)
            let trace = try await api.call("GET", "/v1/messages/\(key)", token: client.token)
            #expect(trace["id"]?.string == key.description)
            #expect(trace["state"]?.string == "done")
            let history = trace["history"]?.array ?? []
            #expect(history.first?["state"]?.string == "accepted")
            #expect(history.last?["state"]?.string == "done")
            #expect(history.last?["detail"]?.string == "read")
            let told = history.filter { $0["device"]?.string == client.id }
            #expect(!told.isEmpty)
        }
    }

    @Test("Another account's message is 403, and what is no id is 404") func foreign() async throws {
        try await TestAPI.run { api in
            let (alice, bob) = (try await api.device(), try await api.device("bob"))
            let key = try await api.test.post().key
            let carol = try await api.device("carol")
            for (id, status) in [(key.description, 403), ("m9-zzz", 404), ("x", 404), ("m0-1", 404)] {
                #expect(try await api.call("GET", "/v1/messages/\(id)", token: carol.token).status == status, "\(id)")
                #expect(
                    try await api.call("POST", "/v1/messages/\(id)/read", token: carol.token).status == status, "\(id)")
            }
            // Who sent it may ask what became of it, but has nothing to read.
            #expect(try await api.call("GET", "/v1/messages/\(key)", token: bob.token).status == 200)
            #expect(try await api.call("POST", "/v1/messages/\(key)/read", token: bob.token).status == 403)
            #expect(try await api.call("GET", "/v1/messages/\(key)", token: alice.token).status == 200)
        }
    }
}
