import Base
import GatewayTestKit
import Inbound
import Testing

/// What the shell client of `Documentation/Examples` says, seen by a server that keeps it.
@Suite(.timeLimit(.minutes(1))) struct SmallDeviceTests {
    private static let script =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        + "/Documentation/Examples/small-device.sh"

    private struct Said: Sendable {
        let line: String
        let authorization: String?
        let body: JSON
    }

    @Test("TT-2 TT-7 TT-9 curl and sed create a device, read the stream, acknowledge, send by tag and reply")
    func script() async throws {
        let said = Locked<[Said]>([])
        let stream = EventStream()
        let keep: @Sendable (InboundRequest) -> Void = { request in
            let body = (try? JSONParser.parse(request.body)) ?? .null
            let line = "\(request.method) \(request.rawPath)"
            said.withLock { $0.append(Said(line: line, authorization: request.headers["Authorization"], body: body)) }
        }
        var router = Router()
        router.addNow("POST", "/v1/devices") { request in
            keep(request)
            return .json(["id": "dev_1", "token": "tok-1", "account": "alice"], status: 201)
        }
        router.addNow("GET", "/v1/stream") { request in
            keep(request)
            return .stream(stream)
        }
        for path in ["/v1/stream/ack", "/v1/messages", "/v1/messages/{id}/reply"] {
            router.addNow("POST", path) { request in
                keep(request)
                return .empty(path == "/v1/stream/ack" ? 204 : 202)
            }
        }
        let server = try Server(ServerConfiguration(threads: 2), handler: router, log: Log(sink: NullLogSink()))
        try server.listen()
        let port = Int(try #require(server.port))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            defer { server.beginShutdown() }
            try await Self.use(port, stream) { said.withLock { $0 } }
            server.beginShutdown()
            try await group.waitForAll()
        }
    }

    private static func use(_ port: Int, _ stream: EventStream, _ said: @Sendable () -> [Said]) async throws {
        let folder = try TemporaryFolder()
        func run(_ arguments: String..., input: String? = nil) async throws {
            let words = [
                "FARBELL_URL=http://127.0.0.1:\(port)", "FARBELL_STATE=\(folder.file("state"))", "sh", script,
            ]
            let end = try await ChildProcess.run("env", words + arguments, input: input)
            #expect(end.exit == .code(0), "\(end.errors)")
        }
        try await run("create", "alice", "oven \"7\"", "kitchen", input: "pass\\ \"word\"\n")
        let created = try #require(said().first)
        #expect(created.authorization == "Basic \(Array("alice:pass\\ \"word\"".utf8).base64)")
        #expect(created.body["installation"]?.string == "oven \"7\"")
        #expect(created.body["tags"]?.array?.map(\.string) == ["kitchen"])

        let listener = try await ChildProcess(
            "env",
            [
                "FARBELL_URL=http://127.0.0.1:\(port)", "FARBELL_STATE=\(folder.file("state"))", "sh", script, "listen",
            ])
        try await Eventually.wait("the stream") { said().last?.line == "GET /v1/stream" }
        stream.send(id: nil, event: "hello", data: Array("{}".utf8))
        stream.send(id: 41, event: "message", data: Array(#"{"id":"m-1","body":"a \\ \"b\""}"#.utf8))
        let heard = try await listener.waitForLine("the message") { _ in true }
        #expect(heard == #"message {"id":"m-1","body":"a \\ \"b\""}"#)
        try await Eventually.wait("the acknowledgement") { said().last?.line == "POST /v1/stream/ack" }
        #expect(said().last?.body["upTo"]?.integer == 41)
        listener.kill()

        try await run("send", "kitchen", "say \"hi\"\\\tnow")
        let sent = try #require(said().last)
        #expect(sent.line == "POST /v1/messages" && sent.authorization == "Bearer tok-1")
        #expect(sent.body["to"]?["tag"]?.string == "kitchen" && sent.body["body"]?.string == "say \"hi\"\\ now")
        #expect(sent.body["id"]?.string?.isEmpty == false)
        try await run("reply", "m-1", "done")
        #expect(said().last?.line == "POST /v1/messages/m-1/reply" && said().last?.body["body"]?.string == "done")
    }
}
