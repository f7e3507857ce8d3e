/// Reads the one format of RFC 3339 section 5.6, strictly.
struct TimestampReader {
    private let text: [UInt8]
    private var index = 0

    init(_ text: String) { self.text = Array(text.utf8) }

    /// Milliseconds since 1970; nil when the text is no time.
    mutating func milliseconds() -> Int64? {
        guard let days = date(), take("T", "t"), let time = timeOfDay(), let offset = offset(), index == text.count
        else { return nil }
        return days * 86_400_000 + time - offset
    }

    private mutating func date() -> Int64? {
        guard let year = digits(4), take("-"), let month = digits(2), take("-"), let day = digits(2),
            (1...12).contains(month), day >= 1
        else { return nil }
        let days = Timestamp.days(fromYear: year, month: month, day: day)
        // A day the month does not have comes back as one of the next month.
        return Timestamp.civil(fromDays: days).month == month ? days : nil
    }

    private mutating func timeOfDay() -> Int64? {
        guard let hour = digits(2), take(":"), let minute = digits(2), take(":"), let second = digits(2),
            hour < 24, minute < 60, second <= 60
        else { return nil }
        var milliseconds = ((hour * 60 + minute) * 60 + second) * 1000
        if take(".") {
            var unit: Int64 = 100
            let start = index
            while let digit = digits(1) {
                milliseconds += digit * unit
                unit /= 10
            }
            guard index > start else { return nil }
        }
        return milliseconds
    }

    private mutating func offset() -> Int64? {
        if take("Z", "z") { return 0 }
        let isNegative = take("-")
        guard isNegative || take("+"), let hours = digits(2), take(":"), let minutes = digits(2), hours < 24,
            minutes < 60
        else { return nil }
        let milliseconds = (hours * 60 + minutes) * 60_000
        return isNegative ? -milliseconds : milliseconds
    }

    private mutating func take(_ characters: Unicode.Scalar...) -> Bool {
        guard index < text.count, characters.contains(where: { UInt8(ascii: $0) == text[index] }) else { return false }
        index += 1
        return true
    }

    /// Exactly `count` digits; nothing is taken when there are fewer.
    private mutating func digits(_ count: Int) -> Int64? {
        guard index + count <= text.count else { return nil }
        var number: Int64 = 0
        for byte in text[index..<index + count] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            number = number * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        index += count
        return number
    }
}
