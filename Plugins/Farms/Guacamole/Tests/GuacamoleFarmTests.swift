import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import GuacamoleFarm

/// What guacamole-auth-json does with a sign-in, with the decoding done by the `openssl` command: strict Base64 on one
/// line, signature, expiry, and the list of those used.
private final class StrictGuacamole: Sendable {
    static let key = "4C0B569E4C96DF157EEE1B65DD0E4D41"
    private let used = Locked<Set<String>>([])

    struct Refused: Error, Equatable { let reason: String }

    /// Runs a shell pipeline of `openssl`; its output is text.
    private func run(_ pipeline: String, _ input: String) async throws -> String {
        let output = try await ProgramRun.output(
            of: ChildProgram.Command("/bin/sh", ["-c", pipeline], environment: ["PATH": "/usr/bin:/bin"]),
            input: Array(input.utf8), within: .seconds(20), time: SystemTime())
        return output.lines.joined()
    }

    /// - Returns: the JSON.
    func signIn(_ data: String, at now: Timestamp) async throws -> JSON {
        guard let bytes = [UInt8](base64: data), bytes.base64 == data else { throw Refused(reason: "no base64") }
        let zero = String(repeating: "0", count: 32)
        let text = try await run(
            "openssl enc -d -aes-128-cbc -K \(Self.key) -iv \(zero) -base64 -A | openssl base64 -A", data)
        guard let plain = [UInt8](base64: text), plain.count > 32 else {
            throw Refused(reason: "cannot be decrypted")
        }
        let json = Array(plain.dropFirst(32))
        let code = try await run(
            "openssl base64 -d -A | openssl dgst -sha256 -mac HMAC -macopt hexkey:\(Self.key) -r", json.base64)
        guard code.hasPrefix(Array(plain.prefix(32)).hexadecimal) else { throw Refused(reason: "wrong signature") }
        let document = try JSONParser.parse(json)
        guard let expires = document["expires"]?.integer, expires > now.milliseconds else {
            throw Refused(reason: "expired")
        }
        let isNew = used.withLock { $0.insert(Array(plain.prefix(32)).hexadecimal).inserted }
        if document["singleUse"]?.bool == true, !isNew { throw Refused(reason: "used") }
        return document
    }
}

