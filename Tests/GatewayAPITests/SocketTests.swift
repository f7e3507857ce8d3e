import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Inbound
import Glibc
import Testing

@Suite(.timeLimit(.minutes(2))) struct SocketTests {
    /// Runs the API behind a real server; `body` blocks, so it has a thread of its own.
    private func serve(
        _ api: TestAPI, _ body: @escaping @Sendable (UInt16) throws -> Void
    ) async throws {
        var configuration = ServerConfiguration(threads: 2)
        configuration.limits.bodyBytes = 4096
        configuration.limits.drainTimeout = .seconds(2)
        let server = try Server(configuration, handler: api.handler, log: Log(sink: api.test.log))
        try server.listen()
        let port = try #require(server.port)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            let thread = WorkThread(name: "client")
            defer {
                thread.stop()
                server.beginShutdown()
            }
            try await thread.run { try body(port) }
        }
    }

    @Test("MN-6 MN-7 over a socket: bind, list, refuse, and every answer carries its request's id") func requests()
        async throws
    {
        try await TestAPI.run { api in
            try await api.test.account("alice")
            try await serve(api) { port in
                let client = try WireClient(port: port)
                let basic = "Authorization: Basic \(Array("alice:\(TestAPI.password)".utf8).base64)"
                let body = TestAPI.description("inst").serializedBytes
                let bound = try client.call("POST", "/v1/devices", headers: [basic], body: body)
                #expect(bound.status == 201)
                let token = bound.json["token"]?.string ?? ""
                let list = try client.call("GET", "/v1/devices", headers: ["Authorization: Bearer \(token)"])
                #expect(list.status == 200)
                #expect(list.json["items"]?.array?.count == 1)
                let refused = try client.call("GET", "/v1/devices", headers: ["Authorization: Bearer x"])
                #expect(refused.status == 401)
                #expect(refused.headers["WWW-Authenticate"] == "Bearer realm=\"farbell\"")
                #expect(refused.headers["Content-Type"] == "application/problem+json")
                let ids = [bound, list, refused].map { $0.headers["Farbell-Request-Id"] ?? "" }
                #expect(Set(ids).count == 3 && !ids.contains(""))
                let large = try client.call(
                    "POST", "/v1/devices", headers: [basic], body: [UInt8](repeating: 0x20, count: 5000))
                #expect((large.status, large.json["code"]?.string) == (413, "body_too_large"))
            }
            let records = api.test.log.records(of: .authRefused)
            #expect(records.contains { $0.fields["address"] == "127.0.0.1" })
        }
    }

    @Test("MN-9 over a socket: the stream brings hello and news, and its end is noticed") func stream() async throws {
        try await TestAPI.run { api in
            let device = try await api.device()
            let isHeard = ShutdownSignal()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    try await Eventually.wait("the stream is live") { api.gateway.streams.isLive(DeviceID(device.id)) }
                    try await api.test.post(subject: "Over the wire")
                    await isHeard.wait()
                    try await Eventually.wait("the gateway knows that the client is gone") {
                        !api.gateway.streams.isConnected(DeviceID(device.id))
                    }
                    #expect(
                        api.test.log.records(of: .streamClosed).last?.fields["reason"] == "client_gone")
                }
                try await serve(api) { port in
                    do {
                        let client = try WireClient(port: port)
                        let head = try client.head(
                            "GET", "/v1/stream", headers: ["Authorization: Bearer \(device.token)"])
                        #expect(head.status == 200)
                        #expect(head.headers["Content-Type"] == "text/event-stream")
                        #expect(try client.read(until: "event: hello\ndata: ").contains("retry: 2000\n\n"))
                        #expect(try client.read(until: "\n\n").contains("\"device\":\"\(device.id)\""))
                        let message = try client.read(until: "\"subject\":\"Over the wire\"")
                        #expect(message.contains("event: message"))
                        #expect(message.contains("id: "))
                    }
                    isHeard.raise()
                    // The server stays until the client's end was noticed.
                    let time = SystemTime()
                    let deadline = time.now + .seconds(10)
                    while api.gateway.streams.isConnected(DeviceID(device.id)), time.now < deadline {
                        usleep(2000)
                    }
                }
                isHeard.raise()
                try await group.waitForAll()
            }
        }
    }

    @Test("A server that stops ends its streams with another time to come back") func shutdown() async throws {
        try await TestAPI.run { api in
            let device = try await api.device()
            let client = Locked<WireClient?>(nil)
            try await serve(api) { port in
                let socket = try WireClient(port: port)
                _ = try socket.head("GET", "/v1/stream", headers: ["Authorization: Bearer \(device.token)"])
                _ = try socket.read(until: "event: hello")
                client.withLock { $0 = socket }
            }
            try await Eventually.wait("the gateway knows that the stream ended") {
                !api.gateway.streams.isConnected(DeviceID(device.id))
            }
            #expect(api.test.log.records(of: .streamClosed).last?.fields["reason"] == "shutdown")
            let rest = try client.withLock { try $0?.read(until: "0\r\n\r\n") }
            #expect(rest?.contains("retry: ") == true)
        }
    }
}
