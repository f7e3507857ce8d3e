import Base
import GatewayTestKit
import Glibc
import Testing

/// `Documentation/Farms.md` is done as it stands.
@Suite("the farms' manual", .timeLimit(.minutes(5)))
struct FarmManualTests {
    private static let root = "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/")

    /// Root of this machine, and no container's without the right to mount; with the farms' programs.
    private static var canHaveMachine: Bool {
        let status = String(decoding: FileSystem.contents(of: "/proc/self/status", limit: 65_536) ?? [], as: UTF8.self)
        let capabilities = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }?.split(separator: "\t").last
        // CAP_SYS_ADMIN (capabilities(7)).
        let mayMount = capabilities.flatMap { UInt64($0, radix: 16) }.map { $0 & (1 << 21) != 0 } ?? false
        let programs = ["Xvnc", "xpra", "xfreerdp", "websockify", "chromium", "mousepad", "sudo", "import", "unshare"]
        return geteuid() == 0 && mayMount
            && (programs.map { "/usr/bin/\($0)" } + ["/usr/sbin/xrdp"]).allSatisfy { FileSystem.exists($0) }
    }

    @Test(
        "SG-11 word for word on a machine of its own: novnc, xpra and xrdp up to the running app, the others up to the file",
        .enabled(if: canHaveMachine, "needs root, namespaces and Scripts/install --farms"))
    func wordForWord() async throws {
        let result = try await ChildProcess.run(
            "/usr/bin/env", ["FARBELL=\(GatewayProcess.program)", "\(Self.root)/Scripts/see-manual"],
            deadline: .seconds(270))
        let said = result.output.joined(separator: "\n")
        #expect(result.exit == .code(0), "\(said) \(result.errors)")
        #expect(said.contains("\n== 0 failed") && !said.contains("FAIL"), "\(said)")
        let confirmed = result.output.filter { $0.hasPrefix("ok ") && $0.contains("the launch is confirmed") }
        #expect(confirmed.count == 3, "\(said)")
    }

    /// The blocks of the page, by file name: `FARM-NUMBER.sh`, `.json` or `.txt`.
    private static func blocks(_ folder: TemporaryFolder) async throws -> [(name: String, text: String)] {
        _ = FileSystem.createFolder(folder.file("blocks"))
        let result = try await ChildProcess.run(
            "/usr/bin/env",
            ["python3", "\(root)/Scripts/farms.d/blocks.py", "\(root)/Documentation/Farms.md", folder.file("blocks")])
        try #require(result.exit == .code(0), "\(result.errors)")
        return try (FileSystem.names(in: folder.file("blocks")) ?? []).sorted().map {
            ($0, try folder.text(of: "blocks/\($0)"))
        }
    }

    /// Without root: in another folder than `/etc` and `/usr/local/lib`, with nothing that installs or starts.
    private static func prologue(_ folder: TemporaryFolder) -> String {
        """
        set -eu
        apt-get() { :; }; systemctl() { :; }; websockify() { :; }; chgrp() { :; }
        mkdir -p '\(folder.path)'/etc/{sudoers.d,xrdp,farbell}
        cd '\(folder.path)/etc'
        echo ReconnectScript=reconnectwm.sh > xrdp/sesman.ini
        echo autorun= > xrdp/xrdp.ini
        cd farbell
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=rds.example.com -keyout a -out b 2>&1
        openssl pkcs12 -export -inkey a -in b -out rds.pfx -passout pass:
        ln -s '\(root)/Plugins' Plugins

        """
    }

    @Test(
        "every command runs and every configuration passes 'farbell check', without root but for the places",
        arguments: ["novnc", "xpra", "xrdp", "guacamole", "rdp", "link"])
    func commands(farm: String) async throws {
        let folder = try TemporaryFolder()
        let blocks = try await Self.blocks(folder).filter {
            $0.name.hasPrefix("common-") || $0.name.hasPrefix("\(farm)-")
        }
        func moved(_ text: String) -> String {
            text.replacing("/etc/", with: "\(folder.path)/etc/")
                .replacing("/usr/local/lib/", with: "\(folder.path)/lib/")
        }
        // openssl asks for the password of the file where there is no terminal; it is empty.
        let scripts = blocks.filter { $0.name.hasSuffix(".sh") }.map { "(\n\(moved($0.text))) < <(yes '')\n" }
        let run = try await ChildProcess.run(
            "/usr/bin/setsid", ["--wait", "/bin/bash", "-c", Self.prologue(folder) + scripts.joined()])
        #expect(run.exit == .code(0), "\(run.output) \(run.errors)")
        if let key = blocks.first(where: { $0.name.hasSuffix(".txt") })?.text.firstMatch(of: #/json-secret-key: (\w+)/#)
        {
            try folder.write(String(key.output.1), to: "etc/farbell/guacamole-json.key")
        }
        var block = moved(try #require(blocks.last { $0.name.hasSuffix(".json") }).text)
            .replacing("/usr/bin/sudo", with: "/usr/bin/env")
        if farm == "novnc" {
            _ = FileSystem.createFolder(folder.file("core"))
            try folder.write("", to: "core/rfb.js")
            block = block.replacing(#""kind": "novnc","#, with: #""kind": "novnc", "pages": "\#(folder.path)","#)
        }
        var config = try #require(JSONParser.parse(Array(block.utf8)).object)
        config.append("keyFile", "farbell.key")
        config.append("publicURL", "https://farbell.example.com")
        let file = try folder.write(JSON.object(config).serialized, to: "etc/farbell/farbell.json")
        let check = try await ChildProcess.run(GatewayProcess.program, ["check", "--config", file])
        #expect(check.exit == .code(0), "\(check.output) \(check.errors)")
    }
}
