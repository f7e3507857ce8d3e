import Base
import Gateway
import GatewayAPI
import GatewayTestKit
import Testing

@testable import Inbound

// What the tests of the queue begin with.
extension TestAPI {
    /// The keys of the apps `talk` and `desk`.
    static let talkKey = "talk-key-0123456789-0123456789-0123456789"
    static let deskKey = "desk-key-0123456789-0123456789-0123456789"
    /// The queue of `talk`.
    static let talk: JSON = ["app": "talk"]

    static var withKeys: TestGateway.Parts {
        var parts = TestGateway.Parts()
        parts.configure = { configuration in
            for index in configuration.apps.indices {
                switch configuration.apps[index].id {
                case "talk": configuration.apps[index].key = Secret(talkKey)
                case "desk": configuration.apps[index].key = Secret(deskKey)
                default: break
                }
            }
        }
        return parts
    }

    /// Runs a gateway whose apps have keys.
    static func runQueue(
        limits change: (inout Limits) -> Void = { _ in }, _ body: @escaping @Sendable (TestAPI) async throws -> Void
    ) async throws {
        var parts = withKeys
        change(&parts.limits)
        try await run(parts, body)
    }

    /// Sends one message as `desk` unless told otherwise; returns the first recipient's answer.
    @discardableResult
    func send(
        to: JSON = TestAPI.talk, as token: String = TestAPI.deskKey, _ body: String = "text", _ more: JSON = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> JSON {
        let reply = try await post(to: to, as: token, body, more, at: location)
        #expect(reply.status == 202, "\(reply.text)", sourceLocation: location)
        return reply["messages"]?[0] ?? .null
    }

    func post(
        to: JSON = TestAPI.talk, as token: String = TestAPI.deskKey, _ body: String = "text", _ more: JSON = [:],
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        var order: JSONObject = ["to": to, "body": .string(body)]
        for member in more.object?.members ?? [] { order[member.key] = member.value }
        return try await call("POST", "/v1/messages", token: token, .object(order), at: location)
    }

    /// Receives as `talk` unless told otherwise.
    @discardableResult
    func receive(
        _ order: JSON = [:], as token: String = TestAPI.talkKey, at location: SourceLocation = #_sourceLocation
    ) async throws -> [JSON] {
        let reply = try await call("POST", "/v1/messages/receive", token: token, order, at: location)
        #expect(reply.status == 200, "\(reply.text)", sourceLocation: location)
        return reply["messages"]?.array ?? []
    }

    /// Says something of a message that was received.
    func settle(
        _ message: JSON, _ verb: String, _ more: JSON = [:], as token: String = TestAPI.talkKey,
        at location: SourceLocation = #_sourceLocation
    ) async throws -> Reply {
        var order: JSONObject = ["token": message["receipt"]?["token"] ?? .null]
        for member in more.object?.members ?? [] { order[member.key] = member.value }
        return try await call(
            "POST", "/v1/messages/\(message["id"]?.string ?? "")/\(verb)", token: token, .object(order), at: location)
    }

    /// The messages that can be seen in the queue, without locking them.
    func peek(as token: String = TestAPI.talkKey, queue: String? = nil) async throws -> [JSON] {
        try await call("GET", "/v1/messages" + (queue.map { "?queue=\($0)" } ?? ""), token: token).items
    }

    func trace(_ id: String?, as token: String = TestAPI.talkKey) async throws -> Reply {
        try await call("GET", "/v1/messages/\(id ?? "")", token: token)
    }

    /// Begins a request that may take its time; its answer is in the box when it is there.
    func begin(
        _ target: String, as token: String = TestAPI.talkKey, _ body: JSON,
        isPeerGone: @escaping @Sendable () -> Bool = { false }
    ) throws -> Pending {
        let pending = Pending()
        let request = try InboundRequest(
            "POST", target, headers: ["Authorization": "Bearer \(token)"], body: body.serializedBytes, id: "request-1")
        guard case .whenDone(let start) = try handler.answer(request) else { return pending }
        let responder = Responder(isPeerGone: isPeerGone) { response in
            guard case .bytes(let bytes) = response.body else { return }
            pending.answer.withLock { $0 = (response.status, bytes) }
        }
        pending.responder.withLock { $0 = responder }
        start(responder)
        return pending
    }

    /// Waits until so many consumers wait.
    func waitForWaiters(_ count: Int, _ queue: QueueAddress = .app("talk")) async throws {
        try await Eventually.wait("\(count) waiting") {
            self.gateway.mailroom.all().first { $0.address == queue }?.waiting == count
        }
    }
}

/// A request that is under way.
final class Pending: Sendable {
    let answer = Locked<(status: Int, body: [UInt8])?>(nil)
    let responder = Locked<Responder?>(nil)

    var isAnswered: Bool { answer.withLock { $0 != nil } }
    var json: JSON { answer.withLock { $0.flatMap { try? JSONParser.parse($0.body) } } ?? .null }

    func messages(_ what: String = "an answer") async throws -> [JSON] {
        try await Eventually.wait(what) { self.isAnswered }
        return json["messages"]?.array ?? []
    }

    /// What the server does when it drains, or sees that the client has hung up.
    func cancel() { responder.withLock { $0 }?.cancel() }
}

extension JSON {
    var id: String { self["id"]?.string ?? "" }
    var body: String { self["body"]?.string ?? "" }
    var delivery: Int64? { self["receipt"]?["delivery"]?.integer }
}
