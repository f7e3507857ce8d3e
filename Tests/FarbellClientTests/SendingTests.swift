import Base
import Foundation
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct SendingTests {
    private static let accepted = #"{"messages":[{"id":"msg_1","to":"device/dev_2","seq":3,"state":"forwarded"}]}"#

    @Test("TT-2 TT-6 a message that may have been sent is sent again with the same id")
    func sameID() async throws {
        let world = World { request in
            if request.number == 1 { throw FarbellError.broken }
            return ScriptedAnswer(202, Self.accepted)
        }
        let sending = Task { try await world.client.send(to: .tag("kitchen"), "hot", subject: "Oven") }
        try await world.pass()
        let sent = try await sending.value
        #expect(sent.map(\.id) == ["msg_1"] && sent.map(\.state) == [.forwarded])
        let bodies = world.transport.requests.map(\.text)
        #expect(bodies.count == 2 && bodies[0] == bodies[1])
        let json = try #require(world.transport.requests.first).json
        #expect(json["to"] == [["tag": "kitchen"]] && json["body"]?.string == "hot")
        #expect(json["id"]?.string?.count == 36 && json["ttlSeconds"] == nil && json["header"] == nil)
    }

    @Test("every field of a message is written as the API names it")
    func fields() async throws {
        let world = World { _ in ScriptedAnswer(202, Self.accepted) }
        var message = OutgoingMessage("b", subject: "s")
        message.id = "own"
        (message.app, message.header, message.priority) = ("oa", ["k": "v"], .high)
        (message.timeToLive, message.notBefore) = (.milliseconds(1), Date(timeIntervalSince1970: 1_795_248_000.5))
        (message.group, message.collapse, message.correlation) = ("g", "c", "r")
        (message.from, message.receipts) = (.device, .all)
        try await world.client.send(message, to: [.account("li"), .device("dev_2"), .app("oa")])
        let json = try #require(world.transport.requests.first).json
        let expected: JSON = [
            "id": "own", "app": "oa", "header": ["k": "v"], "subject": "s", "body": "b", "priority": "high",
            "ttlSeconds": 1, "notBefore": "2026-11-21T08:00:00.500Z", "group": "g", "collapse": "c",
            "correlation": "r", "from": "device", "receipts": "all",
            "to": [["account": "li"], ["device": "dev_2"], ["app": "oa"]],
        ]
        for member in expected.object?.members ?? [] { #expect(json[member.key] == member.value) }
        #expect(json.object?.members.count == expected.object?.members.count)
    }

    @Test("TT-7 reply, read, trace, peek, lock, dead letters and redrive go to their places")
    func calls() async throws {
        let world = World { request in
            switch request.line {
            case "POST /v1/messages/m 1/reply": ScriptedAnswer(202, Self.accepted)
            case "GET /v1/messages/m1":
                ScriptedAnswer(
                    200,
                    #"{"id":"m1","state":"done","history":[{"at":"2026-11-21T08:00:00.000Z","state":"accepted"}]}"#)
            case "GET /v1/messages", "GET /v1/dead":
                ScriptedAnswer(
                    200,
                    #"""
                    {"items":[{"id":"m1","seq":1,"queue":"app/oa","header":{},"subject":"s","body":"b","state":"dead",
                    "sender":"app/x","enqueued":"2026-11-21T08:00:00.000Z","reason":"max_deliveries","consumer":"oa",
                    "deliveries":10,"at":"2026-11-21T09:00:00.000Z"}],"next":"7"}
                    """#)
            case "POST /v1/messages/m1/lock": ScriptedAnswer(200, World.message("m1"))
            case "POST /v1/messages/m1/read": ScriptedAnswer(204)
            default: ScriptedAnswer(200, #"{"id":"m1","state":"ready"}"#)
            }
        }
        let client = world.client
        try await client.reply(to: "m 1", "answer")
        try await client.read("m1")
        #expect(try await client.trace("m1").history.map(\.state) == ["accepted"])
        let page = try await client.peek(queue: "app/o&a", after: "3", limit: 5)
        #expect(page.items.map(\.subject) == ["s"] && page.next == "7")
        #expect(world.transport.requests("GET /v1/messages").first?.query == "queue=app%2Fo%26a&after=3&limit=5")
        #expect(try await client.lock("m1", queue: "app/oa").receipt.token == "token-m1")
        let dead = try await client.deadLetters().items
        #expect(dead.first?.reason == "max_deliveries" && dead.first?.deliveries == 10 && dead.first?.consumer == "oa")
        try await client.redrive("m1")
        #expect(world.transport.requests.last?.line == "POST /v1/dead/m1/redrive")
    }

    @Test("SG-11 a tap becomes a launch; one by app is not repeated")
    func launches() async throws {
        let world = World { request in
            if request.json["app"] != nil { throw FarbellError.broken }
            return ScriptedAnswer(
                201,
                #"""
                {"id":"l1","app":"outlook","session":null,"expires":"2026-11-21T08:01:00.000Z",
                "action":{"kind":"file","contentType":"application/x-rdp","name":"a.rdp","body":"aGk="}}
                """#)
        }
        let launch = try await world.client.launch(tap: "t")
        #expect(launch.action == .file(contentType: "application/x-rdp", name: "a.rdp", contents: Data("hi".utf8)))
        await #expect(throws: FarbellError.self) { try await world.client.launch(app: "outlook") }
        #expect(world.transport.requests.count == 2)
    }

    @Test("errors carry code, status, field, Retry-After and request id; no token shows")
    func errors() async throws {
        let world = World { _ in
            ScriptedAnswer(
                400, #"{"code":"invalid_field","detail":"to[0]: no","field":"to[0]"}"#,
                headers: ["farbell-request-id": "r1"])
        }
        let error = await #expect(throws: FarbellError.self) { try await world.client.send(to: .app("x"), "b") }
        #expect(error?.code == "invalid_field" && error?.field == "to[0]" && error?.requestID == "r1")
        #expect("\(error as Any)".contains("to[0]: no"))
        var dumped = ""
        dump(world.client, to: &dumped)
        #expect(!"\(world.client)\(dumped)".contains("secret-token"))
        let page = World { _ in ScriptedAnswer(500, "<html>") }
        let odd = await #expect(throws: FarbellError.self) { try await page.client.read("m") }
        #expect(odd?.code == "http_500")
    }
}
