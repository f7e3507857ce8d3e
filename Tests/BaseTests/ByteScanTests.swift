@testable import Base
import Testing

@Suite struct ByteScanTests {
    private static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x7F }
    private static func isSpecial(_ byte: UInt8) -> Bool { byte < 0x20 || byte == 0x22 || byte == 0x5C }

    @Test("every byte at every place of a text is found, and nothing else", arguments: [0, 1, 7, 8, 9, 15, 16, 17, 20])
    func everyByte(_ count: Int) {
        var faults: [String] = []
        for byte in UInt8.min ... .max {
            for place in 0..<max(1, count) {
                var text = [UInt8](repeating: UInt8(ascii: "a"), count: count)
                if place < count { text[place] = byte }
                for start in 0...count {
                    let found = count > 0 && start <= place
                    let special = found && Self.isSpecial(byte) ? place : count
                    let beyond = found && (Self.isSpecial(byte) || byte >= 0x7F) ? place : count
                    if ByteScan.special(in: text.span, from: start) != special
                        || ByteScan.beyondPlain(in: text.span, from: start) != beyond
                    {
                        faults.append("\(byte) at \(place) of \(count) from \(start)")
                    }
                    // What stands behind the end is nobody's business.
                    for end in start...count {
                        let control = found && place < end && Self.isControl(byte) ? place : end
                        if ByteScan.control(in: text.span, from: start, to: end) != control {
                            faults.append("\(byte) at \(place) of \(count) from \(start) to \(end)")
                        }
                    }
                }
            }
        }
        #expect(faults == [])
    }

    // Borrows and carries go from one byte to the next.
    @Test("the first of two neighbours is found, whichever they are")
    func neighbours() {
        var faults = 0
        for first in UInt8.min ... .max {
            for second in UInt8.min ... .max {
                let text: [UInt8] = [0x61, first, second, 0x7E, 0x80, 0x21, 0x23, 0x5D]
                let special = text.firstIndex(where: Self.isSpecial) ?? text.count
                let beyond = text.firstIndex { Self.isSpecial($0) || $0 >= 0x7F } ?? text.count
                let control = text.firstIndex(where: Self.isControl) ?? text.count
                if ByteScan.control(in: text.span, from: 0, to: text.count) != control { faults += 1 }
                if ByteScan.special(in: text.span, from: 0) != special { faults += 1 }
                if ByteScan.beyondPlain(in: text.span, from: 0) != beyond { faults += 1 }
            }
        }
        #expect(faults == 0)
    }
}
