import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Testing

@testable import Inbound

/// What came back over the API.
struct Reply: Sendable {
    let status: Int
    let headers: HTTPFields
    let contentType: String?
    let body: [UInt8]
    /// Where the answer is a stream.
    let stream: EventStream?

    var text: String { String(decoding: body, as: UTF8.self) }
    var json: JSON { (try? JSONParser.parse(body)) ?? .null }
    subscript(_ key: String) -> JSON? { json[key] }
    var code: String? { json["code"]?.string }
    var field: String? { json["field"]?.string }
    var items: [JSON] { json["items"]?.array ?? [] }
}

/// The API over a whole gateway in memory. Every answer is checked against the document.
final class TestAPI: Sendable {
    static let adminToken = Secret("admin-token-0123456789")
    static let password = TestGateway.password.exposed

    let test: TestGateway
    let isStarted = Locked(true)
    let problems = Locked<[String]>([])
    let reloads = Locked(0)
    private let filesURL = Locked<String?>(nil)
    /// Every answer so far, with the route it came from.
    let replies = Recorder<(route: String, reply: Reply)>()
    private let current: Locked<APIHandler?> = Locked(nil)
    private let document = OpenAPI.document(publicURL: "https://farbell.example", version: "1.2.3")

    private init(_ test: TestGateway) { self.test = test }

    var gateway: Gateway { test.gateway }
    var handler: APIHandler {
        current.withLock { current in
            if let current { return current }
            let handler = makeHandler()
            current = handler
            return handler
        }
    }

    private func makeHandler() -> APIHandler {
        var options = APIOptions(
            publicURL: "https://farbell.example", version: "1.2.3", adminToken: Self.adminToken,
            isStarted: { [self] in isStarted.withLock { $0 } },
            configurationProblems: { [self] in problems.withLock { $0 } },
            reload: { [self] in reloads.withLock { $0 += 1 } }, jitter: { 0 })
        options.filesURL = filesURL.withLock { $0 }
        return APIHandler(gateway: test.gateway, options: options)
    }

    /// Gives the portal a place for files, from the next call on. The new handler's services do not run.
    func place(files url: String) {
        filesURL.withLock { $0 = url }
        current.withLock { $0 = nil }
    }

    /// Runs a gateway and what the API needs beside it around `body`.
    static func run(
        _ parts: TestGateway.Parts = TestGateway.Parts(), _ body: @escaping @Sendable (TestAPI) async throws -> Void
    ) async throws {
        try await TestGateway.run(parts) { test in
            let api = TestAPI(test)
            try await api.serving { try await body(api) }
        }
    }

    private func serving(_ body: @Sendable () async throws -> Void) async throws {
        let services = handler.services
        try await withThrowingTaskGroup(of: Void.self) { group in
            for service in services { group.addTask { try await service.run() } }
            defer { for service in services { service.beginShutdown() } }
            try await body()
        }
    }

    /// Restarts the gateway on its store; `body` runs against the new one.
    func restarted(_ body: @Sendable () async throws -> Void) async throws {
        try await test.restart()
        current.withLock { $0 = nil }
        try await serving(body)
    }

    // MARK: Calls

    func call(
        _ method: String, _ target: String, token: String? = nil, basic: (String, String)? = nil,
        headers more: HTTPFields = [:], bytes: [UInt8]? = nil, _ body: JSON? = nil,
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        var headers = more
        if let token { headers["Authorization"] = "Bearer \(token)" }
        if let basic { headers["Authorization"] = "Basic \(Array("\(basic.0):\(basic.1)".utf8).base64)" }
        let request = try InboundRequest(
            method, target, headers: headers, body: bytes ?? body?.serializedBytes ?? [], id: "request-1")
        let response: InboundResponse
        switch try handler.answer(request) {
        case .now(let ready): response = ready
        case .later(let work): response = try await work()
        case .whenDone(let start):
            response = await withCheckedContinuation { continuation in
                start(Responder { continuation.resume(returning: $0) })
            }
        }
        let reply: Reply
        switch response.body {
        case .bytes(let bytes):
            reply = Reply(
                status: response.status, headers: response.headers, contentType: response.contentType, body: bytes,
                stream: nil)
        case .stream(let stream):
            reply = Reply(
                status: response.status, headers: response.headers, contentType: response.contentType, body: [],
                stream: stream)
        }
        check(method, request, body, reply, location)
        return reply
    }

    func admin(
        _ method: String, _ path: String, _ body: JSON? = nil, at location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        try await call(method, "/v1/admin/\(path)", token: Self.adminToken.exposed, body, at: location)
    }

    // MARK: Against the document

    /// The document's path that a request's path is an example of; literal segments go first.
    private func path(_ segments: [String]) -> String? {
        let patterns = document["paths"]?.object?.keys ?? []
        return patterns.filter { pattern in
            let parts = pattern.dropFirst().split(separator: "/").map(String.init)
            // The only parameter of several segments.
            let isRest = parts.last == "{path}" && parts.count < segments.count
            return (parts.count == segments.count || isRest)
                && zip(parts, segments).allSatisfy { $0 == $1 || $0.hasPrefix("{") && !$1.isEmpty }
        }.min { $0.count { $0 == "{" } < $1.count { $0 == "{" } }
    }

    private func check(
        _ method: String, _ request: InboundRequest, _ body: JSON?, _ reply: Reply, _ location: SourceLocation
    ) {
        let checker = SchemaCheck(document)
        guard let path = path(request.segments),
            let operation = document["paths"]?[path]?[method == "HEAD" ? "get" : method.lowercased()]
        else {
            #expect([404, 405].contains(reply.status), "\(method) \(request.rawPath)", sourceLocation: location)
            return
        }
        let route = "\(method) \(path)"
        replies.append((route, reply))
        guard var answer = operation["responses"]?[String(reply.status)] else {
            Issue.record("\(route) answers \(reply.status) (\(reply.text))", sourceLocation: location)
            return
        }
        if let reference = answer["$ref"]?.string { answer = checker.resolve(reference) ?? .null }
        guard let content = answer["content"]?.object?.members.first else {
            #expect(reply.body.isEmpty && reply.stream == nil, "\(route) has a body", sourceLocation: location)
            return
        }
        let type = reply.contentType?.split(separator: ";").first.map(String.init)
        #expect(type == content.key || content.key == "*/*", "\(route)", sourceLocation: location)
        if content.key.hasSuffix("json"), !["/openapi.json", "/manifest.webmanifest"].contains(path),
            let schema = content.value["schema"]
        {
            let faults = checker.faults(reply.json, schema)
            #expect(faults.isEmpty, "\(route) \(reply.status): \(faults) in \(reply.text)", sourceLocation: location)
        }
        // What the server takes must be what the document lets in.
        if reply.status < 300, let body,
            let schema = operation["requestBody"]?["content"]?["application/json"]?["schema"]
        {
            let faults = checker.faults(body, schema)
            #expect(faults.isEmpty, "\(route) takes \(body.serialized): \(faults)", sourceLocation: location)
        }
    }
}
