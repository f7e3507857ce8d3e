import Base
import Foundation
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct PeopleTests {
    private static let bob = #"""
        {"account":"bob","state":"contact","blocked":false,"since":"2026-11-21T08:00:00.000Z","kind":"person",
        "status":"offline","text":"at home","lastSeen":"2026-11-21T09:00:00.000Z"}
        """#
    private static let nobody =
        #"{"account":"no/body","state":"asked","blocked":true,"since":"2026-11-21T08:00:00.000Z","status":"offline"}"#
    private static let status =
        #"{"status":"lunch","text":"soup","fromSessions":true,"showLastSeen":false,"tellApps":false,"seenAs":"away"}"#

    @Test("IM-8 contacts are listed, asked or accepted, and removed; blocks are set and lifted") func contacts()
        async throws
    {
        let world = World { request in
            switch request.line {
            case "GET /v1/contacts": ScriptedAnswer(200, #"{"items":[\#(Self.bob)],"next":"bob"}"#)
            case "GET /v1/contacts/bob": ScriptedAnswer(200, Self.bob)
            case "PUT /v1/contacts/no/body": ScriptedAnswer(200, Self.nobody)
            case "GET /v1/blocks":
                ScriptedAnswer(
                    200, #"{"items":[{"account":"eve","since":"2026-11-21T08:00:00.000Z"}],"next":null}"#)
            default: ScriptedAnswer(204)
            }
        }
        let client = world.client
        let list = try await client.contacts(limit: 5, after: "anna")
        let bob = try #require(list.items.first)
        #expect(list.next == "bob" && bob.id == "bob" && bob.state == "contact" && bob.kind == "person")
        #expect(bob.status == "offline" && bob.text == "at home" && bob.lastSeen.map { $0 > bob.since } == true)
        #expect(try await client.contact("bob") == bob)
        let asked = try await client.addContact("no/body")
        #expect(asked.state == "asked" && asked.kind == nil && asked.lastSeen == nil && asked.blocked)
        try await client.removeContact("bob")
        let blocks = try await client.blocks()
        #expect(blocks.items.map(\.account) == ["eve"] && blocks.next == nil)
        try await client.block("eve")
        try await client.unblock("eve")
        let requests = world.transport.requests
        #expect(
            requests.map(\.line) == [
                "GET /v1/contacts", "GET /v1/contacts/bob", "PUT /v1/contacts/no/body", "DELETE /v1/contacts/bob",
                "GET /v1/blocks", "PUT /v1/blocks/eve", "DELETE /v1/blocks/eve",
            ])
        #expect(requests[0].query == "limit=5&after=anna" && requests[4].query == "limit=100")
        #expect(requests.allSatisfy { $0.body.isEmpty })
    }

    @Test("IM-9 the own status is read, and only what changes is sent") func status() async throws {
        let world = World { _ in ScriptedAnswer(200, Self.status) }
        let status = try await world.client.status()
        #expect(status.status == .lunch && status.text == "soup" && status.seenAs == "away")
        #expect(status.fromSessions && !status.showLastSeen && !status.tellApps)
        try await world.client.setStatus(StatusChange(.busy))
        var change = StatusChange(text: "")
        (change.fromSessions, change.showLastSeen, change.tellApps) = (false, true, true)
        #expect(try await world.client.setStatus(change) == status)
        let requests = world.transport.requests
        #expect(requests.map(\.line) == ["GET /v1/status", "PUT /v1/status", "PUT /v1/status"])
        #expect(requests[1].members == [#"status="busy""#])
        #expect(
            requests[2].members == ["fromSessions=false", "showLastSeen=true", "tellApps=true", #"text="""#])
    }

    @Test("IM-8 IM-9 a refusal is a typed error") func refusal() async throws {
        let world = World { _ in .problem(404, "not_found") }
        let error = await #expect(throws: FarbellError.self) { try await world.client.addContact("nobody") }
        #expect(error?.code == .notFound && error?.status == 404)
    }

    @Test("IM-8 IM-9 what happens to contacts is read from the stream") func events() {
        let presence = StreamEvent(
            id: 4, name: "presence",
            data: #"{"account":"bob","status":"offline","lastSeen":"2026-11-21T09:00:00.000Z"}"#)
        guard case .presence(let content) = presence.content else {
            Issue.record("\(presence.content)")
            return
        }
        #expect(content.account == "bob" && content.status == "offline" && content.text == nil)
        #expect(content.lastSeen != nil)
        let contact = StreamEvent(id: 5, name: "contact", data: #"{"account":"li","state":"asking","blocked":false}"#)
        guard case .contact(let change) = contact.content else {
            Issue.record("\(contact.content)")
            return
        }
        #expect(change.account == "li" && change.state == "asking" && !change.blocked)
    }
}
