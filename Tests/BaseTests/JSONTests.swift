import Base
import Testing

@Suite struct JSONTests {
    @Test(
        "valid documents are read",
        arguments: [
            ("null", JSON.null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("-12", -12),
            ("9223372036854775807", .integer(Int64.max)), ("-9223372036854775808", .integer(Int64.min)),
            ("9223372036854775808", .number(9_223_372_036_854_775_808)), ("1.0", 1.0), ("1e3", 1000.0),
            ("1E+2", 100.0), ("-2.5e-1", -0.25), ("1e-999", 0.0), ("\"\"", ""), ("\"a\\u0041\\n\"", "aA\n"),
            ("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\u{8}\u{C}\n\r\t"), ("\"\\ud83d\\ude00\"", "😀"),
            ("\"\\uD83D\\uDE00x\"", "😀x"), ("\"é\\u00e9\"", "éé"), ("\"\\u0000\"", "\u{0}"), ("\"\u{7F}\"", "\u{7F}"),
            ("[]", []), ("[ ]", []), ("{}", [:]), ("[1,[2],{\"a\":null}]", [1, [2], ["a": nil]]),
            ("{\"a\":{\"b\":[true]} , \"c\" : 1}", ["a": ["b": [true]], "c": 1]), ("\u{FEFF}[1]", [1]),
            ("\r\n\t [1 , 2 ]\n", [1, 2]),
        ] as [(String, JSON)])
    func reads(_ text: String, _ expected: JSON) throws {
        #expect(try JSONParser.parse(text) == expected)
    }

    @Test(
        "faults are refused at their place",
        arguments: [
            ("", "unexpected end of the document", 0), ("  ", "unexpected end of the document", 2),
            ("[1,]", "a comma before the end of an array", 3), ("{\"a\":1,}", "a comma before the end of an object", 7),
            ("[1 2]", "expected ',' or ']'", 3), ("{\"a\" 1}", "expected ':' after a key", 5),
            ("{a:1}", "expected a key in quotes", 1), ("{\"a\":1 \"b\"}", "expected ',' or '}'", 7),
            ("[1] x", "unexpected text after the document", 4), ("tru", "expected a value", 0),
            ("nul", "expected a value", 0), ("'a'", "expected a value", 0), ("// c", "expected a value", 0),
            ("01", "a number must not start with 0", 0), ("-01", "a number must not start with 0", 1),
            ("-", "expected a digit", 1), ("1.", "expected a digit", 2), ("1.e1", "expected a digit", 2),
            ("1e", "expected a digit", 2), ("+1", "expected a value", 0), (".5", "expected a value", 0),
            ("1e999", "a number out of range", 0), ("NaN", "expected a value", 0),
            ("\"a", "a string without its closing quote", 2), ("\"\\", "a string without its closing quote", 2),
            ("\"a\nb\"", "a control character inside a string", 2), ("\"\\x\"", "an unknown escape", 2),
            ("\"\\u12\"", "expected four hexadecimal digits", 5), ("\"\\u12", "expected four hexadecimal digits", 5),
            ("\"\\ud800\"", "half of a surrogate pair", 1), ("\"\\ud800\\u0041\"", "half of a surrogate pair", 1),
            ("\"\\udc00\"", "half of a surrogate pair", 1), ("[1", "expected ',' or ']'", 2),
            ("{", "expected a key in quotes", 1),
            ("{\"a\":1,\n\"a\":2}", "the key 'a' stands here a second time, after line 1, column 2", 8),
            ("{\"a\":1,\"\\u0061\":2}", "the key 'a' stands here a second time, after line 1, column 2", 7),
            ("{\"\\n\":1,\"\\n\":2}", "the key '\\u{a}' stands here a second time, after line 1, column 2", 8),
        ])
    func refuses(_ text: String, _ message: String, _ offset: Int) {
        #expect(throws: JSONError(message: message, offset: offset)) { try JSONParser.parse(text) }
    }

    @Test(
        "bytes that are not UTF-8 are refused at the byte",
        arguments: [
            ([0x22, 0x61, 0xFF, 0x22], 2), ([0x22, 0xC3, 0x22], 1), ([0x22, 0xED, 0xA0, 0x80, 0x22], 1),
            ([0x22, 0xC0, 0x80, 0x22], 1), ([0x5B, 0x22, 0x5C, 0x6E, 0x80, 0x22, 0x5D], 4),
            ([0xFE, 0xFF, 0x00, 0x31], 0),
        ] as [([UInt8], Int)])
    func refusesInvalidUTF8(_ bytes: [UInt8], _ offset: Int) {
        #expect(throws: JSONError(message: "bytes that are not UTF-8", offset: offset)) { try JSONParser.parse(bytes) }
    }

    @Test("nesting is allowed to the limit and refused beyond, without a crash")
    func nesting() throws {
        let limit = JSONParser.depthLimit
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + "1" + String(repeating: "]", count: depth)
        }
        #expect(throws: Never.self) { try JSONParser.parse(nested(limit)) }
        #expect(throws: JSONError(message: "nested deeper than 64 levels", offset: limit)) {
            try JSONParser.parse(nested(limit + 1))
        }
        #expect(throws: JSONError.self) { try JSONParser.parse(String(repeating: "{\"a\":", count: 1_000_000)) }
    }

    @Test("duplicate keys are found in large objects too", arguments: [2, 15, 16, 17, 18, 200])
    func duplicateKeys(_ count: Int) throws {
        let members = (0..<count).map { "\"k\($0)\":\($0)" }
        let object = try JSONParser.parse("{" + members.joined(separator: ",") + "}")
        #expect(object.object?.members.count == count)
        for repeated in [0, count - 1] {
            let text = "{" + members.joined(separator: ",") + ",\"k\(repeated)\":1}"
            #expect(throws: JSONError.self) { try JSONParser.parse(text) }
        }
    }

    @Test("every value and key knows its place; equality does not care")
    func places() throws {
        let json = try JSONParser.parse("{\n  \"a\": [1, \"x\"]\n}")
        #expect(json.offset == 0)
        #expect(json.object?.members.first?.keyOffset == 4)
        #expect(json["a"]?.offset == 9)
        #expect(json["a"]?[1]?.offset == 13)
        #expect(json == ["a": [1, "x"]])
        #expect(json.hashValue == JSON(dictionaryLiteral: ("a", [1, "x"])).hashValue)
    }

    @Test(
        "values are written as valid JSON",
        arguments: [
            (1.0, "1.0"), (1e300, "1e+300"), (-0.0, "-0.0"), (.number(.leastNonzeroMagnitude), "5e-324"), (0.1, "0.1"),
            (1e16, "1e+16"),
            (.number(.nan), "null"), (.number(.infinity), "null"), (.integer(Int64.min), "-9223372036854775808"),
            (.integer(Int64.max), "9223372036854775807"), (.integer(UInt64.max), "1.8446744073709552e+19"),
            (0, "0"), (10, "10"), (-1, "-1"), (nil, "null"), (true, "true"), ([], "[]"), ([:], "{}"),
            ("a\"b\\c/\n\r\t\u{8}\u{1F}\u{0}", "\"a\\\"b\\\\c/\\n\\r\\t\\u0008\\u001f\\u0000\""),
            ("\u{7F}", "\"\\u007f\""), ("\u{80}\u{9B}\u{9F}\u{A0}é", "\"\\u0080\\u009b\\u009f\u{A0}é\""),
            ("x\u{2028}\u{2029}\u{202A}…\u{2028}", "\"x\\u2028\\u2029\u{202A}…\\u2028\""), ("😀", "\"😀\""),
            (["b": 1, "a": [1, "x", nil]], "{\"b\":1,\"a\":[1,\"x\",null]}"), (["k\"": 1], "{\"k\\\"\":1}"),
        ] as [(JSON, String)])
    func writes(_ value: JSON, _ text: String) throws {
        #expect(value.serialized == text)
        #expect(throws: Never.self) { try JSONParser.parse(text) }
    }

    @Test("text that is kept in pieces or as UTF-8 is written as the text itself is, what is no UTF-8 replaced")
    func pieces() throws {
        for text in ["", "oa", "Łukasz \"quoted\"\n", "\u{85}\u{2028}", "病房"] {
            var (pieces, utf8, whole): ([UInt8], [UInt8], [UInt8]) = ([], [], [])
            pieces.appendJSON("account/", text)
            utf8.appendJSON(utf8: Array("account/\(text)".utf8))
            whole.appendJSON("account/\(text)")
            #expect(pieces == whole)
            #expect(utf8 == whole)
        }
        var broken: [UInt8] = []
        broken.appendJSON(utf8: [0x61, 0xFF, 0xC3, 0x22])
        #expect(broken == Array("\"a\u{FFFD}\u{FFFD}\\\"\"".utf8))
    }

    @Test("an object keeps its order and replaces in place")
    func objects() {
        var object: JSONObject = ["b": 1, "a": 2]
        object["b"] = 3
        object["c"] = 4
        object["a"] = nil
        object["missing"] = nil
        object.append("d", 5)
        #expect(object.keys == ["b", "c", "d"])
        #expect(JSON.object(object).serialized == "{\"b\":3,\"c\":4,\"d\":5}")
    }

    @Test("accessors answer only for their kind")
    func accessors() {
        #expect(JSON.number(3).integer == 3)
        #expect(JSON.number(3.5).integer == nil)
        #expect(JSON.number(1e300).integer == nil)
        #expect(JSON.integer(3).number == 3)
        #expect(JSON("3").integer == nil)
        #expect(JSON(3).string == nil)
        let array: JSON = [1]
        #expect(array[1] == nil)
        #expect(array[-1] == nil)
        #expect(array["a"] == nil)
        #expect(JSON.null.isNull && !JSON(false).isNull)
        #expect(JSON.strings(["a", "b"]) == ["a", "b"])
        #expect(JSON.timestamp(Timestamp(seconds: 0)) == "1970-01-01T00:00:00.000Z")
        let kinds: [JSON] = [nil, true, 1, 1.5, "", [], [:]]
        #expect(
            kinds.map(\.kind) == [
                "null", "a boolean", "an integer", "a number", "a string", "an array", "an object",
            ])
    }

    @Test("a text position counts lines and bytes from 1")
    func positions() {
        let text = Array("ab\nüx\r\n\n".utf8)
        let expected = [0: "1:1", 2: "1:3", 3: "2:1", 5: "2:3", 6: "2:4", 8: "3:1", 9: "4:1", 99: "4:1", -1: "1:1"]
        for (offset, position) in expected {
            #expect(TextPosition(of: offset, in: text).description == position)
        }
        #expect(TextPosition(of: 4, in: Array("\u{FEFF}[1]".utf8)).description == "1:2")
    }
}
