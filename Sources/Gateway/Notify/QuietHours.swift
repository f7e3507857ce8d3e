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
        guard let zone = TimeZone(identifier: timeZone) else { return nil }
        let offset = zone.secondsFromGMT(for: now.date)
        let secondOfDay = Int((now.seconds + Int64(offset)).modulo(86_400))
        let (from, to) = (fromMinute * 60, toMinute * 60)
        let isQuiet = from < to ? (from..<to).contains(secondOfDay) : secondOfDay >= from || secondOfDay < to
        guard isQuiet else { return nil }
        let remaining = (to - secondOfDay + 86_400) % 86_400
        var end = Timestamp(seconds: now.seconds + Int64(remaining))
        let shift = zone.secondsFromGMT(for: end.date) - offset
        end = end + .seconds(-shift)
        return end
    }
}

extension Int64 {
    /// The non-negative remainder.
    fileprivate func modulo(_ divisor: Int64) -> Int64 {
        let rest = self % divisor
        return rest < 0 ? rest + divisor : rest
    }
}
