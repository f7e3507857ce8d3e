import Base
import Gateway
import GatewayTestKit
import RDPFarm
import Testing

@Suite("signed .rdp files")
struct RDPSignatureTests {
    /// The lines a signature covers, in the order of the signed message (as `rdpsign` has it).
    private let order = [
        ("full address:s:", "Full Address"), ("alternate full address:s:", "Alternate Full Address"),
        ("use redirection server name:i:", "Use Redirection Server Name"),
        ("disableconnectionsharing:i:", "DisableConnectionSharing"),
        ("autoreconnection enabled:i:", "AutoReconnection Enabled"), ("gatewayhostname:s:", "GatewayHostname"),
        ("gatewayusagemethod:i:", "GatewayUsageMethod"),
        ("gatewayprofileusagemethod:i:", "GatewayProfileUsageMethod"),
        ("promptcredentialonce:i:", "PromptCredentialOnce"), ("alternate shell:s:", "Alternate Shell"),
        ("shell working directory:s:", "Shell Working Directory"),
        ("remoteapplicationprogram:s:", "RemoteApplicationProgram"),
        ("remoteapplicationmode:i:", "RemoteApplicationMode"), ("remoteapplicationname:s:", "RemoteApplicationName"),
        ("remoteapplicationcmdline:s:", "RemoteApplicationCmdLine"),
        ("prompt for credentials:i:", "Prompt For Credentials"), ("authentication level:i:", "Authentication Level"),
        ("loadbalanceinfo:s:", "LoadBalanceInfo"),
    ]

    private func openssl(_ arguments: String...) async throws -> ChildProcess.Exit {
        try await ChildProcess.run("openssl", arguments).exit
    }

    /// Makes a signer's certificate and key in a folder.
    private func makeSigner(in folder: TemporaryFolder) async throws {
        let exit = try await openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", folder.file("sign.key"), "-out",
            folder.file("sign.pem"), "-days", "2", "-subj", "/CN=Farbell test signer")
        #expect(exit == .code(0))
    }

    private let farm =
        #""kind":"rdp","address":"broker.example","gateway":"gw.example","loadBalanceInfo":"tsv://a","domain":"CONTOSO","sign":{"certificate":"sign.pem","key":"sign.key"}"#

    private func lines(in folder: TemporaryFolder, launch: String) async throws -> [String] {
        let configured = try Configured(
            #"{"farms":{"f":{\#(farm)}},"apps":{"mail":{"farm":"f","launch":\#(launch)}}}"#, folder: folder.path)
        guard case .file(_, _, let body) = try await configured.launch("mail", request()) else { return [] }
        let content = try #require(text(ofRDP: body))
        #expect(content.hasSuffix("\r\n"))
        return content.split(separator: "\r\n").map(String.init)
    }

    private func utf16(_ text: String) -> [UInt8] {
        text.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    }

    @Test(
        "SG-11 openssl cms accepts the signature of the covered lines, and no other",
        arguments: [
            #"{"program":"OUTLOOK","name":"Outlook für 你好","workingDirectory":"C:\\"}"#,
            #"{"shell":"/bin/farm-start {app}"}"#,
        ])
    func verified(launch: String) async throws {
        let folder = try TemporaryFolder()
        try await makeSigner(in: folder)
        let lines = try await lines(in: folder, launch: launch)
        let covered = order.compactMap { entry in
            lines.first { $0.hasPrefix(entry.0) }.map { (line: $0, scope: entry.1) }
        }
        let scope = "signscope:s:" + covered.map(\.scope).joined(separator: ",")
        #expect(covered.count >= 12)
        #expect(lines.dropLast().last == scope)
        let last = try #require(lines.last)
        try #require(last.hasPrefix("signature:s:"))
        let signature = try #require([UInt8](base64: String(last.dropFirst(12))))
        let count = signature.count - 12
        let header: [UInt8] = [1, 0, 1, 0, 1, 0, 0, 0, UInt8(count & 0xFF), UInt8(count >> 8), 0, 0]
        #expect(Array(signature.prefix(12)) == header)
        try folder.write(Array(signature.dropFirst(12)), to: "der")

        let message = (covered.map(\.line) + [scope]).map { "\($0)\r\n" }.joined() + "\0"
        try folder.write(utf16(message), to: "message")
        try folder.write(utf16(message.replacing("broker.example", with: "evil.example")), to: "other")
        for (name, accepted) in [("message", true), ("other", false)] {
            let exit = try await openssl(
                "cms", "-verify", "-binary", "-inform", "DER", "-in", folder.file("der"), "-content",
                folder.file(name), "-CAfile", folder.file("sign.pem"), "-purpose", "any", "-out", "/dev/null")
            #expect((exit == .code(0)) == accepted, "\(name): \(exit)")
        }
    }

    private static let checker = "\(FileSystem.folder(of: pluginFolder))/../../Scripts/oracle/rdp_file.py"

    @Test(
        "SG-11 an implementation in Python reads the file, puts the message together and verifies it; no other passes")
    func independent() async throws {
        let folder = try TemporaryFolder()
        try await makeSigner(in: folder)
        let launch =
            #"{"program":"OUTLOOK","name":"Outlook für 你好","arguments":"/x {launch}","workingDirectory":"C:\\"}"#
        let lines = try await lines(in: folder, launch: launch)
        func check(_ lines: [String]) async throws -> JSON {
            try folder.write([0xFF, 0xFE] + utf16(lines.map { "\($0)\r\n" }.joined()), to: "file.rdp")
            let result = try await ChildProcess.run(
                "python3", [Self.checker, folder.file("file.rdp"), folder.file("sign.pem")])
            #expect(result.exit == .code(0), "\(result.errors)")
            return try JSONParser.parse(result.output.joined())
        }
        let read = try await check(lines)
        #expect(read["verified"]?.bool == true)
        // What leads elsewhere or starts something else is all covered.
        let open = read["open"]?.array?.compactMap { $0.string?.split(separator: ":").first.map(String.init) } ?? []
        #expect(open == ["disableremoteappcapscheck", "username", "workspace id"], "\(open)")
        let spoiled: [(String, [String])] = [
            ("another host", lines.map { $0 == "full address:s:broker.example" ? "full address:s:evil.example" : $0 }),
            ("another program", lines.map { $0.hasPrefix("remoteapplicationcmdline") ? "\($0) & calc" : $0 }),
            ("a gateway's doubled line", lines + ["gatewayhostname:s:evil.example"]),
            ("a setting that was not there", lines + ["redirectdrives:i:1"]),
            ("a line taken out", lines.filter { !$0.hasPrefix("authentication level") }),
        ]
        for (what, lines) in spoiled {
            let verified = try await check(lines)["verified"]?.bool
            #expect(verified == false, "\(what)")
        }
    }

    @Test("a key that is not the certificate's is a fault of the configuration")
    func wrongKey() async throws {
        let (folder, other) = (try TemporaryFolder(), try TemporaryFolder())
        try await makeSigner(in: folder)
        try await makeSigner(in: other)
        let text = #"{"farms":{"f":{\#(farm.replacing("sign.key", with: other.file("sign.key")))}}}"#
        do {
            _ = try Configured(text, folder: folder.path)
            Issue.record("taken without a fault")
        } catch {
            #expect(error.description.contains("farms.f.sign.certificate: certificate and key cannot be used"))
        }
    }
}
