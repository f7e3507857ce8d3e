import Base
import Testing

@testable import Gateway
@testable import GatewayAPI

@Suite struct ReceiptTokenTests {
    @Test(
        "PL-11 A receipt's text reads back as the lock it was written for",
        arguments: [0, 1, -1, .max, .min, 0xDEAD_BEEF])
    func reads(_ token: Int64) throws {
        for delivery in [1, 9, 10, 65_535, 999_999_999_999_999_999] {
            let lock = QueueMachine.Lock(seq: 7, token: token, delivery: delivery)
            var text = JSONText(capacity: 64)
            text.object { ReceiptToken(lock).write(remaining: .seconds(1), to: &$0) }
            let written = try #require(JSONParser.parse(text.bytes)["receipt"]?["token"]?.string)
            let read = try #require(ReceiptToken(written))
            #expect((read.token, read.delivery) == (token, delivery), "\(written)")
        }
    }

    @Test(
        "PL-12 What cannot be a receipt is none",
        arguments: [
            "", "-", "1", "1-", "-0123456789abcdef", "0-0123456789abcdef", "1-0123456789abcde", "1-0123456789abcdef0",
            "1-0123456789abcdeg", "+1-0123456789abcdef", "1--0123456789abcdef", "1-0123456789abcdef-",
            " 1-0123456789abcdef",
            "x-0123456789abcdef", "99999999999999999999999-0123456789abcdef", "1-٠١٢٣٤٥٦٧",
        ]) func refuses(_ text: String)
    {
        #expect(ReceiptToken(text) == nil)
    }
}
