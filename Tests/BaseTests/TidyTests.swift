import Base
import Testing

/// Rules about the repository that neither compiler nor formatter know. Each test names the files.
@Suite struct TidyTests {
    private static let sources = Repository.files(in: "Sources", suffix: ".swift")
    private static let pluginSources = Repository.files(in: "Plugins", suffix: ".swift")

    /// Every source once.
    private static let texts = Dictionary(
        uniqueKeysWithValues: (sources + pluginSources).map { ($0, SourceText(Repository.text(of: $0))) })

    private static func source(_ file: String) -> SourceText { texts[file] ?? SourceText("") }

    private static func offenders(_ files: [String], _ isBad: (SourceText) -> Bool) -> [String] {
        files.filter { isBad(source($0)) }
    }

    @Test("the tests look at the repository and find files in it")
    func findsFiles() {
        #expect(Repository.exists("Package.swift"))
        #expect(Self.sources.contains("Sources/Base/JSON.swift"))
        #expect(Self.pluginSources.contains { $0.hasPrefix("Plugins/Monitors/") })
    }

    @Test("the product speaks no protocol: Sources/Gateway names no HTTP, APNs, IMAP, SMTP or SQL")
    func gatewayIsFreeOfProtocols() {
        let found = Self.sources.filter { $0.hasPrefix("Sources/Gateway/") }.flatMap { file in
            Self.source(file).words.filter(Self.isProtocolWord).map { "\(file): \($0)" }
        }
        #expect(found == [])
    }

    /// The names of `Base/HTTP.swift`: the seam behind which the protocol is.
    private static let allowed: Set<Substring> = [
        "HTTPTransport", "HTTPStreamTransport", "HTTPRequest", "HTTPResponse", "HTTPFields", "HTTPTransportError",
        "HTTPDate",
    ]

    private static func isProtocolWord(_ word: Substring) -> Bool {
        let lower = word.lowercased()
        return !allowed.contains(word) && ["http", "apns", "imap", "smtp", "sql"].contains { lower.contains($0) }
    }

    @Test("no source file is longer than 400 lines")
    func fileLength() {
        let files = Self.sources + Self.pluginSources + Repository.files(in: "Sources", suffix: ".h")
        let long = files.map {
            ($0, Repository.text(of: $0).split(separator: "\n", omittingEmptySubsequences: false).count - 1)
        }
        .filter { $0.1 > 400 }
        #expect(long.map { "\($0.0): \($0.1) lines" } == [])
    }

    @Test("no crash by decision outside the test kit: no try!, as! or fatalError")
    func noCrashes() {
        let files = (Self.sources + Self.pluginSources).filter { !$0.hasPrefix("Sources/GatewayTestKit/") }
        #expect(Self.offenders(files, Self.crashes) == [])
    }

    private static func crashes(_ source: SourceText) -> Bool {
        ["try!", " as!", "fatalError("].contains { source.codeOutsideStrings.contains($0) }
    }

    @Test("no Foundation beyond its essentials, and no Synchronization")
    func imports() {
        let files = (Self.sources + Self.pluginSources).filter { !$0.hasPrefix("Sources/FarbellClient/") }
        let refused: Set<String> = ["Foundation", "FoundationNetworking", "Synchronization"]
        #expect(Self.offenders(files) { !refused.isDisjoint(with: $0.imports) } == [])
    }

    private static var pluginFolders: [String] {
        Repository.folders(in: "Plugins").flatMap { kind in
            Repository.folders(in: "Plugins/\(kind)").map { "\(kind)/\($0)" }
        }
    }

    @Test("a plugin's folder holds its README, example, code and tests")
    func pluginFolders() {
        let missing = Self.pluginFolders.flatMap { plugin -> [String] in
            let folder = "Plugins/\(plugin)"
            // One that is not begun yet.
            if Repository.files(in: "\(folder)/Sources") == ["\(folder)/Sources/Placeholder.swift"] { return [] }
            return ["README.md", "config.example.json", "Sources", "Tests"].map { "\(folder)/\($0)" }
                .filter { !Repository.exists($0) }
        }
        #expect(missing == [])
    }

    @Test("a plugin's example configuration is JSON")
    func pluginExamples() {
        for plugin in Self.pluginFolders where Repository.exists("Plugins/\(plugin)/config.example.json") {
            let text = Repository.text(of: "Plugins/\(plugin)/config.example.json")
            #expect(throws: Never.self, "\(plugin)") { try JSONParser.parse(text) }
        }
    }

