import Base
import Mail
import Testing

/// Character sets: the expected texts were made with Python's `codecs` and read back with its
/// `email.header.decode_header`, which share no code with GMime.
@Suite struct CharsetTests {
    struct Encoded: Sendable, CustomStringConvertible {
        let charset: String
        let base64: String
        let text: String

        var description: String { charset }
        var bytes: [UInt8] { [UInt8](base64: base64) ?? [] }
        var quoted: String { bytes.map { "=" + [$0].hexadecimal.uppercased() }.joined() }
    }

    static let samples = [
        Encoded(charset: "utf-8", base64: "R3LDvMOfZSBhdXMgS8O2bG4g8J+RjQ==", text: "Grüße aus Köln 👍"),
        Encoded(charset: "iso-8859-1", base64: "TfxsbGVyICYgU/ZobmU=", text: "Müller & Söhne"),
        Encoded(charset: "iso-8859-2", base64: "UPjtbGm5IL5sdbtvdehr/SBr+fI=", text: "Příliš žluťoučký kůň"),
        Encoded(charset: "iso-8859-3", base64: "2GlzIHJldmlkbywg5ml1ag==", text: "Ĝis revido, ĉiuj"),
        Encoded(charset: "iso-8859-4", base64: "02lyc2lzIHVuILnzumxl", text: "Ķirsis un šķēle"),
        Encoded(charset: "iso-8859-5", base64: "v+DY0tXiINzY4A==", text: "Привет мир"),
        Encoded(charset: "iso-8859-6", base64: "5dHNyMc=", text: "مرحبا"),
        Encoded(charset: "iso-8859-7", base64: "yuHr5+zd8eE=", text: "Καλημέρα"),
        Encoded(charset: "iso-8859-8", base64: "+ezl7Q==", text: "שלום"),
        Encoded(charset: "iso-8859-9", base64: "3XlpIGf8bmxlciwgYfBh5w==", text: "İyi günler, ağaç"),
        Encoded(charset: "iso-8859-10", base64: "obx1b2xhcw==", text: "Ąžuolas"),
        Encoded(charset: "iso-8859-13", base64: "3uBzaXMgaXIg8HVv", text: "Žąsis ir šuo"),
        Encoded(charset: "iso-8859-14", base64: "0Hl0aCDe", text: "Ŵyth Ŷ"),
        Encoded(charset: "iso-8859-15", base64: "UHJpeCA6IDUgpCwgvXV2cmU=", text: "Prix : 5 €, œuvre"),
        Encoded(charset: "iso-8859-16", base64: "QnVu4yB6aXVhLCD+YXLj", text: "Bună ziua, țară"),
        Encoded(charset: "windows-1250", base64: "RG9icv0gdmXoZXIsIKPzZJ8=", text: "Dobrý večer, Łódź"),
        Encoded(charset: "windows-1251", base64: "0fe48iC5NQ==", text: "Счёт №5"),
        Encoded(charset: "windows-1252", base64: "k0N1cmx5lCCWIDEwIIA=", text: "“Curly” – 10 €"),
        Encoded(charset: "windows-1253", base64: "xevr3OThIIA=", text: "Ελλάδα €"),
        Encoded(charset: "windows-1254", base64: "3mn+bGkggA==", text: "Şişli €"),
        Encoded(charset: "windows-1255", base64: "+ezl7SDy5ezt", text: "שלום עולם"),
        Encoded(charset: "windows-1256", base64: "x+HT4cfjINrh7d/j", text: "السلام عليكم"),
        Encoded(charset: "windows-1257", base64: "Qehp+yBsYWJhaSCA", text: "Ačiū labai €"),
        Encoded(charset: "koi8-r", base64: "89/F29ggxd2jINzUycggwtXMz8s=", text: "Съешь ещё этих булок"),
        Encoded(charset: "koi8-u", base64: "t9bByyCmIK3Bzs/L", text: "Їжак і ґанок"),
        Encoded(charset: "gb2312", base64: "xOO6w6OsysC95w==", text: "你好，世界"),
        Encoded(charset: "gbk", base64: "1uzpRrv5v4LA7Q==", text: "朱镕基總理"),
        Encoded(charset: "gb18030", base64: "lTKCNrnFgTnuOQ==", text: "𠀀古㐀"),
        Encoded(charset: "big5", base64: "wWPF6aSkpOU=", text: "繁體中文"),
        Encoded(charset: "big5-hkscs", base64: "ne+d9p33", text: "嘅喺咗"),
        Encoded(charset: "euc-kr", base64: "vsiz58fPvLy/5A==", text: "안녕하세요"),
        Encoded(charset: "cp949", base64: "jGO55rCix88=", text: "똠방각하"),
        Encoded(charset: "shift_jis", base64: "g2WDWINnIJVcjqY=", text: "テスト 表示"),
        Encoded(charset: "cp932", base64: "h0Du4Iu0", text: "①髙橋"),
        Encoded(charset: "euc-jp", base64: "xvzL3LjspM6378y+", text: "日本語の件名"),
        Encoded(charset: "iso-2022-jp", base64: "GyRCMnE1RCROJCpDTiRpJDsbKEI=", text: "会議のお知らせ"),
        Encoded(charset: "iso-2022-kr", base64: "GyQpQw5HUTE5Pm4P", text: "한국어"),
        Encoded(charset: "utf-16be", base64: "AGgA6Q==", text: "hé"),
        Encoded(charset: "utf-7", base64: "R3IrQVB3QTN3LWU=", text: "Grüße"),
        Encoded(charset: "tis-620", base64: "ysfRyrTV", text: "สวัสดี"),
        Encoded(charset: "ibm437", base64: "mm6L", text: "Ünï"),
        Encoded(charset: "cp850", base64: "QYfGbw==", text: "Ação"),
        Encoded(charset: "cp866", base64: "j+CooqXi", text: "Привет"),
        Encoded(charset: "macintosh", base64: "Q2Fmjg==", text: "Café"),
    ]

