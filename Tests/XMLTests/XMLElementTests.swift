import Testing
import XML

@Suite struct XMLElementTests {
    @Test("A SOAP answer is read by name and namespace")
    func soap() throws {
        let root = try XMLElement(
            parsing: """
                <?xml version="1.0" encoding="utf-8"?>
                <s:Envelope xmlns:s="urn:soap"><s:Body><m:Answer xmlns:m="urn:m" xmlns:t="urn:t"><m:Code>NoError</m:Code>
                <t:Item Id="1"><t:Subject>A &amp; B</t:Subject></t:Item><t:Item Id="2"/></m:Answer></s:Body></s:Envelope>
                """.utf8)
        let answer = try #require(root.child("Body")?.child("Answer", in: "urn:m"))
        #expect(answer.text(of: "Code") == "NoError")
        #expect(answer.child("Item") == nil)
        #expect(answer.children("Item", in: "urn:t").map { $0.attribute("Id") } == ["1", "2"])
        #expect(root.descendant("Subject", in: "urn:t")?.text == "A & B")
        #expect(root.descendants("Item", in: "urn:t").count == 2)
        #expect(answer.child("Code")?.allText == "NoError" && answer.allText.contains("A & B"))
    }

    @Test("What is written is read again as it was")
    func roundTrip() throws {
        let element = XMLElement(
            XMLName("message", in: "jabber:client"),
            [
                XMLAttribute(XMLName("to"), "a'\"<&>\t\n\r b"),
                XMLAttribute(XMLName("lang", in: XMLName.xmlNamespace), "de"),
                XMLAttribute(XMLName("k", in: "urn:k"), "1"),
            ],
            nodes: [
                .text("x]]>\r\n\t<"), .element(XMLElement("body", in: "jabber:client", text: "é\u{1F600}")),
                .element(XMLElement("none", in: "", ["a": "b"], children: [XMLElement("in", in: "urn:x")])),
            ])
        #expect(try XMLElement(parsing: element.document) == element)
        #expect(try XMLElement(parsing: element.xml().utf8) == element)
        let inherited = element.xml(inheriting: "jabber:client")
        #expect(inherited.hasPrefix("<message to="))
        #expect(try XMLElement(parsing: "<s xmlns='jabber:client'>\(inherited)</s>".utf8).children == [element])
    }

    @Test("Characters that XML cannot hold are left out")
    func forbidden() throws {
        let text = "a\u{0}b\u{1}c\u{B}d\u{1F}e\u{FFFE}f\u{FFFF}g\u{7F}\u{1FFFE}h"
        #expect(text.xmlEscaped == "abcdefg\u{7F}h")
        let element = XMLElement("a", in: "", ["b": text], text: text)
        let read = try XMLElement(parsing: element.document)
        #expect(read.text == "abcdefg\u{7F}h" && read.attribute("b") == read.text)
    }

    @Test("A stream reports its start, each child and its end, however it is cut", arguments: [1, 3, 1000])
    func stream(cut: Int) throws {
        let text = "<?xml version='1.0'?><s:stream xmlns='c' xmlns:s='s' id='7'> <m><b>hi</b></m>\n<n/></s:stream>"
        let stream = try XMLStream()
        var items: [XMLStreamItem] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            items += try stream.push(rest.prefix(cut))
            rest = rest.dropFirst(cut)
        }
        #expect(
            items == [
                .opened(XMLElement("stream", in: "s", ["id": "7"])),
                .child(XMLElement("m", in: "c", children: [XMLElement("b", in: "c", text: "hi")])),
                .child(XMLElement("n", in: "c")), .closed,
            ])
    }

    @Test("What goes beyond the bounds of a child is left out, and the stream goes on")
    func pruned() throws {
        var limits = XMLLimits.stream(childBytes: 1 << 20)
        limits.nodes = 1 << 20
        limits.depth = 1 << 20
        let stream = try XMLStream(limits: limits, keeping: .init(depth: 2, nodes: 3, attributes: 1))
        let deep = String(repeating: "<x>", count: 5000) + "t" + String(repeating: "</x>", count: 5000)
        let items = try stream.push("<s><m a='1' b='2'><b>\(deep)one</b>\(deep)two<c/><d>no</d></m><n>next</n>".utf8)
        let expected = XMLElement(
            XMLName("m"), [XMLAttribute(XMLName("a"), "1")],
            nodes: [.element(XMLElement("b", in: "", text: "one")), .text("two")])
        #expect(
            items == [
                .opened(XMLElement("s", in: "")), .child(expected), .child(XMLElement("n", in: "", text: "next")),
            ])
    }

    @Test("Documents that follow one another are told apart, however they are cut", arguments: [1, 5, 30, 1000])
    func documents(cut: Int) throws {
        let one = "<?xml version='1.0' encoding='utf-8'?><a>1</a>"
        let text = one + one + "\r\n" + "<b/>" + "<c x='1'/>\n" + one
        let documents = XMLDocuments()
        var roots: [XMLElement] = []
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            roots += try documents.push(rest.prefix(cut))
            rest = rest.dropFirst(cut)
        }
        let a = XMLElement("a", in: "", text: "1")
        #expect(roots == [a, a, XMLElement("b", in: ""), XMLElement("c", in: "", ["x": "1"]), a])
        #expect(!documents.isInDocument)
        #expect(try documents.push("<x>".utf8).isEmpty && documents.isInDocument)
    }

    @Test("Each of the documents has the limits for itself")
    func documentLimits() throws {
        let documents = XMLDocuments(limits: .document(bytes: 1000))
        for _ in 0..<100 { #expect(try documents.push("<a>\(String(repeating: "x", count: 500))</a>".utf8).count == 1) }
        let error = try #require(throws: XMLError.self) {
            try documents.push("<a>\(String(repeating: "x", count: 1500))</a>".utf8)
        }
        #expect(error.code == .documentTooLong || error.code == .tooLong)
    }
}
