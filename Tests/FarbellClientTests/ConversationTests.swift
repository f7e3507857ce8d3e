import Base
import Foundation
import GatewayTestKit
import Testing

@testable import FarbellClient

@Suite(.timeLimit(.minutes(1))) struct ConversationTests {
    private static let entry = #"""
        {"number":7,"id":"m1-2","from":"account/bob","at":"2026-11-21T08:00:00.000Z","header":{"k":"v"},"subject":null,
        "body":"b","attachments":[{"url":"https://x.example/f","contentType":"image/png","sizeBytes":5}],
        "state":"read","edited":"2026-11-21T09:00:00.000Z"}
        """#
    private static let marks =
        #""peer":"account/bob","kind":"account","read":1,"peerRead":2,"peerDelivered":3,"unread":4"#

    @Test("IM-3 IM-6 list, history, read, typing, edit and withdrawal go to their places") func calls() async throws {
        let world = World { request in
            switch request.line {
            case "GET /v1/conversations":
                ScriptedAnswer(
                    200, #"{"items":[{\#(Self.marks),"name":"Bob","last":\#(Self.entry)}],"next":"7"}"#)
            case "GET /v1/conversations/account/bob":
                ScriptedAnswer(200, #"{\#(Self.marks),"items":[\#(Self.entry)],"next":null}"#)
            case "PATCH /v1/messages/m1-2": ScriptedAnswer(200, Self.entry)
            default: ScriptedAnswer(204)
            }
        }
        let (client, bob) = (world.client, ConversationPeer.account("bob"))
        let list = try await client.conversations(limit: 5, after: "9")
        #expect(list.next == "7" && list.items[0].name == "Bob" && list.items[0].unread == 4)
        #expect(list.items[0].peer == bob && list.items[0].last?.number == 7)
        let history = try await client.history(with: bob, before: 9)
        #expect(history.items[0].from == bob && history.items[0].attachments?.first?.sizeBytes == 5)
        #expect(history.items[0].edited != nil && history.items[0].withdrawn == nil && history.next == nil)
        #expect((history.read, history.peerRead, history.peerDelivered) == (1, 2, 3))
        _ = try await client.history(with: bob, after: 9, limit: 2)
        try await client.read(with: .app("oa"), upTo: 7)
        try await client.typing(.composing, with: bob)
        #expect(try await client.edit("m1-2", "new").body == "b")
        try await client.withdraw("m1-2")
        let requests = world.transport.requests
        #expect(
            requests.map(\.line) == [
                "GET /v1/conversations", "GET /v1/conversations/account/bob", "GET /v1/conversations/account/bob",
                "POST /v1/conversations/app/oa/read", "POST /v1/conversations/account/bob/typing",
                "PATCH /v1/messages/m1-2", "DELETE /v1/messages/m1-2",
            ])
        #expect(
            requests.map(\.query) == ["limit=5&after=9", "limit=100&before=9", "limit=2&after=9", nil, nil, nil, nil])
        #expect(requests[3].members == ["upTo=7"] && requests[4].members == [#"state="composing""#])
        #expect(requests[5].members == [#"body="new""#])
    }

    @Test("IM-2 a tap's conversation is asked for, and may be none") func tap() async throws {
        let world = World { request in
            let peer = request.number == 1 ? #","peer":"app/oa""# : ""
            return ScriptedAnswer(200, #"{"message":"m1-2"\#(peer)}"#)
        }
        #expect(try await world.client.conversation(ofTap: "one") == .app("oa"))
        #expect(try await world.client.conversation(ofTap: "two") == nil)
        let requests = world.transport.requests
        #expect(requests.map(\.line) == ["POST /v1/taps", "POST /v1/taps"])
        #expect(requests[1].members == [#"tap="two""#])
    }

    @Test("IM-3 what happens in conversations is read from the stream") func events() throws {
        func event(_ data: String) throws -> ConversationEvent {
            let event = StreamEvent(id: 4, name: "conversation", data: data)
            guard case .conversation(let content) = event.content else { throw FarbellError.broken }
            return content
        }
        let entry = try event(#"{"peer":"account/bob","entry":\#(Self.entry)}"#)
        #expect(entry.peer == .account("bob") && entry.entry?.id == "m1-2" && entry.mark == nil)
        let mark = try event(
            #"{"peer":"app/oa","mark":{"by":"app/oa","read":9,"at":"2026-11-21T08:00:00.000Z"}}"#)
        #expect(mark.mark?.by == .app("oa") && mark.mark?.read == 9)
        let typing = try event(#"{"peer":"account/bob","typing":{"state":"paused","seconds":10}}"#)
        #expect(typing.typing?.state == .paused && typing.typing?.seconds == 10)
        let odd = StreamEvent(id: 4, name: "conversation", data: #"{"peer":"device/x"}"#)
        #expect(odd.content == .unknown(name: "conversation", data: #"{"peer":"device/x"}"#))
    }

    @Test("IM-3 a message is sent with attachments, and read with them") func attachments() async throws {
        let world = World { _ in
            ScriptedAnswer(202, #"{"messages":[{"id":"m","to":"account/bob","seq":3,"state":"held"}]}"#)
        }
        var message = OutgoingMessage("see")
        message.attachments = [
            Attachment(url: "https://x.example/f", contentType: "text/plain", name: "f", sizeBytes: 1)
        ]
        try await world.client.send(message, to: [.account("bob")])
        let json = try #require(world.transport.requests.first).json["attachments"]?[0]
        #expect(json?["url"]?.string == "https://x.example/f" && json?["sizeBytes"]?.integer == 1)
    }
}
