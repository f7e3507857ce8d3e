import Base
import GatewayTestKit
import Testing

/// The built program with two applications, for tests that break what it stands on: `shop` sends to `store`.
struct QueueSite {
    let gateway: GatewayProcess
    let shop: String
    let store: String

    /// Prepares everything; the gateway is not started.
    /// - Parameter data: makes the data folder's file system, given the folder's path.
    init(_ data: (String) throws -> Void = { _ in }) async throws {
        gateway = try GatewayProcess()
        try gateway.configure([
            "apps": ["shop": ["key": ["file": "shop.key"]], "store": ["key": ["file": "store.key"]]],
            "limits": ["requestsPerSecond": 1_000_000, "diskReserveBytes": 0],
            "log": ["format": "json", "level": "info", "statsSeconds": 0],
        ])
        let folder = gateway.folder.file("data")
        try #require(FileSystem.createFolder(folder))
        try data(folder)
        shop = try await Self.key("shop", gateway)
        store = try await Self.key("store", gateway)
    }

    private static func key(_ name: String, _ gateway: GatewayProcess) async throws -> String {
        let made = try await gateway.run("app", "key", name)
        return try #require(made.output.first, "\(made.errors)")
    }

    func call(_ key: String, _ method: String, _ path: String, _ body: JSON? = nil) async throws -> PlainResponse {
        try await TerminalClient.send(gateway, method, path, authorization: "Bearer \(key)", body)
    }

    /// Sends messages until one is not accepted.
    /// - Returns: the ids of those that were.
    func sendUntilRefused(body: String, limit: Int, before: (Int) throws -> Void = { _ in }) async throws -> [String] {
        var accepted: [String] = []
        for number in 0..<limit {
            try before(number)
            let order: JSON = ["to": ["app": "store"], "body": .string(body)]
            guard let response = try? await call(shop, "POST", "/v1/messages", order), response.status == 202,
                let id = response.json["messages"]?[0]?["id"]?.string
            else { return accepted }
            accepted.append(id)
        }
        Issue.record("all \(limit) messages were accepted")
        return accepted
    }

    /// The ids of all open messages.
    func open() async throws -> [String] {
        var (ids, after) = ([String](), "")
        while true {
            let page = try await call(store, "GET", "/v1/messages?limit=100\(after)")
            #expect(page.status == 200, "\(page.text)")
            ids += (page.json["items"]?.array ?? []).compactMap { $0["id"]?.string }
            guard let next = page.json["next"]?.string else { return ids }
            after = "&after=\(next)"
        }
    }

    /// Takes messages.
    func receive(_ order: JSON) async throws -> [JSON] {
        let response = try await call(store, "POST", "/v1/messages/receive", order)
        #expect(response.status == 200, "\(response.text)")
        return response.json["messages"]?.array ?? []
    }

    func settle(_ message: JSON, _ verb: String) async throws -> PlainResponse {
        try await call(
            store, "POST", "/v1/messages/\(message["id"]?.string ?? "")/\(verb)",
            ["token": message["receipt"]?["token"] ?? .null])
    }

    /// The gateway must have ended by itself, with a word on why, after which everything accepted is there.
    func expectEnded(code: String, accepted: [String], repair: () async throws -> Void) async throws {
        #expect(accepted.count > 10)
        #expect(try await gateway.process?.waitForExit(deadline: .seconds(30)) == .code(74), "EX_IOERR")
        let said = gateway.log.lines("storage.failed")
        #expect(said.map { $0["code"] } == [code], "\(gateway.log.texts.suffix(5))")
        #expect(said.first?["level"] == "error")
        try await repair()
        try await gateway.start()
        let open = try await self.open()
        #expect(open.starts(with: accepted), "\(open.count) of \(accepted.count)")
        // What was under way may be there too, once.
        #expect(open.count <= accepted.count + 1)
        let first = try await receive([:])
        #expect(first.first?["id"]?.string == accepted.first)
        #expect(try await settle(try #require(first.first), "complete").status == 200)
        #expect(try await gateway.stop() == .code(0))
    }
}
