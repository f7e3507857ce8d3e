package import Base
internal import Gateway
internal import Glibc

/// A real Synapse, Matrix's homeserver, with a database, users and a port of its own, on loopback. It needs the Python
/// environment of `Scripts/synapse/setup`. Stopped when this object goes.
package final class SynapseServer: Sendable {
    package static let password = "correct horse"

    /// The repository's own Python environment; nil where it is not installed.
    private static var python: String? {
        // Sources/GatewayTestKit/Monitors/SynapseServer.swift lies four levels below the repository.
        let root = (0..<4).reduce(#filePath) { path, _ in FileSystem.folder(of: path) }
        let python = "\(root)/.venv/synapse/bin/python"
        return FileSystem.exists(python) ? python : nil
    }

    /// Whether this machine can run it.
    package static var isAvailable: Bool { python != nil }

    package let port: Int
    package var url: String { "http://127.0.0.1:\(port)" }
    private let folder: TemporaryFolder
    private let transport: any HTTPTransport
    private let process = Locked<ChildProcess?>(nil)

    /// Starts the server.
    /// - Parameters:
    ///   - transport: asks it.
    ///   - settings: further lines of its configuration.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(_ transport: any HTTPTransport, settings: [String] = []) async throws {
        self.transport = transport
        folder = try TemporaryFolder()
        port = try ServerPort.next()
        try folder.write(configuration(settings), to: "homeserver.yaml")
        try folder.write(logConfiguration, to: "log.yaml")
        try await makeKeys()
        try await start()
    }

    deinit { process.withLock { $0 }?.terminate() }

    /// Starts it again after `stop`, on the same port.
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package func start() async throws {
        guard let python = Self.python else { throw PeerError(.process, "Synapse is not installed") }
        let child = try await ChildProcess(
            python, ["-m", "synapse.app.homeserver", "-c", folder.file("homeserver.yaml")],
            ChildProcess.Options(workingFolder: folder.path))
        process.withLock { $0 = child }
        try await Eventually.wait(
            "synapse answers: \(child.errors) \(log)", for: .seconds(60), every: .milliseconds(50)
        ) {
            if let exit = child.exit { throw PeerError(.process, "synapse ended: \(exit) \(child.errors) \(log)") }
            let versions = HTTPRequest("GET", "\(url)/_matrix/client/versions")
            return (try? await transport.send(versions).status) == 200
        }
    }

    private func makeKeys() async throws {
        guard let python = Self.python else { throw PeerError(.process, "Synapse is not installed") }
        let child = try await ChildProcess(
            python, ["-m", "synapse.app.homeserver", "-c", folder.file("homeserver.yaml"), "--generate-keys"])
        guard case .code(0) = try await child.waitForExit(deadline: .seconds(60)) else {
            throw PeerError(.process, "synapse makes no keys: \(child.errors.joined(separator: " "))")
        }
    }

    /// Ends the server and all its connections; its data stays.
    /// - Throws: `DeadlineMissed`.
    package func stop() async throws {
        guard let child = process.withLock({ $0 }) else { return }
        child.terminate()
        try await child.waitForExit(deadline: .seconds(30))
        process.withLock { $0 = nil }
    }

    /// The server's log, for messages of failed tests.
    package var log: String {
        FileSystem.contents(of: folder.file("homeserver.log"), limit: 4 << 20)
            .map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    /// Registers a user, with `password`, and logs in once.
    /// - Throws: `PeerError`.
    package func register(_ name: String, displayName: String? = nil) async throws -> User {
        let answer = try await call(
            "POST", "register",
            [
                "username": .string(name), "password": .string(Self.password), "auth": ["type": "m.login.dummy"],
                "inhibit_login": false,
            ], token: nil)
        guard let id = answer["user_id"]?.string, let token = answer["access_token"]?.string else {
            throw PeerError(.process, "a registration without user_id")
        }
        let user = User(id: id, token: token, server: self)
        if let displayName {
            try await user.call(
                "PUT", "profile/\(id.percentEncoded())/displayname", ["displayname": .string(displayName)])
        }
        return user
    }

    /// Calls the client-server API.
    /// - Throws: `PeerError` for an answer other than 200.
    fileprivate func call(_ method: String, _ path: String, _ body: JSON?, token: String?) async throws -> JSON {
        var request = HTTPRequest(method, "\(url)/_matrix/client/v3/\(path)")
        if let token { request.headers["Authorization"] = "Bearer \(token)" }
        if let body {
            request.headers["Content-Type"] = "application/json"
            request.body = body.serializedBytes
        }
        let response = try await transport.send(request)
        guard response.status == 200 else {
            let text = String(decoding: response.body, as: UTF8.self)
            throw PeerError(.process, "\(method) \(path): \(response.status) \(text)")
        }
        return try JSONParser.parse(response.body)
    }

    /// Somebody with a session of their own: another client of the user, as Farbell sees it.
    package struct User: Sendable {
        package let id: String
        package let token: String
        fileprivate let server: SynapseServer

        /// - Throws: `PeerError`.
        @discardableResult
        package func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> JSON {
            try await server.call(method, path, body, token: token)
        }

        /// Makes a room, invites others and returns its id.
        package func makeRoom(
            named name: String? = nil, inviting users: [User], isDirect: Bool = false
        ) async throws
            -> String
        {
            var body: JSONObject = [
                "preset": .string(isDirect ? "trusted_private_chat" : "private_chat"), "is_direct": .bool(isDirect),
                "invite": .strings(users.map(\.id)),
            ]
            if let name { body["name"] = .string(name) }
            let answer = try await call("POST", "createRoom", .object(body))
            guard let room = answer["room_id"]?.string else { throw PeerError(.process, "a room without room_id") }
            return room
        }

        package func join(_ room: String) async throws {
            try await call("POST", "rooms/\(room.percentEncoded())/join", [:])
        }

        /// Sends an event and returns its id.
        @discardableResult
        package func send(_ content: JSON, type: String = "m.room.message", to room: String) async throws -> String {
            let transaction = UInt64.random(in: 0 ... .max)
            let answer = try await call("PUT", "rooms/\(room.percentEncoded())/send/\(type)/\(transaction)", content)
            guard let id = answer["event_id"]?.string else { throw PeerError(.process, "an event without event_id") }
            return id
        }

        /// Sends a text and returns its id.
        @discardableResult
        package func say(_ text: String, in room: String) async throws -> String {
            try await send(["msgtype": "m.text", "body": .string(text)], to: room)
        }

        package func redact(_ event: String, in room: String) async throws {
            let transaction = UInt64.random(in: 0 ... .max)
            try await call(
                "PUT", "rooms/\(room.percentEncoded())/redact/\(event.percentEncoded())/\(transaction)", [:])
        }

        /// Reads a room up to an event.
        package func read(_ event: String, in room: String) async throws {
            try await call("POST", "rooms/\(room.percentEncoded())/receipt/m.read/\(event.percentEncoded())", [:])
        }
    }

    // MARK: Configuration

    private func configuration(_ settings: [String]) -> String {
        let rates =
            ["rc_login: {address: R, account: R, failed_attempts: R}", "rc_message: R", "rc_registration: R"]
            + ["rc_joins: {local: R, remote: R}", "rc_invites: {per_room: R, per_user: R, per_issuer: R}"]
        // Only where a test does not set them itself.
        let ownNames = settings.map { $0.prefix { $0 != ":" } }
        let common = rates.filter { rate in !ownNames.contains(rate.prefix { $0 != ":" }) }
            .map { $0.replacing("R", with: "{per_second: 1000, burst_count: 1000}") }
        return """
            server_name: lab.local
            listeners:
              - bind_addresses: [127.0.0.1]
                port: \(port)
                tls: false
                type: http
                resources: [{names: [client], compress: false}]
            database: {name: sqlite3, args: {database: "\(folder.file("homeserver.db"))"}}
            log_config: "\(folder.file("log.yaml"))"
            media_store_path: "\(folder.file("media"))"
            signing_key_path: "\(folder.file("signing.key"))"
            macaroon_secret_key: only-for-tests
            report_stats: false
            suppress_key_server_warning: true
            trusted_key_servers: []
            enable_registration: true
            enable_registration_without_verification: true
            \((common + settings).joined(separator: "\n"))

            """
    }

    private var logConfiguration: String {
        """
        version: 1
        formatters: {plain: {format: '%(asctime)s %(levelname)s %(name)s %(message)s'}}
        handlers: {file: {class: logging.FileHandler, formatter: plain, filename: "\(folder.file("homeserver.log"))"}}
        root: {level: WARNING, handlers: [file]}
        disable_existing_loggers: false

        """
    }
}
