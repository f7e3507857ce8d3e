import Base
import Testing

@Suite struct ConfigTests {
    private enum Mode: String, CaseIterable { case json, text }

    private func read<T>(
        _ text: String, environment: [String: String] = [:], _ body: (ConfigReader) -> T
    ) throws(ConfigError) -> T {
        try ConfigDocument(file: "farbell.json", text: Array(text.utf8), environment: environment).read(body)
    }

    private func problems(_ text: String, _ body: (ConfigReader) -> Void) -> [String] {
        do throws(ConfigError) {
            try read(text, body)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test("every getter returns what is written, and defaults where nothing is")
    func values() throws {
        let text = """
            {"name":"a","flag":true,"port":8080,"wait":5,"mode":"text","list":["x","y"],"url":"https://h:1/p/",
             "ratio":0.5,"map":{"one":{"n":1},"two":{"n":2},"off":null},"items":[{"n":3},{"n":4}],
             "headers":{"A":"1","B":"2"},"file":"k.pem","absolute":"/k.pem","none":null}
            """
        try read(text) { reader in
            #expect(reader.string("name") == "a")
            #expect(reader.string("other", default: "d") == "d")
            #expect(reader.optionalString("none") == nil)
            #expect(reader.bool("flag", default: false))
            #expect(!reader.bool("flag2", default: false))
            #expect(reader.integer("port", in: 1...65_535) == 8080)
            #expect(reader.integer("port2", in: 1...65_535, default: 7) == 7)
            #expect(reader.number("ratio", in: 0...1, default: 1) == 0.5)
            #expect(reader.seconds("wait", in: 1...60, default: 9) == .seconds(5))
            #expect(reader.choice("mode", default: Mode.json) == .text)
            #expect(reader.choice("mode2", default: Mode.json) == .json)
            #expect(reader.optionalChoice("mode2", of: Mode.self) == nil)
            #expect(reader.strings("list") == ["x", "y"])
            #expect(reader.strings("list2", default: ["z"]) == ["z"])
            #expect(reader.url("url", schemes: ["https"]) == "https://h:1/p")
            #expect(reader.optionalURL("url2", schemes: ["https"]) == nil)
            let map = reader.map("map") { name, inner in "\(name)\(inner.integer("n", in: 0...9))" }
            #expect(map.map(\.name) == ["one", "two"])
            #expect(map.map(\.value) == ["one1", "two2"])
            #expect(reader.objects("items") { $0.integer("n", in: 0...9) } == [3, 4])
            #expect(reader.objects("items2") { $0.path }.isEmpty)
            #expect(reader.stringMap("headers").map { $0.name + $0.value } == ["A1", "B2"])
            #expect(reader.file("file") == "./k.pem")
            #expect(reader.optionalFile("absolute") == "/k.pem")
            #expect(reader.object("gone") { $0.path } == nil)
        }
    }

    @Test("golden: every fault at once, as FILE:LINE:COLUMN: path: message, in the order of the file")
    func golden() {
        let text = """
            {
              "listen": { "adress": "::1", "port": 99999 },
              "log": { "format": "jsn", "level": 3 },
              "push": {
                "apple": { "kind": "apns" },
                "bad name": {}
              },
              "hosts": ["a", 1],
              "items": [ { "n": 1 }, { "m": 1 }, 7 ],
              "publicURL": "ftp://x",
              "flag": "yes"
            }
            """
        let found = problems(text) { reader in
            _ = reader.object("listen") {
                _ = ($0.string("address", default: ""), $0.integer("port", in: 1...65_535))
            }
            _ = reader.object("log") { _ = ($0.choice("format", default: Mode.json), $0.optionalString("level")) }
            _ = reader.map("push") { _, inner in (inner.string("kind"), inner.string("keyFile")) }
            _ = reader.strings("hosts")
            _ = reader.objects("items") { $0.integer("n", in: 0...9) }
            _ = reader.url("publicURL", schemes: ["http", "https"])
            _ = reader.bool("flag", default: false)
            _ = reader.string("keyFile")
        }
        #expect(
            found == [
                "farbell.json:1:1: the key 'keyFile' is missing",
                "farbell.json:2:15: listen.adress: unknown key 'adress'; did you mean 'address'?",
                "farbell.json:2:40: listen.port: 99999 is out of range; allowed is 1 to 65535",
                "farbell.json:3:22: log.format: 'jsn' is not one of json, text; did you mean 'json'?",
                "farbell.json:3:38: log.level: expected a string, found an integer",
                "farbell.json:5:14: push.apple: the key 'keyFile' is missing",
                "farbell.json:6:5: push.bad name: a name has 1 to 64 letters, digits, '-', '_' and '.'",
                "farbell.json:8:18: hosts[1]: expected a string, found an integer",
                "farbell.json:9:26: items[1]: the key 'n' is missing",
                "farbell.json:9:28: items[1].m: unknown key 'm'",
                "farbell.json:9:38: items[2]: expected an object, found an integer",
                "farbell.json:9:38: items[2]: the key 'n' is missing",
                "farbell.json:10:16: publicURL: the scheme is not one of http, https",
                "farbell.json:11:11: flag: expected true or false, found a string",
            ])
    }

    @Test("a text that is no JSON, or no object, is one problem with its place")
    func syntax() {
        #expect(problems("{\n  \"a\": 1,\n}") { _ in } == ["farbell.json:3:1: a comma before the end of an object"])
        #expect(problems("[]") { _ in } == ["farbell.json:1:1: expected an object, found an array"])
        #expect(problems("") { _ in } == ["farbell.json:1:1: unexpected end of the document"])
        #expect(
            problems("{\"a\": 1,\n \"a\": 2}") { _ = $0.optionalInteger("a", in: 0...9) } == [
                "farbell.json:2:2: the key 'a' stands here a second time, after line 1, column 2"
            ])
    }

