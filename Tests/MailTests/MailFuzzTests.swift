import Mail
import Testing

@Suite struct MailFuzzTests {
    /// Predictable, so that a failure repeats (Vigna's splitmix64).
    private struct Generator: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
    }

    private static let seed = Array(
        """
        From: "J\u{F6}" =?utf-8?Q?J=C3=B6?= <a@b.c>, Team: x@y, =?x-unknown?B?/w==?= <d@e>;\r
        Subject: =?gb2312?B?xOO6ww==?= =?iso-2022-jp?B?GyRCRnxLXBsoQg==?=\r
         =?utf-8*en?q?a_b?= \u{202E}text =?utf-8?B?5L2g\r
        Date: Fri, 20 Nov 2026 23:58:00 +0100 (CET)\r
        Message-ID: <1@b.c>\r
        References: <2@b.c> <3@b.c>\r
        List-Id: Liste <l.b.c>\r
        Auto-Submitted: auto-generated; x=y\r
        \r

        """.utf8)

    private static let pieces: [[UInt8]] =
        [
            "=?", "?=", "?Q?", "?B?", "<", ">", "\"", "(", ")", "\\", ":", ";", ",", "@", "\r", "\n", "\r\n ", "\0",
            "\u{1B}$B",
            "=?utf-8?Q?", "=?x?B?", "=1E", "=1F", "\u{202E}", "=?us-ascii?Q?=1E?=",
        ].map { Array($0.utf8) } + [[0xFF], [0x80], [0xC3], [0xC4, 0xE3]]

    /// Everything shown holds no control, no bidirectional control, and respects its limit.
    private func check(_ digest: MailDigest, _ note: String) {
        let texts = [
            digest.subject, digest.from?.name, digest.from?.address, digest.messageID, digest.listID, digest.inReplyTo,
            digest.threadRoot, digest.autoSubmitted, digest.precedence,
        ].compactMap(\.self)
        for text in texts {
            #expect(text.utf8.count <= 1000, "\(note)")
            let bad = text.unicodeScalars.contains {
                $0.properties.generalCategory == .control || (0x202A...0x202E).contains($0.value)
                    || (0x2066...0x2069).contains($0.value) || [0x200E, 0x200F, 0x061C].contains($0.value)
            }
            #expect(!bad, "\(note)")
            #expect(text.first != " " && text.last != " ", "\(note)")
        }
    }

    @Test("2,000 random mutations of a header block give clean digests and never crash")
    func mutations() async {
        var generator = Generator(state: 20_261_121)
        for round in 0..<2000 {
            // Others want their turn: there are as many as cores.
            if round % 100 == 0 { await Task.yield() }
            var bytes = Self.seed
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                guard !bytes.isEmpty else { break }
                let place = bytes.indices.randomElement(using: &generator) ?? 0
                switch Int.random(in: 0..<5, using: &generator) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.remove(at: place)
                case 2: bytes.insert(contentsOf: Self.pieces.randomElement(using: &generator) ?? [], at: place)
                case 3:
                    bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &generator)))
                default:
                    let end = min(bytes.count, place + Int.random(in: 1...60, using: &generator))
                    bytes.insert(
                        contentsOf: bytes[place..<end], at: bytes.indices.randomElement(using: &generator) ?? 0)
                }
            }
            check(MailDigest(parsing: bytes), "round \(round)")
        }
    }

    @Test("Random bytes give clean digests")
    func noise() async {
        var generator = Generator(state: 7)
        for round in 0..<300 {
            if round % 20 == 0 { await Task.yield() }
            let count = Int.random(in: 0...600, using: &generator)
            let noise = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            check(MailDigest(parsing: Array("Subject: ".utf8) + noise), "round \(round)")
            check(MailDigest(parsing: Array("From: ".utf8) + noise), "round \(round)")
            check(MailDigest(parsing: noise), "round \(round)")
        }
    }

    @Test(
        "Repetitions made to be slow end all the same",
        arguments: [
            "=?a?q? ", "=?utf-8?Q?=41?= ", "=?x-unknown?Q?=41?= ", "(", "\"", "a:", "<", "a@b,", "\\", "=?", ";",
        ])
    func repetitions(piece: String) {
        let text = String(repeating: piece, count: MailHeaders.sizeLimit / piece.utf8.count)
        check(MailDigest(parsing: Array("Subject: \(text)".utf8)), piece)
        check(MailDigest(parsing: Array("From: \(text)".utf8)), piece)
        check(MailDigest(parsing: Array("References: \(text)".utf8)), piece)
    }

    @Test("Many threads may parse at once, also the first time")
    func threads() async {
        await withTaskGroup(of: MailDigest.self) { group in
            for _ in 0..<64 { group.addTask { MailDigest(parsing: Self.seed) } }
            let expected = MailDigest(parsing: Self.seed)
            for await digest in group { #expect(digest == expected) }
        }
    }
}