    private func subject(_ value: String) -> String {
        MailDigest(parsing: Array("Subject: \(value)\r\n\r\n".utf8)).subject
    }

    @Test("Encoded words of every character set in use are read, as base64 and quoted", arguments: samples)
    func encodedWord(sample: Encoded) {
        #expect(subject("=?\(sample.charset)?B?\(sample.base64)?=") == sample.text)
        #expect(subject("=?\(sample.charset.uppercased())?q?\(sample.quoted)?=") == sample.text)
    }

    @Test("The same in the name of a sender", arguments: samples)
    func senderName(sample: Encoded) {
        let digest = MailDigest(
            parsing: Array("From: =?\(sample.charset)?B?\(sample.base64)?= <a@example.org>\n\n".utf8))
        #expect(digest.from?.name == sample.text)
        #expect(digest.from?.address == "a@example.org")
    }

    @Test("Adjacent words are joined, also when a character is split between them")
    func adjacent() {
        #expect(subject("=?utf-8?Q?Gr=C3?= =?utf-8?Q?=BC=C3=9Fe?=") == "Grüße")
        #expect(subject("=?utf-8?B?5L2g?=\r\n =?utf-8?B?5aW9?=") == "你好")
        #expect(subject("=?utf-8?Q?a?= b =?iso-8859-1?Q?=FC?=") == "a b ü")
        #expect(subject("=?koi8-r?B?8NI=?= =?windows-1251?B?6OI=?=") == "Прив")
        #expect(subject("Re: [x]=?utf-8?Q?=C3=BC?=y") == "Re: [x]üy")
    }

    @Test("Labels of smaller sets than were used are widened")
    func widened() {
        // GBK under the label gb2312, windows-1252 under iso-8859-1, cp932 under shift_jis.
        #expect(subject("=?gb2312?B?1uzpRrv5?=") == "朱镕基")
        #expect(subject("=?iso-8859-1?Q?=935_=80=94?=") == "“5 €”")
        #expect(subject("=?shift_jis?B?h0CT+g==?=") == "①日")
        #expect(subject("=?us-ascii?Q?caf=E9?=") == "café")
    }

    @Test("An unknown character set is read as UTF-8, and what is none becomes U+FFFD")
    func unknown() {
        #expect(subject("=?x-unknown?Q?abc=E4def?=") == "abc\u{FFFD}def")
        #expect(subject("=?x-unknown?Q?Gr=C3=BC=C3=9Fe?=") == "Grüße")
        #expect(subject("=?x-one?B?/w==?= =?utf-8?Q?=C3=BC?= =?x-two?Q?b?= c") == "\u{FFFD}üb c")
        let digest = MailDigest(parsing: Array("From: =?x-unknown?Q?J=F6?= <a@b.c>\n\n".utf8))
        #expect(digest.from == MailAddress(name: "J\u{FFFD}", address: "a@b.c"))
    }

    @Test("The language of RFC 2231 is not part of the character set")
    func language() {
        #expect(subject("=?utf-8*de?Q?Gr=C3=BC=C3=9Fe?=") == "Grüße")
    }

    @Test("Text above 7 bits without a label: UTF-8, GB18030, Western, ISO-2022-JP")
    func unlabelled() {
        let read = { (bytes: [UInt8]) in MailDigest(parsing: Array("Subject: ".utf8) + bytes + [0x0A, 0x0A]).subject }
        #expect(read(Array("Grüße 你好".utf8)) == "Grüße 你好")
        #expect(read([0xC4, 0xE3, 0xBA, 0xC3, 0x21, 0xCA, 0xC0, 0xBD, 0xE7]) == "你好!世界")
        #expect(read([0x4D, 0xFC, 0x6C, 0x6C, 0x65, 0x72]) == "Müller")
        #expect(read([0x47, 0x72, 0xF6, 0xDF, 0x65]) == "Größe")
        #expect(read([0x1B, 0x24, 0x42, 0x46, 0x7C, 0x4B, 0x5C, 0x1B, 0x28, 0x42, 0x21]) == "日本!")
    }

    @Test("Damaged encoded words give what can be read and never fail")
    func damaged() {
        #expect(subject("=?utf-8?Q?a b c?= d") == "a b c d")
        #expect(subject("=?utf-8?Q?=FF=FEok?=").hasSuffix("ok"))
        #expect(subject("=?utf-8?Q??= x") == "x")
        #expect(subject("=?utf-8?X?abc?=") == "=?utf-8?X?abc?=")
        #expect(subject("=??Q?abc?=") == "=??Q?abc?=")
        #expect(subject("1 =? 2") == "1 =? 2")
        #expect(subject("=?") == "=?")
        #expect(subject("=?utf-8?B?R3LDvMOfZQ?=").hasPrefix("Grüß"))
    }
}
