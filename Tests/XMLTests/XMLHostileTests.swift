import Testing
import XML

/// What a peer sends that means harm.
@Suite struct XMLHostileTests {
    private func code(
        of text: String, limits: XMLLimits = .document(bytes: 1 << 20), cut: Int = 64 << 10
    ) throws -> XMLError.Code? {
        let reader = try XMLReader(limits: limits)
        var rest = Array(text.utf8)[...]
        do {
            while !rest.isEmpty {
                _ = try reader.push(rest.prefix(cut))
                rest = rest.dropFirst(cut)
            }
            if limits.unit == .document { _ = try reader.finish() }
            return nil
        } catch {
            return error.code
        }
    }

    @Test(
        "Every document type declaration is refused: billion laughs, external and parameter entities",
        arguments: [
            """
            <?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;">
            <!ENTITY lol2 "&lol1;&lol1;&lol1;&lol1;&lol1;">]><lolz>&lol2;</lolz>
            """,
            "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
            "<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/a.dtd'><a/>",
            "<!DOCTYPE a PUBLIC '-//W3C//DTD XHTML 1.0//EN' 'http://127.0.0.1:1/'><a>&nbsp;</a>",
            "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///dev/zero'>%p;]><a/>",
            "<!DOCTYPE a><a/>",
            "<!DOCTYPE a [<!ATTLIST a b CDATA 'filled in'>]><a/>",
        ], [1, 7, 65_536])
    func doctype(text: String, cut: Int) throws {
        #expect(try code(of: text, cut: cut) == .doctypeRefused)
    }

    @Test("Depth is bounded, at the limit exactly")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
        }
        #expect(try code(of: nested(64)) == nil)
        #expect(try code(of: nested(65)) == .tooDeep)
        #expect(try code(of: nested(200_000)) == .tooDeep)
    }

    @Test("Attributes are bounded, at the limit exactly")
    func attributes() throws {
        func element(_ count: Int) -> String { "<a" + (0..<count).map { " b\($0)='1'" }.joined() + "/>" }
        #expect(try code(of: element(128)) == nil)
        #expect(try code(of: element(129)) == .tooManyAttributes)
        #expect(try code(of: element(20_000)) == .tooManyAttributes)
    }

    @Test("Nodes of a unit are bounded")
    func nodes() throws {
        var limits = XMLLimits.document(bytes: 1 << 20)
        limits.nodes = 100
        #expect(try code(of: "<r>" + String(repeating: "<a/>", count: 99) + "</r>", limits: limits) == nil)
        #expect(try code(of: "<r>" + String(repeating: "<a/>", count: 101) + "</r>", limits: limits) == .tooManyNodes)
    }

    @Test("A long namespace cannot be multiplied: names are bounded with it")
    func namespaces() throws {
        #expect(try code(of: "<p:a xmlns:p='\(String(repeating: "x", count: 1000))'/>") == nil)
        #expect(try code(of: "<p:a xmlns:p='\(String(repeating: "x", count: 2000))'/>") == .nameTooLong)
        #expect(try code(of: "<\(String(repeating: "x", count: 2000))/>") == .nameTooLong)
        #expect(try code(of: "<a xmlns:\(String(repeating: "x", count: 2000))='u'/>") == .nameTooLong)
    }

    @Test("Ever new names, which expat would keep for ever, end a stream")
    func names() throws {
        func stream(_ child: (Int) -> String) -> String { "<s>" + (0..<5000).map(child).joined() }
        #expect(try code(of: stream { "<a\($0)/>" }, limits: .stream()) == .tooManyNames)
        #expect(try code(of: stream { "<a b\($0)=''/>" }, limits: .stream()) == .tooManyNames)
        #expect(try code(of: stream { "<a xmlns:p\($0)='u'/>" }, limits: .stream()) == .tooManyNames)
        #expect(try code(of: stream { _ in "<a b=''/>" }, limits: .stream()) == nil)
    }

    @Test(
        "Endless tokens are cut off: text, attribute, comment, instruction, CDATA, name, a tag without end",
        arguments: ["<a>", "<a b='", "<a><!--", "<a><?x ", "<a><![CDATA[", "<a", "<!--", "<?x ", "<a "])
    func endless(start: String) throws {
        let reader = try XMLReader(limits: .document(bytes: 256 << 10))
        var pushed = start.utf8.count
        let filler = [UInt8](repeating: start.hasSuffix("<a ") ? 0x20 : 0x78, count: 8192)
        let error = try #require(throws: XMLError.self) {
            _ = try reader.push(start.utf8)
            while pushed < 100 << 20 {
                _ = try reader.push(filler)
                pushed += filler.count
            }
        }
        #expect([.tooLong, .documentTooLong, .nameTooLong].contains(error.code), "\(error)")
        #expect(pushed <= 280 << 10)
    }

    @Test("In a stream only the unit is bounded: a stanza of 100 MB is cut off early, many small ones go on")
    func stanza() throws {
        let reader = try XMLReader(limits: .stream(childBytes: 10_000))
        _ = try reader.push("<s>".utf8)
        for _ in 0..<10_000 { _ = try reader.push("<m><body>hello</body></m> ".utf8) }
        _ = try reader.push("<m><body>".utf8)
        var pushed = 0
        let error = try #require(throws: XMLError.self) {
            while pushed < 100 << 20 {
                pushed += 1000
                _ = try reader.push([UInt8](repeating: 0x78, count: 1000))
            }
        }
        #expect(error.code == .tooLong && pushed <= 10_000)
        // In small elements, too.
        let many = "<s><m>" + String(repeating: "<b>x</b>", count: 1300)
        #expect(try code(of: many, limits: .stream(childBytes: 10_000)) == .tooLong)
        // And between the stanzas.
        let comment = "<s><!--" + String(repeating: "x", count: 90_000)
        #expect(try code(of: comment, limits: .stream(childBytes: 10_000)) == .tooLong)
    }

    @Test("What is complete is reported at once, though it came byte by byte")
    func atOnce() throws {
        let reader = try XMLReader(limits: .stream())
        _ = try reader.push("<s>".utf8)
        for count in 1...20 {
            var last: [XMLEvent] = []
            for byte in "<m a='\(String(repeating: "x", count: count * 50))'></m>".utf8 {
                last = try reader.push([byte])
            }
            #expect(last == [.end(XMLName("m"))])
        }
    }

    @Test("The whole is bounded where it is told to be")
    func total() throws {
        var limits = XMLLimits.stream()
        limits.totalBytes = 1000
        #expect(try code(of: "<s>" + String(repeating: "<a/>", count: 300), limits: limits) == .documentTooLong)
    }

    @Test("Garbage of every kind ends in a fault or an end, never in a trap")
    func garbage() throws {
        var random = SystemRandomNumberGenerator()
        let pieces = [
            "<", ">", "a", "b:", "/", "\"", "'", "&", ";", "#x", "xmlns", "=", "<![CDATA[", "]]>", "<!--", "-->", " ",
            "é",
        ]
        for _ in 0..<3000 {
            let text = (0..<40).map { _ in pieces.randomElement(using: &random) ?? "" }.joined()
            _ = try code(of: "<r>" + text, cut: 9)
            _ = try code(of: text)
        }
    }
}
