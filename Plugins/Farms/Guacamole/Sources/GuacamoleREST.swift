package import Base
internal import Gateway

/// Guacamole's REST API, as far as its list of active connections goes (guacamole-client, `rest/`).
package actor GuacamoleREST {
    /// An entry of the list.
    package struct Connection: Sendable, Hashable {
        package let username: String
        package let connection: String

        package init(username: String, connection: String) {
            (self.username, self.connection) = (username, connection)
        }
    }

    /// Why there is no list. Never with a token or an answer's text.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    static let timeout: Duration = .seconds(5)
    static let answerLimit = 4 << 20

    private let base: String
    private let username: String
    private let password: Secret
    private let source: String
    private let caFile: String?
    private let pool: String
    private let transport: any HTTPTransport
    private var token: Secret?

    package init(
        base: String, username: String, password: Secret, source: String, caFile: String?, pool: String,
        transport: any HTTPTransport
    ) {
        (self.base, self.username, self.password, self.source) = (base, username, password, source)
        (self.caFile, self.pool, self.transport) = (caFile, pool, transport)
    }

    /// What is connected now. Signs in where it must; a token that has timed out is renewed once.
    /// - Throws: `Failure`, `HTTPTransportError`.
    package func active() async throws -> [Connection] {
        if let token, let found = try await list(token) { return found }
        let fresh = try await signIn()
        token = fresh
        guard let found = try await list(fresh) else {
            token = nil
            throw Failure(description: "Guacamole refuses the token it has just given")
        }
        return found
    }

    private func signIn() async throws -> Secret {
        var request = request("POST", "/api/tokens")
        request.headers["Content-Type"] = "application/x-www-form-urlencoded"
        let form = "username=\(username.percentEncoded())&password=\(password.exposed.percentEncoded())"
        request.body = Array(form.utf8)
        let answer = try await transport.send(request)
        guard answer.status == 200, let token = (try? JSONParser.parse(answer.body))?["authToken"]?.string,
            !token.isEmpty
        else { throw Failure(description: "Guacamole does not sign the administrator in (status \(answer.status))") }
        return Secret(token)
    }

    /// nil when the token is no longer good.
    private func list(_ token: Secret) async throws -> [Connection]? {
        var request = request("GET", "/api/session/data/\(source.percentEncoded())/activeConnections")
        request.headers["Guacamole-Token"] = token.exposed
        let answer = try await transport.send(request)
        if answer.status == 401 || answer.status == 403 { return nil }
        guard answer.status == 200, let object = (try? JSONParser.parse(answer.body))?.object else {
            throw Failure(description: "Guacamole does not list its connections (status \(answer.status))")
        }
        return object.members.compactMap { member in
            guard let user = member.value["username"]?.string,
                let connection = member.value["connectionIdentifier"]?.string
            else { return nil }
            return Connection(username: user, connection: connection)
        }
    }

    private func request(_ method: String, _ path: String) -> HTTPRequest {
        var request = HTTPRequest(method, base + path)
        (request.timeout, request.responseLimit) = (Self.timeout, Self.answerLimit)
        (request.caFile, request.pool) = (caFile, pool)
        return request
    }
}
