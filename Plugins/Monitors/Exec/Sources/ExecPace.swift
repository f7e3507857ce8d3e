internal import Base

/// When a program that has ended is started again. No clock.
struct ExecPace: Sendable, Hashable {
    /// First and longest pause.
    static let pauses: (first: Duration, longest: Duration) = (.seconds(1), .seconds(60))

    private var failures = 0

    /// How long to wait.
    /// - Parameters:
    ///   - hasWorked: it had said that it is ready since it was started.
    ///   - jitter: 0...1, so that programs that fell together do not rise together.
    mutating func ended(hasWorked: Bool, jitter: Double) -> Duration {
        failures = hasWorked ? 1 : failures + 1
        let full = min(Self.pauses.longest, Self.pauses.first * (1 << min(failures - 1, 10)))
        return full * (0.5 + jitter / 2)
    }
}

/// How many lines of a standard error are logged: so many a minute.
struct ExecLineBudget: Sendable {
    static let linesPerMinute = 60

    private var began: Moment?
    private var spent = 0

    mutating func spend(now: Moment) -> Bool {
        if began.map({ now - $0 >= .seconds(60) }) ?? true { (began, spent) = (now, 0) }
        spent += 1
        return spent <= Self.linesPerMinute
    }
}

extension LogEvent {
    static let programStarted = LogEvent("monitor.program_started")
    static let programEnded = LogEvent("monitor.program_ended")
    static let programSaid = LogEvent("monitor.program_said")
    static let programMisspoke = LogEvent("monitor.program_misspoke")
}
