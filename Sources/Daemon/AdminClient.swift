internal import Base
internal import Outbound

/// Talks to the running gateway's admin interface, for commands.
struct AdminClient: Sendable {
    private let http: HTTPClient
    private let base: String
    private let token: Secret
    private let caFile: String?
    private let place: String

    init(_ configuration: DaemonConfiguration, http: HTTPClient) throws {
        let listen = configuration.listen
        let address = ["0.0.0.0", "::", ""].contains(listen.address) ? "127.0.0.1" : listen.address
        place = "\(address.contains(":") ? "[\(address)]" : address):\(listen.port)"
        // A certificate is for the public name; the gateway itself is on this machine.
        let name = (try? WebAddress(configuration.publicURL))?.host ?? address
        base = listen.certificate == nil ? "http://\(place)" : "https://\(name):\(listen.port)"
        token = try AdminToken.load(from: configuration.adminTokenFile)
        // On this machine the gateway's own certificate is trusted, whoever signed it.
        caFile = configuration.listen.certificate
        self.http = http
    }

    /// Calls `/v1/admin/PATH`.
    /// - Throws: `DaemonError`: not reachable, or the gateway's own words.
    func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws -> JSON {
        var request = HTTPRequest(
            method, "\(base)/v1/admin/\(path)", headers: ["Authorization": "Bearer \(token.exposed)"],
            body: body?.serializedBytes ?? [])
        if body != nil { request.headers["Content-Type"] = "application/json" }
        request.caFile = caFile
        request.connectTo = place
        request.timeout = .seconds(60)
        request.responseLimit = 64 << 20
        let response: HTTPResponse
        do {
            response = try await http.send(request)
        } catch let error as HTTPTransportError {
            throw DaemonError(
                .unavailable, "the gateway at \(place) does not answer (\(error.code.rawValue)); is it running?",
                underlying: error)
        }
        let json = response.body.isEmpty ? JSON.null : (try? JSONParser.parse(response.body)) ?? .null
        guard (200..<300).contains(response.status) else {
            // As without a gateway running, where the core's own refusals are told (see `Commands.run`).
            let code: DaemonError.Code =
                switch response.status {
                case 400, 409: .data
                case 401, 403: .permission
                case 404: .noUser
                case 429, 503: .temporary
                default: .software
                }
            throw DaemonError(code, json["detail"]?.string ?? "the gateway answered \(response.status)")
        }
        return json
    }

    /// All items of a list, page by page.
    func all(_ path: String) async throws -> [JSON] {
        var items: [JSON] = []
        var after: String?
        repeat {
            let page = try await call("GET", "\(path)?limit=500" + (after.map { "&after=\(Self.segment($0))" } ?? ""))
            items += page["items"]?.array ?? []
            after = page["next"]?.string
        } while after != nil
        return items
    }

    /// A text as one segment of a path.
    static func segment(_ text: String) -> String {
        text.utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                String(UnicodeScalar(byte))
            default: "%" + [byte].hexadecimal.uppercased()
            }
        }.joined()
    }
}
