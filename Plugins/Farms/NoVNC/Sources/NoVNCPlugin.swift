package import Base
internal import Cryptography
internal import FarmTools
package import Gateway

/// Farms of X servers with RFB (Xvnc), seen by noVNC in Farbell's own page, through websockify.
package struct NoVNCPlugin: FarmPlugin {
    package init() {}

    package var kind: String { "novnc" }

    package func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? {
        let socket = reader.url("socket", schemes: ["wss", "ws"])
        let pages = reader.string("pages", default: "/usr/share/novnc")
        let address = reader.optionalString("address")
        let hasProgram = reader.has("session")
        let program = SessionProgram(reader, time: context.time)
        if let address, NoVNCPlace(address) == nil { reader.report("address", "expected host:port") }
        switch (hasProgram, address) {
        case (true, _?): reader.report("address", "give 'session' or 'address', not both")
        case (false, nil):
            reader.report(
                nil, "expected 'session' (a program that opens an account's screen) or 'address' (one screen)")
        default: break
        }
        let folder = reader.document.resolve(pages)
        if !FileSystem.exists("\(folder)/core/rfb.js") {
            reader.report("pages", "there is no noVNC in '\(folder)': core/rfb.js is missing")
        }
        let source: NoVNCFarm.Source
        switch (program, address.flatMap(NoVNCPlace.init)) {
        case (let program?, _): source = .program(program)
        case (nil, let place?): source = .fixed(place)
        case (nil, nil): return nil
        }
        return NoVNCFarm(id: farm, socket: socket, folder: folder, source: source, time: context.time, log: context.log)
    }
}

/// Where a screen's RFB server listens, as websockify reaches it.
struct NoVNCPlace: Sendable, Hashable {
    let host: String
    let port: Int

    init?(host: String, port: Int) {
        guard (1...65_535).contains(port), !host.isEmpty, host.utf8.count <= 255,
            host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x22 && $0 != 0x5C })
        else { return nil }
        (self.host, self.port) = (host, port)
    }

    /// - Parameter text: `host:port`.
    init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]) else { return nil }
        self.init(host: String(text[..<colon]), port: port)
    }
}

/// One such farm. Farbell is the token authority of its websockify (`JSONTokenApi`): a connection token leads to a
/// screen once, within `connectWithin`.
package final class NoVNCFarm: Farm {
    /// Where screens come from.
    enum Source: Sendable {
        case program(SessionProgram)
        case fixed(NoVNCPlace)
    }

    /// From the redeemed ticket to the connection.
    static let connectWithin: Duration = .seconds(30)
    /// Connections that may be waited for at once; beyond, launches are told to come back later.
    static let waitingLimit = 10_000
    /// Bytes of noVNC's largest file.
    static let fileLimit = 4 << 20

    private let id: FarmID
    private let socket: String
    private let folder: String
    private let source: Source
    private let time: any TimeSource
    private let log: Log
    private let tokens = TokenGenerator()
    private let waiting: Locked<ConnectTokens>
    private let files = WorkThread(name: "novnc-files", limit: 1000)

    init(id: FarmID, socket: String, folder: String, source: Source, time: any TimeSource, log: Log) {
        (self.id, self.socket, self.folder, self.source) = (id, socket, folder, source)
        (self.time, self.log) = (time, log)
        waiting = Locked(ConnectTokens(limit: Self.waitingLimit, lifetime: Self.connectWithin))
    }

    private struct Target: LaunchTarget {}

    package var usesCredentials: Bool { if case .program = source { true } else { false } }

    package var screenOrigins: [String] { WebOrigin.of(socket).map { [$0] } ?? [] }

    package func target(app: AppID, _ reader: ConfigReader?, parent: ConfigReader) -> (any LaunchTarget)? { Target() }

    package func launch(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchAction { .screen }

    package func start(_ target: any LaunchTarget, _ request: LaunchRequest) async throws -> LaunchStart {
        let place: NoVNCPlace
        var password: Secret?
        switch source {
        case .fixed(let fixed): place = fixed
        case .program(let program):
            let answer = try await program.open(request, log: log)
            guard let port = answer["port"]?.integer, let host = answer["host"]?.string,
                let found = NoVNCPlace(host: host, port: Int(port))
            else { throw GatewayError(.farmUnavailable, "the session program names no screen: host and port") }
            place = found
            password = answer["password"]?.string.map { Secret($0) }
        }
        let token = try tokens.token()
        let key = try SHA256.hash(Array(token.utf8))
        guard waiting.withLock({ [time] in $0.add(key, place, now: time.now) }) else {
            throw GatewayError(.farmUnavailable, "too many connections are being waited for", retryAfterSeconds: 5)
        }
        let mark = socket.contains("?") ? "&" : "?"
        return .rfb(
            module: "/farms/\(id)/novnc/core/rfb.js", socket: Secret("\(socket)\(mark)token=\(token)"),
            password: password)
    }

    /// `novnc/…`: the scripts of noVNC; `token?token=…`: for websockify, where a connection leads.
    package func answer(path: [String], query: [String: String]) async -> FarmAnswer? {
        switch path.first {
        case "token" where path.count == 1: return query["token"].flatMap(lead)
        case "novnc": return await file(Array(path.dropFirst()))
        default: return nil
        }
    }

    private func lead(_ token: String) -> FarmAnswer? {
        guard token.utf8.count <= 128, let key = try? SHA256.hash(Array(token.utf8)),
            let place = waiting.withLock({ [time] in $0.take(key, now: time.now) })
        else { return nil }
        let json: JSON = ["host": .string(place.host), "port": .integer(place.port)]
        return FarmAnswer(contentType: "application/json", body: json.serializedBytes)
    }

    private func file(_ path: [String]) async -> FarmAnswer? {
        guard path.count >= 2, path.first == "core" || path.first == "vendor", path.last?.hasSuffix(".js") == true,
            path.allSatisfy({ name in
                name.first != "."
                    && name.utf8.allSatisfy {
                        (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) || $0 == 0x2D || $0 == 0x2E
                            || $0 == 0x5F
                    }
            })
        else { return nil }
        let name = "\(folder)/\(path.joined(separator: "/"))"
        guard let bytes = try? await files.run({ FileSystem.contents(of: name, limit: Self.fileLimit) }) else {
            return nil
        }
        return FarmAnswer(contentType: "text/javascript; charset=utf-8", body: bytes, maxAge: .seconds(3600))
    }
}

/// Connection tokens that were given out and not used yet, by their hashes.
struct ConnectTokens: Sendable {
    private let limit: Int
    private let lifetime: Duration
    private var places: [[UInt8]: (place: NoVNCPlace, end: Moment)] = [:]
    private var order: [(key: [UInt8], end: Moment)] = []

    init(limit: Int, lifetime: Duration) { (self.limit, self.lifetime) = (limit, lifetime) }

    var count: Int { places.count }

    /// - Returns: false when too many are out.
    mutating func add(_ key: [UInt8], _ place: NoVNCPlace, now: Moment) -> Bool {
        let expired = order.prefix { $0.end <= now }
        for entry in expired { places[entry.key] = nil }
        order.removeFirst(expired.count)
        guard order.count < limit else { return false }
        places[key] = (place, now + lifetime)
        order.append((key, now + lifetime))
        return true
    }

    /// Uses a token up.
    mutating func take(_ key: [UInt8], now: Moment) -> NoVNCPlace? {
        guard let (place, end) = places.removeValue(forKey: key), now < end else { return nil }
        return place
    }
}
