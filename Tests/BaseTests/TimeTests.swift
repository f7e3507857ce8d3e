import Base
import FoundationEssentials
import Testing

@Suite struct TimeTests {
    @Test(
        "timestamps are written and read back",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (1_795_219_200_123, "2026-11-21T00:00:00.123Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (-2_203_891_200_000, "1900-03-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func knownTimes(_ milliseconds: Int64, _ text: String) {
        #expect(Timestamp(milliseconds: milliseconds).description == text)
        #expect(Timestamp(text)?.milliseconds == milliseconds)
    }

    @Test("every day of the years 1580 to 2420 comes back, in order, with lengths of the Gregorian calendar")
    func everyDay() {
        let first = Timestamp.days(fromYear: 1580, month: 1, day: 1)
        let last = Timestamp.days(fromYear: 2420, month: 12, day: 31)
        var previous = Timestamp.civil(fromDays: first - 1)
        var faults = 0
        for day in first...last {
            let civil = Timestamp.civil(fromDays: day)
            if Timestamp.days(fromYear: civil.year, month: civil.month, day: civil.day) != day { faults += 1 }
            let leap = previous.year % 4 == 0 && (previous.year % 100 != 0 || previous.year % 400 == 0)
            let lengths: [Int64] = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
            let isMonthEnd = previous.day == lengths[Int(previous.month) - 1]
            let isYearEnd = isMonthEnd && previous.month == 12
            let expected: (Int64, Int64, Int64) =
                isYearEnd
                ? (previous.year + 1, 1, 1)
                : isMonthEnd
                    ? (previous.year, previous.month + 1, 1) : (previous.year, previous.month, previous.day + 1)
            if civil != expected { faults += 1 }
            previous = civil
        }
        #expect(faults == 0)
    }

    @Test(
        "RFC 3339 is read with offsets and fractions",
        arguments: [
            ("2026-11-20T23:58:00Z", "2026-11-20T23:58:00.000Z"), ("2026-11-20t23:58:00z", "2026-11-20T23:58:00.000Z"),
            ("2026-11-21T01:58:00+02:00", "2026-11-20T23:58:00.000Z"),
            ("2026-11-20T18:28:00.5-05:30", "2026-11-20T23:58:00.500Z"),
            ("2026-11-20T23:58:00.123456789Z", "2026-11-20T23:58:00.123Z"),
            ("2026-11-20T23:58:00-00:00", "2026-11-20T23:58:00.000Z"),
            ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00.000Z"), ("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z"),
        ])
    func reads(_ text: String, _ utc: String) { #expect(Timestamp(text)?.description == utc) }

    @Test(
        "anything else is refused",
        arguments: [
            "", "2026-11-20", "2026-11-20 23:58:00Z", "2026-11-20T23:58:00", "2026-11-20T23:58Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "2026-04-31T00:00:00Z", "2026-01-00T00:00:00Z",
            "2026-11-20T24:00:00Z", "2026-11-20T23:60:00Z", "2026-11-20T23:58:61Z", "2026-11-20T23:58:00.Z",
            "2026-11-20T23:58:00+0200", "2026-11-20T23:58:00+24:00", "2026-11-20T23:58:00Z ", "26-11-20T23:58:00Z",
            "+2026-11-20T23:58:00Z", "2026-11-20T23:58:00ZZ", "２０２６-11-20T23:58:00Z", "-0001-01-01T00:00:00Z",
        ])
    func refuses(_ text: String) { #expect(Timestamp(text) == nil) }

    @Test("times beyond RFC 3339 are written as the nearest it can write")
    func bounds() {
        #expect(Timestamp(milliseconds: .min).description == Timestamp.earliest.description)
        #expect(Timestamp(milliseconds: .max).description == "9999-12-31T23:59:59.999Z")
        #expect(Timestamp(seconds: .max).milliseconds == .max)
        #expect(Timestamp(seconds: .min).milliseconds == .min)
    }

    @Test("arithmetic saturates instead of trapping or turning round")
    func saturation() {
        #expect(Moment(nanoseconds: .max) + .seconds(1) == Moment(nanoseconds: .max))
        #expect(Moment.distantFuture + .seconds(Int64.max) == Moment(nanoseconds: .max))
        #expect(Moment(nanoseconds: .min) - Moment(nanoseconds: 1) == .nanoseconds(Int64.min))
        #expect(Timestamp(milliseconds: .max) + .milliseconds(1) == Timestamp(milliseconds: .max))
        #expect(Timestamp(milliseconds: .min) + .milliseconds(-1) == Timestamp(milliseconds: .min))
        #expect((Timestamp.latest - .earliest).milliseconds == 315_569_519_999_999)
        #expect(Duration.seconds(Int64.max).nanoseconds == .max)
        #expect(Duration.seconds(Int64.min).nanoseconds == .min)
        #expect(Duration.seconds(Int64.max).milliseconds == .max)
    }

    // Up to nine seconds are counted in another way than beyond.
    @Test(
        "durations are cut off towards zero on both sides of nine seconds",
        arguments: [
            0, 1, 999_999, 1_000_000, 9_223_372_035, 9_223_372_036, 9_223_372_037, 86_400_000_000_001,
        ] as [Int64])
    func durations(_ nanoseconds: Int64) {
        for number in [nanoseconds, -nanoseconds] {
            #expect(Duration.nanoseconds(number).nanoseconds == number)
            #expect(Duration.nanoseconds(number).milliseconds == number / 1_000_000)
        }
    }

    @Test("the machine's clocks go on, and tell the time that the system tells")
    func systemTime() {
        let time = SystemTime()
        let (first, continuous) = (time.now, ContinuousClock.now)
        let wall = time.timestamp
        #expect(abs((wall.date.timeIntervalSinceNow)) < 5)
        let passed = continuous.duration(to: .now)
        #expect(time.now - first >= passed)
    }

    @Test("durations convert, rounding towards zero; seconds of a timestamp round down")
    func conversions() {
        let duration: Duration = .milliseconds(1999)
        #expect(duration.milliseconds == 1999)
        #expect(duration.wholeSeconds == 1)
        #expect(duration.inSeconds == 1.999)
        #expect((Duration.zero - duration).milliseconds == -1999)
        #expect(Timestamp(milliseconds: -1).seconds == -1)
        #expect(Timestamp(milliseconds: 1999).seconds == 1)
        #expect(Timestamp(milliseconds: 1500).date.timeIntervalSince1970 == 1.5)
    }

    @Test(
        "decimals are written whole",
        arguments: [(0, 1, "0"), (7, 3, "007"), (1234, 2, "1234"), (-5, 2, "-05")] as [(Int64, Int, String)])
    func decimals(_ number: Int64, _ width: Int, _ text: String) {
        var bytes = Array("x".utf8)
        bytes.appendDecimal(number, width: width)
        #expect(String(decoding: bytes, as: UTF8.self) == "x" + text)
    }

    @Test("the extremes of Int64 are written whole")
    func extremes() {
        for number in [Int64.min, .max] {
            var bytes: [UInt8] = []
            bytes.appendDecimal(number)
            #expect(String(decoding: bytes, as: UTF8.self) == "\(number)")
        }
    }

    @Test("the system's clock moves on, sleeps at least as long as told, and a sleep can be cancelled")
    func systemTime() async throws {
        let time = SystemTime()
        let start = time.now
        try await time.sleep(for: .milliseconds(5))
        #expect(time.now - start >= .milliseconds(5))
        #expect(time.timestamp > Timestamp("2026-01-01T00:00:00Z") ?? .latest)
        let sleeper = Task { try await time.sleep(until: .distantFuture) }
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
    }
}
