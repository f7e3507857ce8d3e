import Base
import Cryptography
import GatewayTestKit
import Glibc
import Testing

/// Where the password of a registration may be read while a farm opens the app with it: nowhere but by the farm.
@Suite("single sign-on leaves no password behind", .timeLimit(.minutes(2))) struct FarmSecretTests {
    /// With letters that URLs, JSON, shells and XML write otherwise.
    private static let password = "S3cret of {app} & \"ünïque\" 你好/+='$HOME"
    private static let guacamoleKey = "4C0B569E4C96DF157EEE1B65DD0E4D41"

    /// The password as it is and as others write it.
    private static let forms: [[UInt8]] = {
        let bytes = Array(password.utf8)
        let utf16 = password.utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
        let json = JSON.string(password).serialized.dropFirst().dropLast()
        // Base64 of a text inside another one depends on where it begins.
        let inside = (0..<3).map { skipped -> [UInt8] in
            let whole = Array(bytes.dropFirst(skipped))
            return Array(Array(whole.prefix(whole.count / 3 * 3)).base64.utf8)
        }
        return [
            bytes, utf16, Array(json.utf8), Array(password.percentEncoded().utf8), Array(bytes.hexadecimal.utf8),
        ] + inside
    }()

    /// The store's files have megabytes: looked through by the C library.
    private static func holdsPassword(_ bytes: [UInt8]) -> Bool {
        forms.contains { form in
            unsafe bytes.withUnsafeBytes { bytes in
                guard var place = bytes.baseAddress else { return false }
                let end = unsafe place + bytes.count
                while unsafe end - place >= form.count,
                    let next = unsafe memchr(place, Int32(form[0]), end - place - form.count + 1)
                {
                    if unsafe memcmp(next, form, form.count) == 0 { return true }
                    unsafe place = UnsafeRawPointer(next) + 1
                }
                return false
            }
        }
    }

    /// A gateway with one app at each kind of farm, all of them with programs that look around.
    private struct Place {
        let gateway: GatewayProcess
        /// What the session programs wrote: not the gateway's.
        let seen: TemporaryFolder

        init() throws {
            gateway = try GatewayProcess()
            seen = try TemporaryFolder()
            let pages = gateway.folder.file("pages")
            for folder in [pages, "\(pages)/core"] { #expect(FileSystem.createFolder(folder)) }
            try gateway.folder.write("export default class {}", to: "pages/core/rfb.js")
            try gateway.folder.write(FarmSecretTests.guacamoleKey, to: "guacamole.key")
            try seen.script(
                Self.program(#"{"host":"127.0.0.1","port":5999,"password":"once"}"#, seen.path), to: "novnc")
            try seen.script(
                Self.program(#"{"display":":9","url":"https://apps.example/","password":"once"}"#, seen.path),
                to: "xpra-session")
            try seen.script("echo \"$@\" >>\(seen.path)/words\nexit 0", to: "xpra")
            try gateway.configure(Self.sections(seen.path, pages))
        }

        /// Says whether the password came on standard input, and keeps what everybody on the machine can see then.
        private static func program(_ answer: String, _ folder: String) -> String {
            """
            read -r order
            case $order in *'"password":"S3cret of '*) echo yes >>\(folder)/came ;; esac
            for process in /proc/[0-9]*; do cat $process/cmdline 2>/dev/null; done >>\(folder)/words
            cat /proc/$$/environ /proc/$PPID/environ >>\(folder)/words
            echo '\(answer)'
            """
        }

        private static func sections(_ seen: String, _ pages: String) -> JSON {
            [
                "publicURL": "https://farbell.example.org", "log": ["format": "json", "level": "trace"],
                "accounts": ["local": [:]],
                "farms": [
                    "novnc": [
                        "kind": "novnc", "socket": "wss://farm.example/websockify", "pages": .string(pages),
                        "session": [.string("\(seen)/novnc")],
                    ],
                    "xpra": [
                        "kind": "xpra", "origins": ["https://apps.example"], "xpra": .string("\(seen)/xpra"),
                        "session": [.string("\(seen)/xpra-session")],
                    ],
                    "guacamole": [
                        "kind": "guacamole", "url": "https://guac.example/guacamole",
                        "secretKey": ["file": "guacamole.key"],
                    ],
                    "xrdp": ["kind": "xrdp", "address": "desk.example"],
                    "rdp": ["kind": "rdp", "address": "rds.example"],
                    "link": ["kind": "link", "url": "https://kasm.example/{app}?user={account}&ticket={launch}"],
                ],
                "apps": [
                    "novnc": ["name": "A", "farm": "novnc"],
                    "xpra": ["name": "A", "farm": "xpra", "launch": ["command": ["sylpheed"]]],
                    "guacamole": [
                        "name": "A", "farm": "guacamole",
                        "launch": [
                            "protocol": "rdp",
                            "parameters": ["hostname": "h", "username": "{username}", "password": "{password}"],
                        ],
                    ],
                    "xrdp": ["name": "A", "farm": "xrdp", "monitor": mailbox],
                    "rdp": ["name": "A", "farm": "rdp", "launch": ["program": "OUTLOOK"], "monitor": mailbox],
                    "link": ["name": "A", "farm": "link", "monitor": mailbox],
                ],
            ]
        }

        /// For farms that are given no password: the registration has one for the mail server, which is never asked.
        private static let mailbox: JSON = ["kind": "imap", "url": "imaps://127.0.0.1:9"]
    }

    @Test(
        "SG-11 the password is in no URL, file, log, argument or environment when the app is launched",
        arguments: [
            ("novnc", "web"), ("xpra", "web"), ("guacamole", "web"), ("link", "web"), ("xrdp", "windows"),
            ("xrdp", "ios"),
            ("rdp", "windows"), ("rdp", "ios"),
        ])
    func quiet(kind: String, platform: String) async throws {
        let place = try Place()
        let gateway = place.gateway
        _ = try await gateway.run("account", "add", "alice", input: "gate keeper 12\n")
        try await gateway.start()
        var client = TerminalClient(gateway, account: "alice")
        try await client.bind(password: "gate keeper 12", installation: "one", platform: platform)
        try await client.register(kind, username: "alice", password: Self.password)
        let answer = try await client.call("POST", "/v1/launches", ["app": .string(kind)])
        var texts = ["launch": answer.serializedBytes]
        // What a client decodes out of it: a file in Base64.
        if let body = answer["action"]?["body"]?.string.flatMap({ [UInt8](base64: $0) }) { texts["file"] = body }
        if let ticket = answer["action"]?["url"]?.string?.split(separator: "#").last, answer["action"]?["embed"] != nil
        {
            let redeemed = try await TerminalClient.send(
                gateway, "POST", "/v1/launches/redeem", authorization: nil, ["ticket": .string(ticket)])
            #expect(redeemed.status == 200, "\(redeemed.text)")
            texts["redeemed"] = Array(redeemed.text.utf8)
            try await expectUse(of: redeemed.json, kind, place)
        }
        texts["words"] = FileSystem.contents(of: place.seen.file("words"), limit: 16 << 20) ?? []
        let process = try #require(gateway.process)
        for name in ["cmdline", "environ"] {
            texts[name] = FileSystem.contents(of: "/proc/\(process.processID)/\(name)", limit: 1 << 20) ?? []
        }
        for round in ["running", "ended"] {
            for (name, bytes) in Self.files(in: gateway.folder.path) { texts["\(name), \(round)"] = bytes }
            if round == "running" { try await gateway.stop() }
        }
        texts["log"] = Array(gateway.log.texts.joined(separator: "\n").utf8)
        #expect(texts.keys.contains { $0.contains("farbell.sqlite") } && gateway.log.texts.count > 5)
        let found = texts.filter { Self.holdsPassword($0.value) }.keys.sorted()
        #expect(found == [])
    }

    /// The farm did get the password: else there were nothing to keep quiet about.
    private func expectUse(of redeemed: JSON, _ kind: String, _ place: Place) async throws {
        guard kind == "guacamole" else {
            #expect(try place.seen.text(of: "came") == "yes\n")
            #expect(try place.seen.text(of: "words").contains("farbell"))
            return
        }
        let url = try #require(redeemed["start"]?["url"]?.string)
        let data = String(try #require(url.firstMatch(of: #/data=([^#]+)#/#)).output.1)
            .replacing("%2B", with: "+").replacing("%2F", with: "/").replacing("%3D", with: "=")
        let plain = try await ChildProcess.run(
            "openssl",
            [
                "enc", "-d", "-aes-128-cbc", "-K", Self.guacamoleKey, "-iv", String(repeating: "0", count: 32),
                "-base64", "-A",
            ], input: data)
        #expect(plain.output.joined().contains("S3cret of {app}"), "\(plain.errors)")
    }

    @Test("the search finds the password in each of its forms")
    func search() {
        for form in Self.forms { #expect(Self.holdsPassword([1, 2] + form + [3])) }
        let basic = Array("alice:\(Self.password)!".utf8).base64
        #expect(Self.holdsPassword(Array(basic.utf8)))
        #expect(!Self.holdsPassword(Array("S3cret".utf8)))
    }

    private static func files(in folder: String) -> [(name: String, bytes: [UInt8])] {
        (FileSystem.names(in: folder) ?? []).flatMap { name -> [(name: String, bytes: [UInt8])] in
            let path = "\(folder)/\(name)"
            if let bytes = FileSystem.contents(of: path, limit: 64 << 20) { return [(name, bytes)] }
            return files(in: path)
        }
    }
}
