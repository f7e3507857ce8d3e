internal import Base
internal import Gateway

/// The text a consumer names its lock with: how often the message was handed over, and the lock's token as 16
/// hexadecimal digits.
struct ReceiptToken: Sendable {
    let token: Int64
    let delivery: Int

    init(_ lock: QueueMachine.Lock) { (token, delivery) = (lock.token, lock.delivery) }

    /// Nil for what cannot be one: whoever sends it has no lock.
    init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[1].utf8.count == 16, let delivery = Int(parts[0]), delivery > 0 else {
            return nil
        }
        var token: UInt64 = 0
        for byte in parts[1].utf8 {
            guard let digit = byte.hexadecimalDigit else { return nil }
            token = token << 4 | UInt64(digit)
        }
        (self.token, self.delivery) = (Int64(bitPattern: token), delivery)
    }

    private func write(to bytes: inout [UInt8]) {
        bytes.appendDecimal(Int64(delivery))
        bytes.append(UInt8(ascii: "-"))
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: UInt64(bitPattern: token) >> UInt64(shift)) & 15
            bytes.append(digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10))
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