    @Test("a problem is one line, said once, and there is an end to them")
    func bounded() {
        #expect(
            problems("{\"a\\nb\": 1}") { _ in } == ["farbell.json:1:2: a\\u{a}b: unknown key 'a\\u{a}b'"])
        let twice = problems("{}") { reader in
            _ = (reader.string("a"), reader.string("a"))
            reader.finish()
        }
        #expect(twice.count == 1)
        let many = "{" + (0..<1000).map { "\"k\($0)\":1" }.joined(separator: ",") + "}"
        #expect(problems(many) { _ in }.count == ConfigDocument.problemLimit)
    }

    @Test("ignored keys belong to someone else; empty required strings are refused")
    func ignoredAndEmpty() {
        #expect(problems("{\"x\": 1}") { $0.ignore(["x"]) } == [])
        #expect(problems("{\"x\": \"\"}") { _ = $0.string("x") } == ["farbell.json:1:7: x: must not be empty"])
        #expect(problems("{\"x\": \"\"}") { _ = $0.optionalFile("x") } == ["farbell.json:1:7: x: must not be empty"])
    }

    @Test(
        "URLs: what is refused, without repeating it",
        arguments: [
            ("https://host", nil), ("HTTPS://host:443/a?b=c@d", nil), ("https://[::1]:8443/", nil),
            ("https://[::1]", nil),
            ("host", "expected a URL such as https://host"), ("https:/host", "expected a URL such as https://host"),
            ("https://", "expected a URL such as https://host"), ("https:///p", "expected a URL such as https://host"),
            ("https://:80", "expected a URL such as https://host"),
            ("https://a b", "expected a URL such as https://host"),
            ("ftp://host", "the scheme is not one of https"),
            ("https://u:hunter2@host", "a URL here must not contain a user name or password"),
            ("https://host:0", "the port is not a number from 1 to 65535"),
            ("https://host:65536", "the port is not a number from 1 to 65535"),
            ("https://host:", "the port is not a number from 1 to 65535"),
        ] as [(String, String?)])
    func urls(_ url: String, _ fault: String?) {
        let expected = fault.map { ["farbell.json:1:7: u: \($0)"] } ?? []
        #expect(problems("{\"u\": \"\(url)\"}") { _ = $0.url("u", schemes: ["https"]) } == expected)
        #expect(problems("{\"u\": \"\(url)\"}") { _ = $0.optionalURL("u", schemes: ["https"]) } == expected)
    }

    @Test("a secret comes from a file or the environment")
    func secrets() throws {
        let folder = TemporaryFolder()
        #expect(FileSystem.writePrivate(Array("hunter2\r\n".utf8), to: folder.file("s")))
        let document = ConfigDocument(
            file: folder.file("farbell.json"),
            text: Array("{\"a\":{\"file\":\"s\"},\"b\":{\"env\":\"TOKEN\"}}".utf8), environment: ["TOKEN": "t"])
        try document.read { reader in
            #expect(reader.secret("a") == Secret("hunter2"))
            #expect(reader.secret("b") == Secret("t"))
            #expect(reader.optionalSecret("c") == nil)
        }
    }

    @Test(
        "a secret in the wrong place is refused and never repeated",
        arguments: [
            ("\"hunter2\"", "a secret is given as"), ("7", "a secret is given as"),
            ("{\"value\":\"hunter2\"}", "a secret has exactly one key"), ("{}", "a secret has exactly one key"),
            ("{\"file\":\"hunter2\",\"env\":\"hunter2\"}", "a secret has exactly one key"),
            ("{\"hunter2\":1}", "a secret has exactly one key"),
            ("{\"file\":\"hunter2\"}", "cannot read this file"), ("{\"file\":\"\"}", "must not be empty"),
            ("{\"env\":\"hunter2\"}", "no environment variable of this name is set"),
            ("{\"env\":[\"hunter2\"]}", "expected a string, found an array"),
        ])
    func misplacedSecrets(_ value: String, _ message: String) {
        let found = problems("{\"s\": \(value)}") { _ = $0.secret("s") }
        #expect(found.count == 1)
        #expect(found.first?.contains(message) == true)
        #expect(!found.joined().contains("hunter2"))
    }

    @Test(
        "suggestions are near and never far",
        arguments: [
            ("prot", "; did you mean 'port'?"), ("Port", "; did you mean 'port'?"),
            ("keyfile", "; did you mean 'keyFile'?"),
            ("k", ""), ("zzzzzz", ""), ("adress", "; did you mean 'address'?"), ("", ""),
        ])
    func suggestions(_ word: String, _ text: String) {
        #expect(Suggestion.text(for: word, among: ["port", "keyFile", "address"]) == text)
        #expect(Suggestion.text(for: word + String(repeating: "x", count: 100), among: ["port"]) == "")
    }

    @Test(
        "relative paths start at the configuration's folder",
        arguments: [
            ("farbell.json", "./k"), ("/etc/farbell/f.json", "/etc/farbell/k"), ("/f.json", "/k"), ("a/f.json", "a/k"),
        ])
    func folders(_ file: String, _ resolved: String) {
        let document = ConfigDocument(file: file, text: [], environment: [:])
        #expect(document.resolve("k") == resolved)
        #expect(document.resolve("/k") == "/k")
    }
}
