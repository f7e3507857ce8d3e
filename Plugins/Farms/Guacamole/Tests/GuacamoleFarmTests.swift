import Base
import Cryptography
import Gateway
import GatewayTestKit
import Testing

@testable import GuacamoleFarm

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

    /// The sign-in that a page's address brings, and the connection it opens.
    private func data(in start: LaunchStart) throws -> (data: String, client: [UInt8]?) {
        guard case .frame(let url) = start else { throw PeerError(.process, "no page") }
        let text = url.exposed
        #expect(text.hasPrefix("https://guac.example/guacamole/?data=") && !text.contains("s3cret"))
        let parts = text.dropFirst("https://guac.example/guacamole/?data=".count).split(separator: "#")
        // Base64 has three characters that are written otherwise in an address.
        let data = String(parts[0]).replacing("%2B", with: "+").replacing("%2F", with: "/").replacing("%3D", with: "=")
        return (data, [UInt8](base64URL: String(parts[1].dropFirst("/client/".count))))
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
            let (data, client) = try self.data(in: try await site.start(request))
            #expect(client == Array("Mail & more\0c\0json".utf8))
            return data
        }
        let guacamole = StrictGuacamole()
        let first = try await data()
        let document = try await guacamole.signIn(first, at: time.timestamp)
        let parameters = document["connections"]?["Mail & more"]?["parameters"]
        #expect(parameters?["username"]?.string == "al\"ice" && parameters?["password"]?.string == "s3cret{app}")
        #expect(parameters?["remote-app"]?.string == "||OUTLOOK" && parameters?["client-name"]?.string == "alice")
        await #expect(throws: StrictGuacamole.Refused(reason: "used, or without an end")) {
            _ = try await guacamole.signIn(first, at: time.timestamp)
        }
        // The clock stands still, and yet the next one is another.
        let second = try await data()
        _ = try await guacamole.signIn(second, at: time.timestamp)
        let third = try await data()
        // The page's connection is there as long as the sign-in is good, and no longer: it cannot connect anew by itself.
        #expect(guacamole.connections(of: document, at: time.timestamp) == ["Mail & more"])
        time.advance(by: .seconds(61))
        #expect(guacamole.connections(of: document, at: time.timestamp) == [])
        await #expect(throws: StrictGuacamole.Refused(reason: "expired")) {
            _ = try await guacamole.signIn(third, at: time.timestamp)
        }
        let spoiled = "B" + third.dropFirst()
        await #expect(throws: StrictGuacamole.Refused.self) {
            _ = try await guacamole.signIn(spoiled, at: Timestamp(milliseconds: 0))
        }
    }

    @Test(
        "SG-11 a sign-in of another shape is one that Guacamole refuses",
        arguments: [
            (#"{"username":"a","expires":9000000000000,"singleUse":true,"connections":{}}"#, nil),
            (#"{"username":"a","expires":9000000000000,"nonce":"x","connections":{}}"#, "unknown 'nonce'"),
            (#"{"username":"a","expires":"soon","connections":{}}"#, "expires is no number"),
            (#"{"username":"a","singleUse":true,"connections":{}}"#, "used, or without an end"),
            (#"{"username":"a","expires":1000,"connections":{}}"#, "expired"),
            (#"{"connections":{"m":{"protocol":"rdp","parameter":{}}}}"#, "unknown 'parameter'"),
            (#"{"connections":{"m":{"protocol":"rdp","parameters":{"port":{}}}}}"#, "'port' is no text"),
            (#"{"username":"a""#, "no JSON"),
        ] as [(String, String?)])
    func shapes(json: String, reason: String?) async throws {
        let data = try #require(GuacamoleData(key: Secret(StrictGuacamole.key)))
        let guacamole = StrictGuacamole()
        let now = Timestamp(seconds: 1_795_262_400)
        do {
            _ = try await guacamole.signIn(try data.seal(Array(json.utf8)), at: now)
            #expect(reason == nil)
        } catch let error as StrictGuacamole.Refused {
            #expect(error.reason == reason)
        }
    }

    @Test(
        "SG-11 what a user chose is never one of Guacamole's own tokens",
        arguments: [
            "plain", "${GUAC_USERNAME}", "a${GUAC_USERNAME}b", "$${GUAC_USERNAME}", "$", "${", "}", "${}", "$${}",
            "${GUAC_USERNAME}${GUAC_USERNAME}", "${GUAC_USERNAME:UPPER}", "${GUAC_USERNAME:UPPER} and ${GUAC_USERNAME}",
            "${a b} ${GUAC_USERNAME}", "${OTHER:OPTIONAL}", "${GUAC_USERNAME", "x${GUAC_USERNAME:}y", "${ÄÖ}",
            "${GUAC_USERNAME:\n}", "${{GUAC_USERNAME}}", "$$${GUAC_USERNAME}$$",
        ])
    func tokens(password: String) async throws {
        let guacamole = StrictGuacamole()
        #expect(guacamole.filtered(GuacamoleData.literal(password)) == password)
        let folder = try TemporaryFolder()
        let time = ManualTime()
        let launch =
            #"{"protocol":"rdp","parameters":{"hostname":"h","password":"{password}","user":"${GUAC_USERNAME}"}}"#
        let site = try site(folder, launch: launch, time: time)
        let start = try await site.start(FarmSite.request(credentials: ["password": Secret(password)]))
        let document = try await guacamole.signIn(try data(in: start).data, at: time.timestamp)
        let parameters = document["connections"]?["mail"]?["parameters"]
        #expect(guacamole.filtered(parameters?["password"]?.string ?? "") == password)
        // The administrator's own tokens stay what they are.
        #expect(guacamole.filtered(parameters?["user"]?.string ?? "") == "alice")
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
