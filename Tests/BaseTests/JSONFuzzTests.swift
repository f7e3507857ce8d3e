import Base
import Testing

/// A generator with a fixed seed (SplitMix64), so that a failure can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct JSONFuzzTests {
    private static let texts = [
        #"{"to":{"account":"alice"},"id":"m-1","body":"Gr\u00fc\u00dfe \ud83d\ude00","ttlSeconds":60,"x":[1,2.5e-3,null]}"#,
        #"[[[[{"a":{"b":{"c":[true,false,{}]}}}]]],-0.0,1e308,"\\\"\/\b\f\n\r\t", "ÄÖÜ\u2028😀"]"#,
        #" { "listen" : { "address" : "127.0.0.1" , "port" : 8080 } , "apps" : { } } "#,
    ]

    @Test("10,000 mutated documents are read or refused at a place inside, and what is read comes back")
    func mutations() async throws {
        var generator = SeededGenerator(seed: 20_261_121)
        var accepted = 0
        for round in 0..<10_000 {
            // Others want their turn: there are as many as cores.
            if round % 100 == 0 { await Task.yield() }
            var bytes = Array(Self.texts[round % Self.texts.count].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) { Self.mutate(&bytes, &generator) }
            do throws(JSONError) {
                let value = try JSONParser.parse(bytes)
                accepted += 1
                let again = try JSONParser.parse(value.serializedBytes)
                #expect(again == value, "round \(round)")
                #expect(again.serializedBytes == value.serializedBytes, "round \(round)")
            } catch {
                #expect((0...bytes.count).contains(error.offset), "round \(round)")
            }
        }
        // A mutation inside a string often leaves valid JSON: both ways must have been taken.
        #expect((500...9_500).contains(accepted))
    }

    private static func mutate(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let place = Int.random(in: 0..<bytes.count, using: &generator)
        let marks = Array("{}[]\",:\\u0123-+.eE\n ".utf8)
        switch UInt8.random(in: 0..<6, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1: bytes[place] = marks.randomElement(using: &generator) ?? 0
        case 2: bytes.remove(at: place)
        case 3: bytes.insert(marks.randomElement(using: &generator) ?? 0, at: place)
        case 4: bytes.removeLast(min(bytes.count, Int.random(in: 1...8, using: &generator)))
        default:
            let end = min(bytes.count, place + 8)
            bytes.insert(contentsOf: bytes[place..<end], at: Int.random(in: 0..<bytes.count, using: &generator))
        }
    }

    @Test("2,000 random values come back as they were written")
    func roundTrips() async throws {
        var generator = SeededGenerator(seed: 7)
        for round in 0..<2_000 {
            if round % 100 == 0 { await Task.yield() }
            let value = Self.value(depth: 0, &generator)
            #expect(try JSONParser.parse(value.serializedBytes) == value, "round \(round)")
        }
    }

    private static func value(depth: Int, _ generator: inout SeededGenerator) -> JSON {
        switch Int.random(in: 0..<(depth < 5 ? 8 : 6), using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .integer(Int64(bitPattern: generator.next()) >> Int64.random(in: 0..<63, using: &generator))
        case 3:
            let number = Double(bitPattern: generator.next())
            return .number(number.isFinite ? number : 0)
        case 4, 5: return .string(text(&generator))
        case 6:
            return .array(
                (0..<Int.random(in: 0..<5, using: &generator)).map { _ in value(depth: depth + 1, &generator) })
        default:
            var object = JSONObject()
            for index in 0..<Int.random(in: 0..<5, using: &generator) {
                object.append("\(index)\(text(&generator))", value(depth: depth + 1, &generator))
            }
            return .object(object)
        }
    }

    private static func text(_ generator: inout SeededGenerator) -> String {
        var text = ""
        for _ in 0..<Int.random(in: 0..<12, using: &generator) {
            let limit: UInt32 = Bool.random(using: &generator) ? 0x100 : 0x11_0000
            if let scalar = UnicodeScalar(UInt32.random(in: 0..<limit, using: &generator)) {
                text.unicodeScalars.append(scalar)
            }
        }
        return text
    }
}