@Suite("farm kind guacamole", .timeLimit(.minutes(1)))
struct GuacamoleFarmTests {
    private static let launch = #"""
        {"protocol":"rdp","connection":"Mail & more","parameters":{"hostname":"10.0.0.7","port":"3389",
        "username":"{username}","password":"{password}","remote-app":"||OUTLOOK","client-name":"{account}"}}
        """#

    private func site(
        _ folder: TemporaryFolder, more: String = "", launch: String = Self.launch, time: ManualTime = ManualTime(),
        transport: any HTTPTransport = NoTransport()
    ) throws -> FarmSite {
        let key = try folder.write("\(StrictGuacamole.key)\n", to: "key")
        return try FarmSite(
            GuacamolePlugin(), #""url":"https://guac.example/guacamole","secretKey":{"file":"\#(key)"}\#(more)"#,
            launch: launch, time: time, log: Log(sink: NullLogSink()), transport: transport, folder: folder.path)
    }

    @Test("the vector: signature, then JSON, AES-128-CBC with a zero vector, Base64 on one line")
    func vector() throws {
        let data = try #require(GuacamoleData(key: Secret(StrictGuacamole.key)))
        let json =
            #"{"username":"alice","expires":1893456000000,"singleUse":true,"connections":{"mail":{"protocol":"vnc","#
            + #""parameters":{"hostname":"127.0.0.1","port":"5910"}}}}"#
        let document = GuacamoleData.document(
            username: "alice", expires: Timestamp(milliseconds: 1_893_456_000_000), connection: "mail",
            protocol: "vnc", parameters: [("hostname", "127.0.0.1"), ("port", "5910")])
        #expect(document.serialized == json)
        let sealed = try data.seal(Array(json.utf8))
        #expect(sealed.utf8.count == 256)
        #expect(sealed.hasPrefix("eajG2mru6TUBGAF1aKP85bRGcHv5ZGZ+") && sealed.hasSuffix("hSZajR99FlVoAhW45"))
        #expect(
            try SHA256.hash(Array(sealed.utf8)).hexadecimal
                == "9547b033d7638ea694559f0f99877885ebe74f7f84fad793f1b6d28471546c33")
        #expect(GuacamoleData(key: Secret("4C0B")) == nil && GuacamoleData(key: Secret("")) == nil)
    }

    @Test("SG-11 a strict Guacamole takes the sign-in once, with the registration's credentials inside it")
    func signIn() async throws {
        let folder = try TemporaryFolder()
        let time = ManualTime()
        let site = try site(folder, time: time)
        let request = FarmSite.request(credentials: ["username": Secret("al\"ice"), "password": Secret("s3cret{app}")])
        #expect(try await site.launch(request) == .screen)
        func data() async throws -> String {
            guard case .frame(let url) = try await site.start(request) else { throw PeerError(.process, "no page") }
            let text = url.exposed
            #expect(text.hasPrefix("https://guac.example/guacamole/?data=") && !text.contains("s3cret"))
            let parts = text.dropFirst("https://guac.example/guacamole/?data=".count).split(separator: "#")
            let name = String(parts[1].dropFirst("/client/".count))
            #expect([UInt8](base64URL: name) == Array("Mail & more\0c\0json".utf8))
            // Base64 has three characters that are written otherwise in an address.
            var data = ""
            var rest = parts[0]
            let codes: [String: Character] = ["%2B": "+", "%2F": "/", "%3D": "="]
            while let character = rest.first {
                let code = codes[String(rest.prefix(3))]
                data.append(code ?? character)
                rest = rest.dropFirst(code == nil ? 1 : 3)
            }
            return data
        }
        let guacamole = StrictGuacamole()
        let first = try await data()
        let document = try await guacamole.signIn(first, at: time.timestamp)
        let parameters = document["connections"]?["Mail & more"]?["parameters"]
        #expect(parameters?["username"]?.string == "al\"ice" && parameters?["password"]?.string == "s3cret{app}")
        #expect(parameters?["remote-app"]?.string == "||OUTLOOK" && parameters?["client-name"]?.string == "alice")
        await #expect(throws: StrictGuacamole.Refused(reason: "used")) {
            _ = try await guacamole.signIn(first, at: time.timestamp)
        }
        // The clock stands still, and yet the next one is another.
        let second = try await data()
        _ = try await guacamole.signIn(second, at: time.timestamp)
        let third = try await data()
        time.advance(by: .seconds(61))
        await #expect(throws: StrictGuacamole.Refused(reason: "expired")) {
            _ = try await guacamole.signIn(third, at: time.timestamp)
        }
        let spoiled = "B" + third.dropFirst()
        await #expect(throws: StrictGuacamole.Refused.self) {
            _ = try await guacamole.signIn(spoiled, at: Timestamp(milliseconds: 0))
        }
    }

    @Test("SG-7 connected never raises; disconnected is said only of connections the listing has shown")
    func listing() async throws {
        let folder = try TemporaryFolder()
        let active = Locked("{}")
        let requests = Recorder<String>()
        let tokens = Locked(0)
        let transport = StubTransport { request, _ in
            requests.append("\(request.method) \(request.url)")
            if request.url.hasSuffix("/api/tokens") {
                #expect(String(decoding: request.body, as: UTF8.self) == "username=watch%26er&password=w%20p")
                let number = tokens.withLock {
                    $0 += 1; return $0
                }
                return HTTPResponse(status: 200, body: Array(#"{"authToken":"T\#(number)"}"#.utf8))
            }
            // The first token has timed out by its second use.
            if request.headers["Guacamole-Token"] == "T1", requests.all.count > 2 { return HTTPResponse(status: 403) }
            return HTTPResponse(status: 200, body: Array(active.withLock { $0 }.utf8))
        }
        let password = try folder.write("w p", to: "password")
        let admin = #","admin":{"username":"watch&er","password":{"file":"\#(password)"},"dataSource":"mysql"}"#
        _ = try site(folder, more: admin, transport: transport)
        let rest = GuacamoleREST(
            base: "https://guac.example/guacamole", username: "watch&er", password: Secret("w p"), source: "mysql",
            caFile: nil, pool: "p", transport: transport)
        let farm = try #require(try site(folder).farm as? GuacamoleFarm)
        let alice = FarmSubject(account: "alice", app: "mail")
        let names: [AppID: String] = ["mail": "12"]
        func look() async throws -> FarmFact.State? {
            farm.look(at: [alice], try await rest.active(), names)[alice]
        }
        #expect(try await look() == nil)
        active.withLock { $0 = #"{"a":{"username":"alice","connectionIdentifier":"12"},"b":{"username":"bob"}}"# }
        #expect(try await look() == .connected)
        active.withLock { $0 = #"{"a":{"username":"alice","connectionIdentifier":"13"}}"# }
        #expect(try await look() == .disconnected)
        #expect(requests.all.filter { $0.hasSuffix("/api/tokens") }.count == 2)
        active.withLock { $0 = "nonsense" }
        await #expect(throws: GuacamoleREST.Failure.self) { _ = try await look() }
    }

    @Test(
        "faults of the configuration are told",
        arguments: [
            (#"{"protocol":"rdp"}"#, "hostname"),
            (#"{"protocol":"smb","parameters":{"hostname":"a"}}"#, "expected rdp"),
            ("null", "'launch' is missing"),
        ])
    func faults(launch: String, message: String) throws {
        let folder = try TemporaryFolder()
        let error = #expect(throws: ConfigError.self) { _ = try site(folder, launch: launch) }
        #expect(error?.description.contains(message) == true, "\(error?.description ?? "")")
    }

    @Test("a key of the wrong length is told, without its value")
    func key() throws {
        let folder = try TemporaryFolder()
        let key = try folder.write("ABCD1234", to: "key")
        let error = #expect(throws: ConfigError.self) {
            _ = try FarmSite(
                GuacamolePlugin(), #""url":"https://g.example","secretKey":{"file":"\#(key)"}"#, launch: Self.launch,
                time: SystemTime(), log: Log(sink: NullLogSink()))
        }
        #expect(error?.description.contains("32 hexadecimal") == true)
        #expect(error?.description.contains("ABCD1234") == false)
    }
}
