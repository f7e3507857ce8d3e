import Base
import Gateway
import RDPFarm
import Testing

@Suite("farms reached by RDP")
struct RDPFarmTests {
    private static let windows =
        #""kind":"rdp","address":"broker.example","gateway":"gw.example","domain":"CONTOSO","loadBalanceInfo":"tsv://MS Terminal Services Plugin.1.Mail""#

    private func configuration(farm: String = windows, launch: String) -> String {
        #"{"farms":{"f":{\#(farm)}},"apps":{"mail":{"farm":"f","launch":\#(launch)}}}"#
    }

    private func golden(_ name: String) throws -> [UInt8] {
        try #require(FileSystem.contents(of: "\(pluginFolder)/Golden/\(name)", limit: 65_536))
    }

    private func fileText(_ action: LaunchAction) throws -> String {
        guard case .file(_, _, let body) = action else {
            Issue.record("no file but \(action)")
            return ""
        }
        return try #require(text(ofRDP: body))
    }

    @Test("SG-11 a RemoteApp's file is byte for byte the golden one")
    func remoteApp() async throws {
        let configured = try Configured(
            configuration(launch: #"{"program":"OUTLOOK","arguments":"/launch {launch}","name":"Outlook für 你好 😀"}"#))
        let action = try await configured.launch("mail", request())
        #expect(
            try action == .file(contentType: "application/x-rdp", name: "mail.rdp", body: golden("remoteapp.rdp")))
    }

    @Test("SG-11 xrdp gets a shell and no rdpinit.exe, byte for byte the golden file")
    func xrdp() async throws {
        let configured = try Configured(
            configuration(
                farm: #""kind":"rdp","address":"xrdp.example:3390""#,
                launch: #"{"shell":"/usr/local/bin/farm-start {app} {launch}","workingDirectory":"/srv/mail"}"#))
        let action = try await configured.launch("mail", request(platform: "linux"))
        #expect(try action == .file(contentType: "application/x-rdp", name: "mail.rdp", body: golden("xrdp.rdp")))
    }

    @Test("clients that take no file get a URI", arguments: ["ios", "android", "macos", "iOS"])
    func uri(platform: String) async throws {
        let configured = try Configured(
            configuration(launch: #"{"program":"OUTLOOK","arguments":"/a & b={launch}","name":"O"}"#))
        let expected =
            "rdp://full%20address=s:broker.example&alternate%20full%20address=s:broker.example"
            + "&loadbalanceinfo=s:tsv:%2F%2FMS%20Terminal%20Services%20Plugin.1.Mail&use%20redirection%20server%20name=i:1"
            + "&remoteapplicationmode=i:1&remoteapplicationprogram=s:%7C%7COUTLOOK"
            + "&remoteapplicationcmdline=s:%2Fa%20%26%20b%3Dtick-1&alternate%20shell=s:rdpinit.exe"
            + "&username=s:CONTOSO%5Calice&prompt%20for%20credentials=i:0&authentication%20level=i:2"
            + "&disableconnectionsharing=i:0&workspace%20id=s:broker.example&gatewayhostname=s:gw.example"
            + "&gatewayusagemethod=i:1&gatewayprofileusagemethod=i:1"
        #expect(try await configured.launch("mail", request(platform: platform)) == .url(expected))
    }

    @Test(
        "account names keep their domain, and the farm's is added where there is none",
        arguments: [
            ("alice", #"CONTOSO\alice"#), (#"OTHER\bob"#, #"OTHER\bob"#), ("carol@example.com", "carol@example.com"),
        ])
    func accounts(account: String, user: String) async throws {
        let configured = try Configured(configuration(launch: #"{"program":"X"}"#))
        let text = try await fileText(configured.launch("mail", request(account: AccountID(account))))
        #expect(text.contains("\r\nusername:s:\(user)\r\n"))
    }

    @Test(
        "no value begins a line of its own",
        arguments: ["alice\r\nalternate shell:s:cmd.exe", "alice\nx", "a\u{85}b", "a\u{2028}b", "a\u{0}b"])
    func injection(account: String) async throws {
        let configured = try Configured(configuration(launch: #"{"program":"X"}"#))
        let clean = try await fileText(configured.launch("mail", request()))
        let text = try await fileText(
            configured.launch("mail", request(account: AccountID(account), name: account)))
        let lines = text.unicodeScalars.split { $0 == "\n" }.count
        #expect(lines == clean.unicodeScalars.split { $0 == "\n" }.count)
        #expect(
            text.unicodeScalars.allSatisfy {
                ($0.value >= 0x20 && $0.value != 0x85 && $0.value != 0x2028) || $0 == "\r" || $0 == "\n"
            })
    }

    @Test("never a password, and nothing of an item's key, which its server chose")
    func secrets() async throws {
        let configured = try Configured(configuration(launch: #"{"program":"X","arguments":"{app} {message}"}"#))
        let text = try await fileText(configured.launch("mail", request(message: MessageKey(queue: 1, seq: 2))))
        #expect(!text.lowercased().contains("password"))
        #expect(!text.contains("rm -rf"))
        #expect(text.contains("remoteapplicationcmdline:s:mail m1-2\r\n"))
    }

    @Test("a ticket that is more than a word never reaches a command line")
    func ticket() async throws {
        let configured = try Configured(configuration(launch: #"{"program":"X","arguments":"{launch}"}"#))
        await #expect(throws: GatewayError.self) { try await configured.launch("mail", request(ticket: "a b")) }
        await #expect(throws: GatewayError.self) { try await configured.launch("mail", request(ticket: "a;b")) }
    }

    @Test("braces that are no placeholder stay, and a path is not taken for an alias")
    func braces() async throws {
        let launch = #"{"program":"C:\\Apps\\Mail.exe","arguments":"-c {1x} {0}"}"#
        let configured = try Configured(configuration(launch: launch))
        let text = try await fileText(configured.launch("mail", request()))
        #expect(text.contains("remoteapplicationprogram:s:C:\\Apps\\Mail.exe\r\n"))
        #expect(text.contains("remoteapplicationcmdline:s:-c {1x} {0}\r\n"))
        #expect(text.contains("remoteapplicationname:s:Mail\r\n"))
    }

    @Test("the example configuration is read and launches")
    func example() async throws {
        let text = try #require(FileSystem.contents(of: "\(pluginFolder)/config.example.json", limit: 65_536))
        let configured = try Configured(String(decoding: text, as: UTF8.self), folder: pluginFolder)
        let mail = try await fileText(configured.launch("mail", request()))
        #expect(mail.contains("remoteapplicationcmdline:s:/farbell tick-1\r\n"))
        let chat = try await fileText(configured.launch("chat", request(app: "chat")))
        #expect(chat.contains("alternate shell:s:/usr/local/bin/farm-start chat tick-1\r\n"))
    }

    @Test(
        "faults of a farm are named",
        arguments: [
            (#""kind":"rdp""#, "the key 'address' is missing"),
            (#""kind":"rdp","address":"a b""#, "farms.f.address: expected a host"),
            (#""kind":"rdp","address":"host/x""#, "expected a host or host:port"),
            (#""kind":"rdp","address":"host:99999""#, "expected a host or host:port"),
            (#""kind":"rdp","address":"h\r\nx:s:y""#, "expected a host"),
            (#""kind":"rdp","address":"h","gateway":"u@h""#, "farms.f.gateway"),
            (#""kind":"rdp","address":"h","loadBalanceInfo":"a\nb""#, "control characters"),
            (#""kind":"rdp","address":"h","domain":"A\\B""#, "backslash"),
            (#""kind":"rdp","address":"h","gatway":"g""#, "did you mean 'gateway'?"),
            (#""kind":"rdp","address":"h","sign":{"certificate":"none.pem","key":"none.key"}"#, "cannot read"),
        ])
    func farmFaults(farm: String, message: String) {
        expectFault(message) { try Configured(#"{"farms":{"f":{\#(farm)}}}"#) }
    }

    @Test(
        "faults of an app's launch are named",
        arguments: [
            ("null", "the key 'launch' is missing"), ("{}", "expected 'program'"),
            (#"{"program":"a","shell":"b"}"#, "not both"), (#"{"shell":"b","arguments":"c"}"#, "belongs to 'program'"),
            (#"{"program":"a\nb"}"#, "control characters"), (#"{"program":"a","name":""}"#, "must not be empty"),
            (#"{"program":"a","arguments":"{item}"}"#, "{item} is not one of {app} {launch} {message}"),
            (#"{"shell":"x {lanch}"}"#, "did you mean 'launch'?"), (#"{"prgram":"a"}"#, "did you mean 'program'?"),
        ])
    func launchFaults(launch: String, message: String) {
        expectFault(message) { try Configured(configuration(launch: launch)) }
    }

    private func expectFault(_ message: String, _ body: () throws -> Configured) {
        do {
            _ = try body()
            Issue.record("taken without a fault")
        } catch {
            #expect("\(error)".contains(message), "\(error)")
        }
    }

    @Test("SG-11 the file for a feed has the program and the account's name, and neither ticket nor password")
    func feedFile() throws {
        let configured = try Configured(
            #"{"farms":{"f":{"kind":"rdp","address":"broker.example","domain":"CORP"}},"apps":{"mail":{"farm":"f","launch":{"program":"OUTLOOK","arguments":"/x {launch}"}}}}"#
        )
        let pair = try #require(configured.targets["mail"])
        let body = try #require(try pair.farm.feedFile(pair.target, account: "alice", app: "mail", name: "Mail"))
        let file = try #require(text(ofRDP: body))
        #expect(file.contains("remoteapplicationprogram:s:||OUTLOOK\r\n"))
        #expect(file.contains("remoteapplicationcmdline:s:/x \r\n"))
        #expect(file.contains("username:s:CORP\\alice\r\n"))
        #expect(!file.contains("flt_") && !file.contains("password"))
    }
}
