package import Base
internal import FarmTools
package import Gateway

/// Farms behind Apache Guacamole, signed in to by its extension guacamole-auth-json.
package struct GuacamolePlugin: FarmPlugin {
    package init() {}

    package var kind: String { "guacamole" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        let url = reader.url("url", schemes: ["https", "http"])
        let key = reader.secret("secretKey")
        let data = GuacamoleData(key: key)
        if !key.isEmpty, data == nil {
            reader.report("secretKey", "expected 32 hexadecimal digits, as 'json-secret-key' has them")
        }
        let caFile = reader.optionalString("caFile").map(reader.document.resolve)
        let rest = reader.object("admin") { reader in
            GuacamoleREST(
                base: url, username: reader.string("username"), password: reader.secret("password"),
                source: reader.string("dataSource"), caFile: caFile, pool: "farm/\(farm)",
                transport: context.transport)
        }
        let poll = reader.seconds("pollSeconds", in: 1...60, default: 5)
        guard let data else { return nil }
        return GuacamoleFarm(
            url: url, data: data, rest: rest,
            poll: FactPoll(farm: farm, interval: poll, time: context.time, log: context.log), time: context.time)
    }
}

/// One such farm.
package final class GuacamoleFarm: Farm {
    /// How long a sign-in may wait to be used; Guacamole takes it once.
    static let lifetime: Duration = .seconds(60)
    /// The data source of what guacamole-auth-json brings.
    static let source = "json"
    /// Bytes of the longest address handed to a browser; what Tomcat takes of a request line by default.
    static let urlLimit = 8000

    private let url: String
    private let data: GuacamoleData
    private let rest: GuacamoleREST?
    private let poll: FactPoll
    private let time: any TimeSource
    /// The last expiry given out: Guacamole refuses a sign-in that is the same, byte for byte, as one before.
    private let lastExpiry = Locked<Timestamp?>(nil)
    /// Whose connections the listing has shown: of others it may simply not tell.
    private let seen = Locked<Set<FarmSubject>>([])

    init(url: String, data: GuacamoleData, rest: GuacamoleREST?, poll: FactPoll, time: any TimeSource) {
        (self.url, self.data, self.rest, self.poll, self.time) = (url, data, rest, poll, time)
    }

    /// What one app is to Guacamole.
    struct Target: LaunchTarget {
        let connection: String
        let protocolName: String
        /// With `{account}`, `{username}`, `{password}` and `{app}` still in them.
        let parameters: [(name: String, value: String)]
    }

    package var usesCredentials: Bool { true }

    package var screenOrigins: [String] { WebOrigin.of(url).map { [$0] } ?? [] }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? {
        guard let reader else {
            parent.report(nil, "the key 'launch' is missing: 'protocol' and 'parameters' of the connection")
            return nil
        }
        let name = reader.string("protocol")
        if !name.isEmpty, !["rdp", "vnc", "ssh", "telnet", "kubernetes"].contains(name) {
            reader.report("protocol", "expected rdp, vnc, ssh, telnet or kubernetes")
        }
        let connection = reader.string("connection", default: app.text)
        if connection.utf8.contains(0) { reader.report("connection", "must not contain NUL") }
        let parameters = reader.object("parameters") { reader in
            reader.keys.map { (name: $0, value: reader.string($0, default: "")) }
        }
        if !(parameters ?? []).contains(where: { $0.name == "hostname" }) {
            reader.report(nil, "'parameters' needs at least 'hostname'")
        }
        return Target(connection: connection, protocolName: name, parameters: parameters ?? [])
    }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction { .screen }

    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart {
        guard let target = target as? Target else {
            throw GatewayError(.farmUnavailable, "the app's launch target was made by another farm")
        }
        let expires = lastExpiry.withLock { [time] last in
            let next = max(time.timestamp + Self.lifetime, last.map { $0 + .milliseconds(1) } ?? time.timestamp)
            last = next
            return next
        }
        let document = GuacamoleData.document(
            username: request.account.text, expires: expires, connection: target.connection,
            protocol: target.protocolName,
            parameters: target.parameters.map { ($0.name, Self.filled($0.value, for: request)) })
        let sealed = try data.seal(document.serializedBytes)
        let client = GuacamoleData.clientID(target.connection, source: Self.source)
        let address = "\(url)/?data=\(sealed.percentEncoded())#/client/\(client)"
        guard address.utf8.count <= Self.urlLimit else {
            throw GatewayError(.farmUnavailable, "the connection's parameters are too long for an address")
        }
        return .frame(url: Secret(address))
    }

    /// Puts a launch's values into a parameter. They are JSON strings in the end: none can leave its place, and
    /// Guacamole takes none for one of its own tokens.
    private static func filled(_ text: String, for request: LaunchRequest) -> String {
        var result = ""
        var rest = text[...]
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            let value: String? =
                switch rest[rest.index(after: open)..<close] {
                case "account": request.account.text
                case "app": request.app.text
                case "username": request.credentials["username"]?.exposed ?? ""
                case "password": request.credentials["password"]?.exposed ?? ""
                default: nil
                }
            result += rest[..<open]
            result += value.map(GuacamoleData.literal) ?? String(rest[open...close])
            rest = rest[rest.index(after: close)...]
        }
        return result + rest
    }

    package func run(apps: [AppID: any LaunchTarget], facts: any FarmFacts) async throws {
        guard let rest else { while true { try await Task.sleep(for: .seconds(86_400)) } }
        let names = apps.compactMapValues { ($0 as? Target)?.connection }
        try await poll.run(apps: Set(apps.keys), facts: facts) { [self] subjects in
            look(at: subjects, try await rest.active(), names)
        }
    }

    /// Connected says little: Guacamole keeps a hidden page's connection alive. Disconnected is said only of a
    /// connection that the listing has shown before: it shows those of its own data source and no others.
    func look(
        at subjects: Set<FarmSubject>, _ active: [GuacamoleREST.Connection], _ names: [AppID: String]
    ) -> [FarmSubject: FarmFact.State] {
        seen.withLock { seen in
            var states: [FarmSubject: FarmFact.State] = [:]
            for subject in subjects {
                let isThere = active.contains {
                    $0.username == subject.account.text && $0.connection == names[subject.app]
                }
                if isThere { seen.insert(subject) }
                if isThere || seen.contains(subject) { states[subject] = isThere ? .connected : .disconnected }
            }
            // Only those who are asked about matter.
            seen.formIntersection(subjects)
            return states
        }
    }
}