    @Test("Package.swift lists exactly the plugins there are folders for")
    func pluginList() {
        let listed = SourceText(Repository.text(of: "Package.swift")).code.matches(of: #/Plugin\(\s*"([^"]+)"/#)
            .map { String($0.output.1) }
        #expect(listed.sorted() == Self.pluginFolders.sorted())
    }

    @Test(
        "every event of the log stands in Documentation/Log.md", .enabled(if: Repository.exists("Documentation/Log.md"))
    )
    func logEvents() {
        let manual = Repository.text(of: "Documentation/Log.md")
        let files = (Self.sources + Self.pluginSources).filter {
            !$0.hasPrefix("Sources/GatewayTestKit/") && !$0.contains("/Tests/")
        }
        let missing = files.flatMap { file in
            Self.source(file).logEvents.filter { !manual.contains("`\($0)`") }.map {
                "\(file): \($0)"
            }
        }
        #expect(missing == [])
    }

    @Test(
        "every test that the manuals of pushes, monitors and farms name is there",
        arguments: [("Push", 40), ("Monitors", 40), ("Farms", 20)])
    func manualTests(manual: String, count: Int) {
        let tests =
            (Repository.files(in: "Tests", suffix: ".swift") + Self.pluginSources.filter { $0.contains("/Tests/") })
            .map { Repository.text(of: $0) }
        let named = Repository.text(of: "Documentation/\(manual).md").matches(of: #/`(\w+Tests)\/(\w+)`/#)
        #expect(named.count > count)
        let missing = named.filter { name in
            !tests.contains { $0.contains(" \(name.1) {") && $0.contains("func \(name.2)(") }
        }
        #expect(missing.map { String($0.0) } == [])
    }

    @Test("links between documents lead to files that are there")
    func links() {
        let documents =
            ["README.md"] + Repository.files(in: "Documentation", suffix: ".md")
            + Repository.files(in: "Plugins", suffix: ".md")
        let links = documents.flatMap { document in
            Repository.text(of: document).matches(of: #/\]\(([^()# ]+)(#[^()]*)?\)/#)
                .filter { !$0.1.contains("://") }.map { (document: document, target: String($0.1)) }
        }
        #expect(links.count > 30)
        let broken = links.filter { link in
            let folder = link.document.split(separator: "/").dropLast().joined(separator: "/")
            return !Repository.exists(folder.isEmpty ? link.target : "\(folder)/\(link.target)")
        }
        #expect(broken.map { "\($0.document): \($0.target)" } == [])
    }

    @Test("commands are executable")
    func executables() {
        let commands = (Repository.files(in: "Scripts") + Repository.files(in: ".ci")).filter {
            Repository.text(of: $0).hasPrefix("#!")
        }
        #expect(commands.contains("Scripts/test"))
        #expect(commands.filter { !Repository.isExecutable($0) } == [])
    }

    @Test("the rules above can fail: what they look for is found, and only outside comments")
    func rulesCanFail() {
        let source = SourceText(
            """
            package import Foundation  // import Synchronization
            @preconcurrency import struct FoundationNetworking.URL
            /* try! /* nested */ as! */ import Base
            let a = "try! // \\" fatalError(" + #"raw \\"# + "x"
            static let watching = LogEvent("monitor.watching")
            static let item: LogEvent = "monitor.item"
            log.info("gateway.started", "Started.")
            // log.info("not.this", "")
            let transport: any HTTPTransport, imapClient = 1, s = "SELECT sqlite"
            """)
        #expect(source.imports == ["Foundation", "FoundationNetworking", "Base"])
        #expect(!Self.crashes(source))
        #expect(source.code.contains("fatalError("))
        #expect(source.logEvents == ["monitor.watching", "monitor.item", "gateway.started"])
        #expect(source.words.filter(Self.isProtocolWord) == ["imapClient", "sqlite"])
        for bad in [
            "let x = try! f()", "let x = y as! Int", "fatalError(\"x\")", "let s = \"\"\"\n\"\n\"\"\"; try! f()",
        ] {
            #expect(Self.crashes(SourceText(bad)), "\(bad)")
        }
    }
}
