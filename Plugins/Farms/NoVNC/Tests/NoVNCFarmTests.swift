import Base
import Gateway
import GatewayTestKit
import Testing

@testable import NoVNCFarm

@Suite("farm kind novnc", .timeLimit(.minutes(1)))
struct NoVNCFarmTests {
    private let time: any TimeSource = SystemTime()

    private func site(_ folder: TemporaryFolder, _ more: String) throws -> FarmSite {
        _ = FileSystem.createFolder(folder.file("core"))
        try folder.write("export default class {}", to: "core/rfb.js")
        try folder.write("no", to: "secret.js")
        return try FarmSite(
            NoVNCPlugin(), #""socket":"wss://farm.example/websockify","pages":"\#(folder.path)",\#(more)"#, time: time,
            log: Log(sink: NullLogSink()))
    }

    private func token(_ start: LaunchStart) throws -> String {
        guard case .rfb(let module, let socket, _) = start else { throw PeerError(.process, "no screen") }
        #expect(module == "/farms/web/novnc/core/rfb.js")
        let parts = socket.exposed.split(separator: "=")
        #expect(parts.first == "wss://farm.example/websockify?token")
        return String(try #require(parts.last))
    }

    @Test("a connection token leads to the screen once")
    func token() async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, #""address":"127.0.0.1:5931""#)
        #expect(site.farm.screenOrigins == ["wss://farm.example"])
        let first = try token(try await site.start(FarmSite.request()))
        let second = try token(try await site.start(FarmSite.request()))
        #expect(first != second && first.utf8.count >= 32)
        func lead(_ token: String) async -> String? {
            await site.farm.answer(path: ["token"], query: ["token": token]).map {
                String(decoding: $0.body, as: UTF8.self)
            }
        }
        #expect(await lead(first) == #"{"host":"127.0.0.1","port":5931}"#)
        #expect(await lead(first) == nil)
        #expect(await lead("") == nil)
        #expect(await lead("guess") == nil)
        #expect(await lead(second) != nil)
    }

    @Test(
        "only noVNC's own scripts are served",
        arguments: [
            (["novnc", "core", "rfb.js"], true), (["novnc", "secret.js"], false),
            (["novnc", "core", "..", "secret.js"], false),
            (["novnc", "core", "../secret.js"], false), (["novnc", "core", "none.js"], false),
            (["novnc", "core"], false),
            (["novnc", "core", ".js"], false), (["core", "rfb.js"], false), ([], false),
        ])
    func files(path: [String], isThere: Bool) async throws {
        let folder = try TemporaryFolder()
        let site = try site(folder, #""address":"127.0.0.1:5931""#)
        #expect((await site.farm.answer(path: path, query: [:]) != nil) == isThere)
    }

    @Test("the session program gets the credentials on its standard input only, and names the screen")
    func program() async throws {
        let folder = try TemporaryFolder()
        try folder.script(
            """
            read -r order
            printf '%s' "$order" > \(folder.path)/order
            tr '\\0' ' ' < /proc/$$/cmdline > \(folder.path)/words
            tr '\\0' ' ' < /proc/$$/environ >> \(folder.path)/words
            echo '{"host":"10.0.0.5","port":5907,"password":"once"}'
            """, to: "open")
        let site = try site(folder, #""session":["\#(folder.path)/open","--kind","novnc"]"#)
        #expect(site.farm.usesCredentials)
        let credentials = ["username": Secret("alice"), "password": Secret("s3cret-of-alice")]
        let start = try await site.start(FarmSite.request(item: "17", credentials: credentials))
        guard case .rfb(_, _, let password?) = start else { throw PeerError(.process, "no password") }
        #expect(password.exposed == "once")
        let answer = await site.farm.answer(path: ["token"], query: ["token": try token(start)])
        #expect(String(decoding: answer?.body ?? [], as: UTF8.self) == #"{"host":"10.0.0.5","port":5907}"#)
        let order = try JSONParser.parse(Array(try folder.text(of: "order").utf8))
        #expect(order["account"]?.string == "alice" && order["app"]?.string == "mail" && order["item"]?.string == "17")
        #expect(order["credentials"]?["password"]?.string == "s3cret-of-alice")
        let words = try folder.text(of: "words")
        #expect(words.contains("--kind novnc") && !words.contains("s3cret"))
    }

    @Test(
        "a program that fails, talks nonsense or hangs makes the farm unavailable",
        arguments: [
            "exit 3", "echo nonsense", "echo '{}'", "echo '{\"host\":\"a b\",\"port\":1}'",
            "echo '{\"host\":\"a\",\"port\":0}'",
            "exec sleep 600",
        ])
    func failing(body: String) async throws {
        let folder = try TemporaryFolder()
        try folder.script(body, to: "open")
        let site = try site(folder, #""session":["\#(folder.path)/open"],"sessionSeconds":1"#)
        let error = await #expect(throws: GatewayError.self) { _ = try await site.start(FarmSite.request()) }
        #expect(error?.code == .farmUnavailable)
    }

    @Test(
        "faults of the configuration are told",
        arguments: [
            (#""address":"nowhere""#, "expected host:port"), (#""more":1"#, "expected 'session'"),
            (#""session":["/no/such/program"]"#, "is not a program"),
            (#""session":["/bin/true"],"address":"a:1""#, "not both"),
        ])
    func faults(text: String, message: String) throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: ConfigError.self) { _ = try site(folder, text) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("a token is good for 30 s; they are bounded, and expired ones make room")
    func bounded() {
        let now = Moment(nanoseconds: 0)
        var tokens = ConnectTokens(limit: 2, lifetime: .seconds(30))
        let place = NoVNCPlace("h:1")!
        let added = [
            tokens.add([1], place, now: now), tokens.add([2], place, now: now), tokens.add([3], place, now: now),
        ]
        #expect(added == [true, true, false])
        let second = tokens.add([3], place, now: now + .seconds(30))
        #expect(second && tokens.count == 1)
        let gone = tokens.take([1], now: now + .seconds(31))
        #expect(gone == nil)
        let late = tokens.take([3], now: now + .seconds(60))
        #expect(late == nil, "its time was up")
    }
}
