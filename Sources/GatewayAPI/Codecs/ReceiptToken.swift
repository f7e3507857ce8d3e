internal import Base
internal import Gateway

/// The text a consumer names its lock with: how often the message was handed over, and the lock's token as 16
/// hexadecimal digits.
struct ReceiptToken: Sendable {
    let token: Int64
    let delivery: Int

    private static let largestDelivery = 100_000_000_000_000_000

    init(_ lock: QueueMachine.Lock) { (token, delivery) = (lock.token, lock.delivery) }

    /// Nil for what cannot be one: whoever sends it has no lock.
    init?(_ text: String) {
        var bytes = text.utf8[...]
        var delivery = 0
        while let byte = bytes.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            // No message is handed over so often; more digits could not be counted.
            guard delivery <= Self.largestDelivery else { return nil }
            delivery = delivery * 10 + Int(byte - UInt8(ascii: "0"))
            bytes.removeFirst()
        }
        guard delivery > 0, bytes.popFirst() == UInt8(ascii: "-"), bytes.count == 16 else { return nil }
        var token: UInt64 = 0
        for byte in bytes {
            guard let digit = byte.hexadecimalDigit else { return nil }
            token = token << 4 | UInt64(digit)
        }
        (self.token, self.delivery) = (Int64(bitPattern: token), delivery)
    }

    private func write(to bytes: inout [UInt8]) {
        bytes.appendDecimal(Int64(delivery))
        bytes.append(UInt8(ascii: "-"))
        for shift in stride(from: 56, through: 0, by: -8) {
            bytes.appendHexadecimal(UInt8(truncatingIfNeeded: token >> Int64(shift)))
        }
    }

    /// The message's property of PL-11 and PL-12.
    func write(remaining: Duration, to text: inout JSONText) {
        text.object("receipt") { object in
            object.add("token", write: write)
            object.add("remainingMilliseconds", remaining.milliseconds)
            object.add("delivery", Int64(delivery))
        }
    }
}
