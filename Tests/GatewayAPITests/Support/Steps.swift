import Base
import Gateway
import GatewayTestKit
import Testing

@testable import Inbound

/// A device as its client knows it.
struct Client: Sendable {
    let id: String
    let token: String
    let account: String
}

/// A browser that is signed in to the portal.
struct Browser: Sendable {
    let id: String
    /// The cookie as the browser sends it.
    let cookie: String
    let proof: String

    /// What a page of ours sends.
    var headers: HTTPFields { ["Cookie": cookie, "Farbell-CSRF": proof, "Sec-Fetch-Site": "same-origin"] }
}

extension TestAPI {
    static func portalLogin(_ account: String, password: String = TestAPI.password, _ name: String) -> JSON {
        [
            "account": .string(account), "password": .string(password), "name": "Firefox, Linux",
            "installation": .string("\(account)-\(name)"), "locale": "zh-CN",
        ]
    }

    /// Signs a browser in over the API; its account is made when there is none.
    func browser(_ account: String = "alice", _ name: String = "browser") async throws -> Browser {
        try await test.account(account)
        let reply = try await call(
            "POST", "/v1/portal/session", headers: ["Content-Type": "application/json"],
            Self.portalLogin(account, name))
        #expect([200, 201].contains(reply.status), "\(reply.text)")
        let cookie = try #require(reply.headers["Set-Cookie"]?.split(separator: ";").first)
        return Browser(
            id: try #require(reply["device"]?.string), cookie: String(cookie),
            proof: try #require(reply["csrf"]?.string))
    }
}

// What nearly every test begins with.
extension TestAPI {
    /// What a client sends of itself.
    static func description(_ installation: String, channel: JSON? = nil) -> JSON {
        var object: JSONObject = [
            "installation": .string(installation), "name": "My phone", "platform": "ios",
        ]
        if let channel { object.append("channel", channel) }
        return .object(object)
    }

    static func channel(_ token: String) -> JSON { ["adapter": "phone", "token": .string(token)] }

    /// Binds a device over the API; its account is made when there is none.
    func device(
        _ account: String = "alice", _ name: String = "phone", channel: JSON? = TestAPI.channel("channel-token-1")
    ) async throws -> Client {
        try await test.account(account)
        let reply = try await call(
            "POST", "/v1/devices", basic: (account, Self.password),
            Self.description("\(account)-\(name)", channel: channel))
        #expect(reply.status == 201)
        return Client(
            id: try #require(reply["id"]?.string), token: try #require(reply["token"]?.string), account: account)
    }

    static let registration: JSON = [
        "app": "mail", "credentials": ["username": "alice@mail", "password": "mail-password"],
    ]

    /// Registers for `mail` over the API; returns the registration's id.
    @discardableResult
    func register(_ client: Client, _ more: (String, JSON)...) async throws -> String {
        var object = try #require(Self.registration.object)
        for (name, value) in more { object[name] = value }
        let reply = try await call("POST", "/v1/registrations", token: client.token, .object(object))
        #expect([200, 201].contains(reply.status), "\(reply.text)")
        return try #require(reply["id"]?.string)
    }

    /// Logs in to `mail`; returns the session's id.
    @discardableResult
    func logIn(_ client: Client, instance: String = "run-1") async throws -> String {
        let reply = try await call(
            "POST", "/v1/sessions", token: client.token, ["app": "mail", "instance": .string(instance)])
        #expect([200, 201].contains(reply.status), "\(reply.text)")
        return try #require(reply["id"]?.string)
    }

    func report(_ client: Client, _ session: String, _ seq: Int, _ state: String) async throws -> Reply {
        try await call(
            "POST", "/v1/sessions/\(session)/presence", token: client.token,
            ["seq": .integer(seq), "state": .string(state)])
    }

    /// A registration that is watched, with no client in front; returns its record.
    func watched(_ client: Client) async throws -> Registration {
        let id = try await register(client)
        let session = try await logIn(client)
        #expect(try await report(client, session, 1, "gone").status == 200)
        try await test.waitForWatching(RegistrationID(id))
        return try #require(gateway.registrations.registration(RegistrationID(id)))
    }
}

/// One event as a client reads it.
struct ReadEvent: Sendable {
    var id: Int64?
    var event = ""
    var data: JSON = .null
}

/// Reads what an event stream has for its client, as a connection does.
final class EventReader: Sendable {
    let stream: EventStream
    private let text = Locked("")

    init(_ stream: EventStream) { self.stream = stream }

    /// Everything sent so far.
    var all: String {
        while case .bytes(let bytes) = stream.take(1 << 20, sleep: {}) {
            text.withLock { $0 += String(decoding: bytes, as: UTF8.self) }
        }
        return text.withLock { $0 }
    }

    /// The events so far, in order.
    var events: [ReadEvent] { Self.parse(all) }

    /// Waits for an event.
    func first(_ name: String, where fits: @Sendable (ReadEvent) -> Bool = { _ in true }) async throws -> ReadEvent {
        try await Eventually.value("an event \(name), not only \(all)") {
            self.events.first { $0.event == name && fits($0) }
        }
    }

    static func parse(_ text: String) -> [ReadEvent] {
        var events: [ReadEvent] = []
        var current = ReadEvent()
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty {
                if !current.event.isEmpty { events.append(current) }
                current = ReadEvent()
            } else if line.hasPrefix("id: ") {
                current.id = Int64(line.dropFirst(4))
            } else if line.hasPrefix("event: ") {
                current.event = String(line.dropFirst(7))
            } else if line.hasPrefix("data: ") {
                current.data = (try? JSONParser.parse(String(line.dropFirst(6)))) ?? .null
            }
        }
        return events
    }
}
