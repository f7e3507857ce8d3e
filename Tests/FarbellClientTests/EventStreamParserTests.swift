import Testing

@testable import FarbellClient

@Suite struct EventStreamParserTests {
    typealias Item = EventStreamParser.Item

    private static let stream =
        "\u{FEFF}retry: 2500\r\n\r\n: ping\n\nevent: hello\ndata: {\"a\":1}\n\nid: 7\revent: message\rdata: one\rdata:two\r\r"
        + "id:8\ndata\n\nid: 9\nevent: lost\n\nunknown: x\ndata:  y\n\ndata: cut"
    private static let items: [Item] = [
        .retry(milliseconds: 2500), .comment, .event(id: nil, name: "hello", data: "{\"a\":1}"),
        .event(id: "7", name: "message", data: "one\ntwo"), .event(id: "8", name: "message", data: ""),
        .event(id: nil, name: "message", data: " y"),
    ]

    @Test("MN-9 events are read whole, however the bytes are cut", arguments: 1...7)
    func pieces(size: Int) throws {
        var parser = EventStreamParser()
        var items: [Item] = []
        var rest = Array(Self.stream.utf8)[...]
        while !rest.isEmpty {
            items += try parser.consume(Array(rest.prefix(size)))
            rest = rest.dropFirst(size)
        }
        #expect(items == Self.items)
    }

    @Test("MN-9 CR LF cut between its two bytes is one end of line")
    func cutLineEnd() throws {
        var parser = EventStreamParser()
        #expect(try parser.consume(Array("data: a\r".utf8)) == [])
        #expect(try parser.consume([]) == [])
        #expect(try parser.consume(Array("\ndata: b\r".utf8)) == [])
        #expect(try parser.consume(Array("\n\r".utf8)) == [.event(id: nil, name: "message", data: "a\nb")])
        #expect(try parser.consume(Array("\n".utf8)) == [])
    }

    @Test("an event larger than the limit is refused, in one line or in many")
    func limit() {
        var parser = EventStreamParser(limit: 100)
        #expect(throws: FarbellError.self) { try parser.consume(Array(repeating: 120, count: 101)) }
        var other = EventStreamParser(limit: 100)
        #expect(throws: FarbellError.self) {
            for _ in 0..<12 { _ = try other.consume(Array("data: 0123456789\n".utf8)) }
        }
    }

    @Test("a retry that is no number, and an id with a zero byte, are ignored")
    func nonsense() throws {
        var parser = EventStreamParser()
        #expect(
            try parser.consume(Array("retry: soon\nretry: -1\nretry:\nid: 1\0\ndata: a\n\n".utf8)) == [
                .event(id: nil, name: "message", data: "a")
            ])
    }
}
