import Base
import Testing

@Suite struct EncodingTests {
    // RFC 4648 section 10.
    @Test(
        "base64 agrees with RFC 4648",
        arguments: [
            ("", "", ""), ("f", "Zg==", "66"), ("fo", "Zm8=", "666f"), ("foo", "Zm9v", "666f6f"),
            ("foob", "Zm9vYg==", "666f6f62"), ("fooba", "Zm9vYmE=", "666f6f6261"),
            ("foobar", "Zm9vYmFy", "666f6f626172"),
        ])
    func vectors(_ plain: String, _ base64: String, _ hexadecimal: String) {
        let bytes = Array(plain.utf8)
        #expect(bytes.base64 == base64)
        #expect([UInt8](base64: base64) == bytes)
        #expect(bytes.base64URL == String(base64.filter { $0 != "=" }))
        #expect([UInt8](base64URL: base64) == bytes)
        #expect([UInt8](base64URL: bytes.base64URL) == bytes)
        #expect(bytes.hexadecimal == hexadecimal)
        #expect([UInt8](hexadecimal: hexadecimal.uppercased()) == bytes)
    }

    @Test("all bytes survive every encoding")
    func roundTrips() {
        for length in 0..<260 {
            let bytes = (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ 251) }
            #expect([UInt8](base64: bytes.base64) == bytes)
            #expect([UInt8](base64URL: bytes.base64URL) == bytes)
            #expect([UInt8](hexadecimal: bytes.hexadecimal) == bytes)
        }
        let allBits: [UInt8] = [0xFB, 0xFF, 0xBF]
        #expect(allBits.base64 == "+/+/")
        #expect(allBits.base64URL == "-_-_")
    }

    @Test(
        "what is not base64 is refused",
        arguments: ["Z", "Zg=", "Zg", "Zg===", "Z!==", "Zm9v\n", "Zg==Zg==", "-_-_", "é"])
    func refusesBase64(_ text: String) { #expect([UInt8](base64: text) == nil) }

    @Test("what is not base64url is refused", arguments: ["Z", "Zg=", "+/+/", "Zg===", "Zg==Zg", "Zm 9", "é", "="])
    func refusesBase64URL(_ text: String) { #expect([UInt8](base64URL: text) == nil) }

    @Test("what is not hexadecimal is refused", arguments: ["0", "0g", "é0", "0x", " 0", "１１"])
    func refusesHexadecimal(_ text: String) { #expect([UInt8](hexadecimal: text) == nil) }

    @Test("space is trimmed at both ends only")
    func trimming() {
        #expect(" \t\r\na b\u{A0} \r\n".trimmingSpace == "a b\u{A0}")
        #expect(" \n".trimmingSpace == "")
        #expect("".trimmingSpace == "")
    }

    @Test("a printable text is one line of bounded length")
    func printable() {
        #expect("a\nb\u{1B}[31m\u{9B}\u{2028}é".printable == "a\\u{a}b\\u{1b}[31m\\u{9b}\\u{2028}é")
        #expect(String(repeating: "x", count: 200).printable.count == 200)
        #expect(String(repeating: "x", count: 201).printable == String(repeating: "x", count: 200) + "…")
    }

    @Test(
        "base 36 is written as the standard library writes it",
        arguments: [0, 1, 9, 10, 35, 36, 37, 1295, 1296, 4_294_967_296, .max, -1, -36, .min] as [Int64])
    func base36(_ number: Int64) {
        var bytes = Array("m".utf8)
        bytes.appendBase36(number)
        #expect(String(decoding: bytes, as: UTF8.self) == "m" + String(number, radix: 36))
    }

    @Test("a byte has two hexadecimal digits")
    func hexadecimalByte() {
        var bytes: [UInt8] = []
        for byte in [0, 9, 10, 0x5F, 0xFF] as [UInt8] { bytes.appendHexadecimal(byte) }
        #expect(String(decoding: bytes, as: UTF8.self) == "00090a5fff")
    }
}
