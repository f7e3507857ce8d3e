package import Base

/// What a terminal does: calls the gateway for one account, from one device.
package struct TerminalClient: Sendable {
    package let gateway: GatewayProcess
    package let account: String
    /// Empty until the device is bound.
    package var device = ""
    package var token = ""

    package init(_ gateway: GatewayProcess, account: String) { (self.gateway, self.account) = (gateway, account) }

    /// An answer that was not hoped for.
    package struct Refused: Error, CustomStringConvertible {
        package let response: PlainResponse
        package let call: String
        package var description: String { "\(call): \(response.status) \(response.text)" }
    }

    /// Calls with the device's token and takes any answer.
    package func send(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> PlainResponse {
        try await Self.send(gateway, method, path, authorization: "Bearer \(token)", body)
    }

    /// Calls with the device's token.
    /// - Throws: `Refused` for an answer that is no success.
    @discardableResult
    package func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> JSON {
        let response = try await send(method, path, body)
        guard (200..<300).contains(response.status) else {
            throw Refused(response: response, call: "\(method) \(path)")
        }
        return response.json
    }

    /// Calls with any authorization.
    package static func send(
        _ gateway: GatewayProcess, _ method: String, _ path: String, authorization: String?, _ body: JSON? = nil
    ) async throws -> PlainResponse {
        var headers = HTTPFields()
        if let authorization { headers.append("Authorization", authorization) }
        if body != nil { headers.append("Content-Type", "application/json") }
        return try await PlainHTTP.send(
            method, path, port: gateway.port, headers: headers, body: body?.serializedBytes)
    }

    /// The value of an `Authorization` header with a name and a password.
    package static func basic(_ name: String, _ password: String) -> String {
        "Basic \(Array("\(name):\(password)".utf8).base64)"
    }

    /// Logs a device in: from then on this client speaks for it.
    /// - Returns: the answer, 201 or 200.
    @discardableResult
    package mutating func bind(
        password: String, installation: String, platform: String = "ios", channel: JSON? = nil, extra: JSON = [:]
    ) async throws -> PlainResponse {
        var body: JSONObject = [
            "installation": .string(installation), "name": .string("\(account)'s \(platform)"),
            "platform": .string(platform),
        ]
        if let channel { body.append("channel", channel) }
        for member in extra.object?.members ?? [] { body.append(member.key, member.value) }
        let response = try await Self.send(
            gateway, "POST", "/v1/devices", authorization: Self.basic(account, password), .object(body))
        guard let id = response.json["id"]?.string, let token = response.json["token"]?.string else {
            throw Refused(response: response, call: "POST /v1/devices")
        }
        gateway.keepSecret(token)
        (device, self.token) = (id, token)
        return response
    }

    /// Registers for an app.
    /// - Returns: the registration's id.
    @discardableResult
    package func register(
        _ app: String, username: String, password: String? = nil, notify: JSON? = nil
    ) async throws -> String {
        var credentials: JSONObject = ["username": .string(username)]
        if let password { credentials.append("password", .string(password)) }
        var body: JSONObject = ["app": .string(app), "credentials": .object(credentials)]
        if let notify { body.append("notify", notify) }
        return try await call("POST", "/v1/registrations", .object(body))["id"]?.string ?? ""
    }

    /// Logs in to an app.
    /// - Returns: the session's id.
    @discardableResult
    package func open(_ app: String, instance: String = "one") async throws -> String {
        try await call("POST", "/v1/sessions", ["app": .string(app), "instance": .string(instance)])["id"]?.string ?? ""
    }

    /// Reports a session's presence.
    /// - Returns: the state that holds.
    @discardableResult
    package func report(_ session: String, _ seq: Int, _ state: String) async throws -> String {
        let body: JSON = ["seq": .integer(seq), "state": .string(state)]
        return try await call("POST", "/v1/sessions/\(session)/presence", body)["state"]?.string ?? ""
    }

    /// Acknowledges everything up to an event.
    package func acknowledge(_ number: Int64) async throws {
        try await call("POST", "/v1/stream/ack", ["upTo": .integer(number)])
    }

    /// Opens the device's stream.
    package func stream(after lastEventID: String? = nil) async throws -> StreamReader {
        try await StreamReader(port: gateway.port, token: token, lastEventID: lastEventID)
    }

    /// Asks for a launch with a notification's tap.
    package func tap(_ tap: String) async throws -> PlainResponse {
        gateway.keepSecret(tap)
        return try await send("POST", "/v1/launches", ["tap": .string(tap)])
    }

    /// A registration's monitor: `watching`, `refused` and so on.
    package func monitorState(_ registration: String) async throws -> String {
        try await call("GET", "/v1/registrations/\(registration)")["monitor"]?["state"]?.string ?? ""
    }

    /// Returns when a registration is watched.
    /// - Throws: `DeadlineMissed` with the log's end.
    package func waitUntilWatching(_ registration: String, deadline: Duration = .seconds(30)) async throws {
        try await Eventually.wait(
            "\(registration) to be watched; the log ends:\n\(gateway.log.texts.suffix(10).joined(separator: "\n"))",
            for: deadline, every: .milliseconds(20)
        ) { try await monitorState(registration) == "watching" }
    }
}
