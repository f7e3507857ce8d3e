package import Base
internal import FoundationEssentials
internal import FoundationInternationalization

extension NotifyPreferences.QuietHours {
    /// Whether the system knows a time zone of this IANA name.
    package static func knows(timeZone: String) -> Bool { TimeZone(identifier: timeZone) != nil }

    /// When the quiet hours that hold at `now` end; nil when it is not quiet.
    ///
    /// Wall-clock minutes are compared, so a night in which the clock is changed ends when the clock
    /// on the wall shows `to`.
    package func end(at now: Timestamp) -> Timestamp? {
        guard let zone = TimeZone(identifier: timeZone), isQuiet(at: now, in: zone) else { return nil }
        let offset = zone.secondsFromGMT(for: now.date)
        let remaining = (toMinute * 60 - Self.secondOfDay(now, in: zone) + 86_400) % 86_400
        let end = Timestamp(seconds: now.seconds + Int64(remaining))
        let corrected = end + .seconds(offset - zone.secondsFromGMT(for: end.date))
        // The clock may jump over `to`: then the quiet ends when so much time has passed.
        return corrected > now && !isQuiet(at: corrected, in: zone) ? corrected : end
    }

    private static func secondOfDay(_ time: Timestamp, in zone: TimeZone) -> Int {
        Int((time.seconds + Int64(zone.secondsFromGMT(for: time.date))).modulo(86_400))
    }

    private func isQuiet(at time: Timestamp, in zone: TimeZone) -> Bool {
        let (from, to, second) = (fromMinute * 60, toMinute * 60, Self.secondOfDay(time, in: zone))
        return from < to ? (from..<to).contains(second) : second >= from || second < to
    }
}

/// FoundationEssentials looks for the library of time zones when a program runs, by a name that no linker sees. A program
/// that holds Swift's libraries has of them only what is named, so this names something of it.
package let timeZoneLibrary: @Sendable (Duration) -> String = { $0.formatted() }

extension Int64 {
    /// The non-negative remainder.
    fileprivate func modulo(_ divisor: Int64) -> Int64 {
        let rest = self % divisor
        return rest < 0 ? rest + divisor : rest
    }
}
