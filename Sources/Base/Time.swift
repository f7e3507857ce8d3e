package import FoundationEssentials
internal import Glibc

/// A point on the monotonic clock, in nanoseconds from an arbitrary start. Deadlines use this, so
/// that a corrected wall clock neither shortens nor lengthens them.
package struct Moment: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }
    package static func + (a: Moment, b: Duration) -> Moment {
        Moment(nanoseconds: a.nanoseconds.saturatingAdd(b.nanoseconds))
    }
    package static func - (a: Moment, b: Moment) -> Duration {
        .nanoseconds(a.nanoseconds.saturatingSubtract(b.nanoseconds))
    }
    /// Further away than any deadline in use.
    package static let distantFuture = Moment(nanoseconds: .max / 2)
}

/// A point on the wall clock, in milliseconds since 1970-01-01T00:00:00Z: what is stored and shown.
package struct Timestamp: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var milliseconds: Int64

    package init(milliseconds: Int64) { self.milliseconds = milliseconds }
    package init(seconds: Int64) { milliseconds = seconds.saturatingMultiply(1000) }

    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.milliseconds < b.milliseconds }
    package static func + (a: Timestamp, b: Duration) -> Timestamp {
        Timestamp(milliseconds: a.milliseconds.saturatingAdd(b.milliseconds))
    }
    package static func - (a: Timestamp, b: Timestamp) -> Duration {
        .milliseconds(a.milliseconds.saturatingSubtract(b.milliseconds))
    }

    /// Whole seconds since 1970, rounded down.
    package var seconds: Int64 { milliseconds.flooredDivision(by: 1000).quotient }
    package var date: Date { Date(timeIntervalSince1970: Double(milliseconds) / 1000) }

    /// The first and the last time that RFC 3339 can write, in the years 0 and 9999.
    package static let earliest = Timestamp(milliseconds: -62_167_219_200_000)
    package static let latest = Timestamp(milliseconds: 253_402_300_799_999)

    /// RFC 3339 in UTC with milliseconds: `2026-11-20T23:58:00.123Z`. A time outside the years 0 to
    /// 9999 is written as the nearest inside.
    package var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(24)
        write(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Appends the text form.
    package func write(to text: inout [UInt8]) {
        let written = min(max(self, .earliest), .latest)
        let (days, millisecondsOfDay) = written.milliseconds.flooredDivision(by: 86_400_000)
        let (year, month, day) = Timestamp.civil(fromDays: days)
        let secondsOfDay = millisecondsOfDay / 1000
        text.appendDecimal(year, width: 4)
        text.append(UInt8(ascii: "-"))
        text.appendDecimal(month, width: 2)
        text.append(UInt8(ascii: "-"))
        text.appendDecimal(day, width: 2)
        text.append(UInt8(ascii: "T"))
        text.appendDecimal(secondsOfDay / 3600, width: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDecimal(secondsOfDay / 60 % 60, width: 2)
        text.append(UInt8(ascii: ":"))
        text.appendDecimal(secondsOfDay % 60, width: 2)
        text.append(UInt8(ascii: "."))
        text.appendDecimal(millisecondsOfDay % 1000, width: 3)
        text.append(UInt8(ascii: "Z"))
    }

    /// Reads RFC 3339 with any offset and fraction (digits beyond milliseconds are cut off; a leap
    /// second counts as the second after it); nil for anything else.
    package init?(_ text: String) {
        var reader = TimestampReader(text)
        guard let milliseconds = reader.milliseconds() else { return nil }
        self.init(milliseconds: milliseconds)
    }

    /// The number, counted from 1970-01-01, of a day of the proleptic Gregorian calendar.
    package static func days(fromYear year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shiftedYear.flooredDivision(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// Year, month and day of a day number counted from 1970-01-01 (proleptic Gregorian calendar).
    package static func civil(fromDays days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        // Eras of 400 years starting on 1 March make the leap day the last day of a year.
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

/// Where time comes from. Everything that waits or stamps takes one of these as a parameter;
/// tests pass a manual one.
package protocol TimeSource: Sendable {
    /// The monotonic clock.
    var now: Moment { get }
    /// The wall clock.
    var timestamp: Timestamp { get }
    /// Waits until `moment`; throws `CancellationError` when the task is cancelled.
    func sleep(until moment: Moment) async throws
}

extension TimeSource {
    /// Waits for `duration`; throws `CancellationError` when the task is cancelled.
    package func sleep(for duration: Duration) async throws {
        try await sleep(until: now + duration)
    }
}

/// The machine's clocks.
package struct SystemTime: TimeSource {
    private static let start = read(CLOCK_BOOTTIME)

    package init() {}

    /// Goes on while the machine is suspended, as `ContinuousClock` does.
    package var now: Moment { Moment(nanoseconds: Self.read(CLOCK_BOOTTIME) - Self.start) }

    package var timestamp: Timestamp { Timestamp(milliseconds: Self.read(CLOCK_REALTIME) / 1_000_000) }

    /// Nanoseconds on one of the kernel's clocks, without a system call. `ContinuousClock` would tell the same in parts
    /// of a billionth of a nanosecond, whose division costs more than the reading.
    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    package func sleep(until moment: Moment) async throws {
        try await Sleepers.shared.sleep(until: moment)
    }
}

extension Duration {
    /// The whole duration in nanoseconds, saturating at about 292 years.
    package var nanoseconds: Int64 {
        // Up to nine seconds need no division of 128 bits.
        if let small = Int64(exactly: attoseconds) { return small / 1_000_000_000 }
        let (seconds, attoseconds) = components
        return seconds.saturatingMultiply(1_000_000_000).saturatingAdd(attoseconds / 1_000_000_000)
    }
    /// The whole duration in milliseconds, rounded towards zero.
    package var milliseconds: Int64 {
        if let small = Int64(exactly: attoseconds) { return small / 1_000_000_000_000_000 }
        let (seconds, attoseconds) = components
        return seconds.saturatingMultiply(1000).saturatingAdd(attoseconds / 1_000_000_000_000_000)
    }
    /// The whole duration in seconds, rounded towards zero.
    package var wholeSeconds: Int64 { components.seconds }
    /// Seconds as a floating-point number, for statistics.
    package var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}

extension Int64 {
    /// Quotient rounded towards negative infinity, and the non-negative remainder.
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    // Times far away stay far away: an overflow must not turn a late deadline into a past one.

    fileprivate func saturatingAdd(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }
    fileprivate func saturatingSubtract(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }
    fileprivate func saturatingMultiply(_ factor: Int64) -> Int64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? ((self < 0) == (factor < 0) ? .max : .min) : product
    }
}

extension [UInt8] {
    /// Appends a number in decimal, its digits padded with zeros to `width`, which is 20 at most.
    package mutating func appendDecimal(_ number: Int64, width: Int = 1) {
        var digits = InlineArray<20, UInt8>(repeating: UInt8(ascii: "0"))
        var first = digits.count
        var rest = number.magnitude
        repeat {
            first -= 1
            digits[first] += UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        first = Swift.min(first, digits.count - width)
        if number < 0 { append(UInt8(ascii: "-")) }
        for index in first..<digits.count { append(digits[index]) }
    }
}
