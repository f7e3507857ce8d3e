internal import Base
internal import Outbound

/// The terminal of the demonstration: the calls a client makes.
struct DemoClient: Sendable {
    let http: HTTPClient
    let base: String
    let time: any TimeSource

    struct Device: Sendable {
        let id: String
        let token: Secret
    }

    /// - Throws: `DaemonError` with the gateway's words.
    func call(_ method: String, _ path: String, bearer: Secret, _ body: JSON? = nil) async throws -> JSON {
        try await call(method, path, authorization: "Bearer \(bearer.exposed)", body)
    }

    private func call(_ method: String, _ path: String, authorization: String, _ body: JSON?) async throws -> JSON {
        var request = HTTPRequest(method, base + path, headers: ["Authorization": authorization])
        if let body {
            request.headers["Content-Type"] = "application/json"
            request.body = body.serializedBytes
        }
        let response = try await http.send(request)
        let json = response.body.isEmpty ? JSON.null : try JSONParser.parse(response.body)
        guard (200..<300).contains(response.status) else {
            throw DaemonError(.software, "\(method) \(path): \(response.status) \(json["detail"]?.string ?? "")")
        }
        return json
    }

    func bind(_ account: String, _ password: Secret, phoneURL: String) async throws -> Device {
        let answer = try await call(
            "POST", "/v1/devices", authorization: "Basic \(Array("\(account):\(password.exposed)".utf8).base64)",
            [
                "installation": "demo-phone", "name": "Alice's phone", "platform": "webhook",
                "channel": ["adapter": "phone", "url": .string(phoneURL)],
            ])
        return Device(id: answer["id"]?.string ?? "", token: Secret(answer["token"]?.string ?? ""))
    }

    func acknowledge(_ token: Secret, _ number: String) async throws {
        _ = try await call("POST", "/v1/stream/ack", bearer: token, ["upTo": .integer(Int64(number) ?? 0)])
    }

    func waitUntilReady() async throws {
        while true {
            if let answer = try? await http.send(HTTPRequest("GET", "\(base)/readyz")), answer.status == 200 { return }
            try await time.sleep(for: .milliseconds(20))
        }
    }

    func waitUntilWatching(_ token: Secret) async throws {
        while true {
            let answer = try await call("GET", "/v1/registrations", bearer: token)
            if answer["items"]?[0]?["monitor"]?["state"]?.string == "watching" { return }
            try await time.sleep(for: .milliseconds(20))
        }
    }
}
