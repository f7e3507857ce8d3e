import Base
import Gateway
import GatewayTestKit
import Testing

/// Two people with two devices each, all connected.
struct Household: Sendable {
    let alicePhone, aliceLaptop, bobPhone, bobLaptop: Client
    let streams: [String: EventReader]

    var all: [Client] { [alicePhone, aliceLaptop, bobPhone, bobLaptop] }
    func stream(_ client: Client) throws -> EventReader { try #require(streams[client.id]) }

    init(_ api: TestAPI) async throws {
        alicePhone = try await api.device("alice", "phone")
        aliceLaptop = try await api.device("alice", "laptop", channel: nil)
        bobPhone = try await api.device("bob", "phone")
        bobLaptop = try await api.device("bob", "laptop", channel: nil)
        var streams: [String: EventReader] = [:]
        for client in [alicePhone, aliceLaptop, bobPhone, bobLaptop] {
            streams[client.id] = try await api.stream(client)
        }
        self.streams = streams
        for client in [alicePhone, aliceLaptop, bobPhone, bobLaptop] {
            try await Eventually.wait("the stream of \(client.id) is live") {
                api.gateway.streams.isLive(DeviceID(client.id))
            }
        }
    }
}

// What the tests of conversations begin with.
extension TestAPI {
    /// Says something to an account; returns the message's id.
    @discardableResult
    func say(_ text: String, to account: String, as token: String, _ more: JSON = [:]) async throws -> String {
        try await send(to: ["account": .string(account)], as: token, text, more).id
    }

    func history(_ peer: String, as token: String, _ query: String = "") async throws -> Reply {
        let reply = try await call("GET", "/v1/conversations/\(peer)\(query)", token: token)
        #expect(reply.status == 200, "\(reply.text)")
        return reply
    }

    func conversations(as token: String) async throws -> [JSON] {
        let reply = try await call("GET", "/v1/conversations", token: token)
        #expect(reply.status == 200, "\(reply.text)")
        return reply.items
    }

    func read(_ peer: String, upTo number: Int64?, as token: String) async throws -> Reply {
        try await call(
            "POST", "/v1/conversations/\(peer)/read", token: token, ["upTo": .integer(number ?? -1)])
    }

    func typing(_ peer: String, _ state: String, as token: String) async throws {
        let reply = try await call(
            "POST", "/v1/conversations/\(peer)/typing", token: token, ["state": .string(state)])
        #expect(reply.status == 204, "\(reply.text)")
    }
}

extension JSON {
    var entryNumber: Int64 { self["number"]?.integer ?? 0 }
    subscript(path first: String, second: String) -> JSON? { self[first]?[second] }
}
