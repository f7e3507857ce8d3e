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

    var text: String {
        let digits = String(UInt64(bitPattern: token), radix: 16)
        return "\(delivery)-\(String(repeating: "0", count: 16 - digits.utf8.count))\(digits)"
    }

    /// The message's property of PL-11 and PL-12.
    func write(remaining: Duration, to text: inout JSONText) {
        text.object("receipt") { object in
            object.add("token", self.text)
            object.add("remainingMilliseconds", remaining.milliseconds)
            object.add("delivery", Int64(delivery))
        }
    }
}
