import Testing
import XML

@Suite struct XMLReaderTests {
    private static let sample = """
        <?xml version="1.0"?><!-- none --><r xmlns="urn:a" xmlns:b="urn:b" b:k="1" k="&lt;&#x41;&amp;">
        <b:c>one<![CDATA[ <two> ]]>&gt;</b:c><?pi x?><d/></r>
        """

    private static let events: [XMLEvent] = [
        .start(
            XMLName("r", in: "urn:a"),
            [XMLAttribute(XMLName("k", in: "urn:b"), "1"), XMLAttribute(XMLName("k"), "<A&")]),
        .text("\n"), .start(XMLName("c", in: "urn:b"), []), .text("one <two> >"), .end(XMLName("c", in: "urn:b")),
        .start(XMLName("d", in: "urn:a"), []), .end(XMLName("d", in: "urn:a")), .end(XMLName("r", in: "urn:a")),
    ]

    /// Neighbouring texts as one.
    private func joined(_ events: [XMLEvent]) -> [XMLEvent] {
        events.reduce(into: []) { result, event in
            if case .text(let more) = event, case .text(let before)? = result.last {
                result[result.count - 1] = .text(before + more)
            } else {
                result.append(event)
            }
        }
    }

    @Test(
        "Names, namespaces, attributes, text, CDATA and references are read, however the bytes are cut",
        arguments: 1...40)
    func cuts(size: Int) throws {
        let reader = try XMLReader(limits: .document())
        var events: [XMLEvent] = []
        var rest = Array(Self.sample.utf8)[...]
        while !rest.isEmpty {
            events += try reader.push(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        events += try reader.finish()
        #expect(joined(events) == Self.events)
    }

    @Test("A fault names the place and nothing of the text")
    func faultPosition() throws {
        let error = try #require(throws: XMLError.self) {
            try XMLElement(parsing: "<a>\n<secretname></wrong></a>".utf8)
        }
        #expect(error.code == .malformed)
        let place = try #require(error.position)
        #expect([place.line, place.column, place.byte] == [2, 15, 18])
        #expect(!"\(error)".contains("secret") && !"\(error)".contains("wrong"))
    }

    @Test(
        "What is not well-formed, or ends too early, is refused",
        arguments: [
            ("", XMLError.Code.unfinished), ("<a>", .unfinished), ("<a", .unfinished), ("<a><![CDATA[", .unfinished),
            ("<a></a><b/>", .malformed), ("<a b='1' b='2'/>", .malformed), ("<x:a/>", .malformed),
            ("<a>\u{1}</a>", .malformed),
            ("<a>&nbsp;</a>", .malformed), ("text", .malformed), ("<a b=1/>", .malformed), ("<a>&#0;</a>", .malformed),
            ("<?xml version='1.0' encoding='x-none'?><a/>", .unknownEncoding),
            ("<?xml version='1.0' encoding='iso-2022-jp'?><a/>", .unknownEncoding),
            ("<?xml version='1.0' encoding='utf-16'?><a/>", .unknownEncoding),
            ("<?xml version='1.0' encoding='../../x'?><a/>", .malformed),
        ])
    func refused(text: String, code: XMLError.Code) throws {
        let error = try #require(throws: XMLError.self) { try XMLElement(parsing: text.utf8) }
        #expect(error.code == code, "\(error)")
    }

    @Test("Bytes that are no UTF-8 are refused")
    func invalidUTF8() throws {
        let error = try #require(throws: XMLError.self) {
            try XMLElement(parsing: Array("<a>".utf8) + [0xC3, 0x28] + Array("</a>".utf8))
        }
        #expect(error.code == .malformed)
    }

    /// The bytes were made with Python's codecs.
    @Test(
        "Other character sets are read, by the declaration and by the transport",
        arguments: [
            ("iso-8859-1", [0x47, 0xFC], "Gü"), ("windows-1252", [0x80], "€"), ("windows-1251", [0xCF, 0xF0], "Пр"),
            ("iso-8859-15", [0xA4], "€"), ("koi8-r", [0xF0], "П"), ("gbk", [0xC4, 0xE3, 0xBA, 0xC3], "你好"),
            ("gb2312", [0xC4, 0xE3], "你"), ("gb18030", [0xC4, 0xE3], "你"), ("big5", [0xC1, 0x63], "繁"),
            ("shift_jis", [0x83, 0x65, 0xB1], "テｱ"), ("euc-kr", [0xBE, 0xC8], "안"), ("us-ascii", [0x41], "A"),
        ] as [(String, [UInt8], String)])
    func charset(name: String, bytes: [UInt8], text: String) throws {
        let declared = Array("<?xml version='1.0' encoding='\(name)'?><a b='".utf8) + bytes + Array("'>".utf8) + bytes
        let root = try XMLElement(parsing: declared + Array("</a>".utf8))
        #expect(root.text == text && root.attribute("b") == text)
        let plain = Array("<a>".utf8) + bytes + Array("</a>".utf8)
        #expect(try XMLElement(parsing: plain, encoding: name.uppercased()).text == text)
    }

    @Test("UTF-16 is read by its byte order mark")
    func utf16() throws {
        let bytes: [UInt8] = [0xFE, 0xFF] + "<a>é你</a>".utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
        #expect(try XMLElement(parsing: bytes).text == "é你")
    }

    @Test("A character outside of what a set's two bytes hold is a fault, not a wrong text")
    func fourBytes() throws {
        let bytes = Array("<a>".utf8) + [0x95, 0x32, 0x82, 0x36] + Array("</a>".utf8)
        let error = try #require(throws: XMLError.self) { try XMLElement(parsing: bytes, encoding: "gb18030") }
        #expect(error.code == .malformed)
    }

    @Test("A reader that refused something takes no more")
    func stopped() throws {
        let reader = try XMLReader(limits: .document())
        #expect(throws: XMLError.self) { try reader.push("<a></b>".utf8) }
        let error = try #require(throws: XMLError.self) { try reader.push("<a/>".utf8) }
        #expect(error.code == .stopped)
    }
}
