/// A stable dotted name of something that happened, such as `monitor.watching`. Operators search
/// and alert on it, so a name once released does not change. All of them stand, with their fields,
/// in `Documentation/Log.md`.
package struct LogEvent: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    package let name: String
    package init(_ name: String) { self.name = name }
    package init(stringLiteral name: String) { self.name = name }
    package var description: String { name }
}

/// How urgent a line is, by what its reader has to do.
package enum LogLevel: String, Sendable, Comparable, CaseIterable {
    /// Every step; unbounded volume.
    case trace
    /// Safe to leave on in production while looking for something.
    case debug
    /// The life of things: created, started, sent, stopped.
    case info
    /// Unexpected, but Farbell recovered by itself.
    case warning
    /// Someone must act.
    case error

    private var rank: Int {
        switch self {
        case .trace: 0
        case .debug: 1
        case .info: 2
        case .warning: 3
        case .error: 4
        }
    }
    package static func < (a: LogLevel, b: LogLevel) -> Bool { a.rank < b.rank }
}

/// A typed value of one log field. The type decides on redaction, at the place where it is logged.
package enum LogValue: Sendable, Hashable {
    case string(String)
    case integer(Int64)
    case number(Double)
    case bool(Bool)
    case strings([String])
    case timestamp(Timestamp)
    /// Someone's address, subject or text: shown at `debug` and below, `<redacted>` above.
    case personal(String)
    /// Shown never; says only that there was one.
    case secret(Secret)
}

extension LogValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral {
    package init(stringLiteral value: String) { self = .string(value) }
    package init(integerLiteral value: Int64) { self = .integer(value) }
    package init(booleanLiteral value: Bool) { self = .bool(value) }

    package static func count(_ value: Int) -> LogValue { .integer(Int64(value)) }
    /// A duration in whole milliseconds; its field's name ends in `Milliseconds`.
    package static func milliseconds(_ value: Duration) -> LogValue { .integer(value.milliseconds) }
    /// A duration in whole seconds; its field's name ends in `Seconds`.
    package static func seconds(_ value: Duration) -> LogValue { .integer(value.wholeSeconds) }
}

/// Named values in the order they were written.
package struct LogFields: Sendable, Hashable, ExpressibleByDictionaryLiteral {
    /// Names and values. Without labels, so that what a literal is made of is taken as it is.
    package private(set) var pairs: [(String, LogValue)]

    package init() { pairs = [] }
    private init(_ pairs: [(String, LogValue)]) { self.pairs = pairs }
    package init(dictionaryLiteral elements: (String, LogValue)...) { pairs = elements }

    package subscript(_ name: String) -> LogValue? { pairs.last { $0.0 == name }?.1 }
    package mutating func append(_ name: String, _ value: LogValue) { pairs.append((name, value)) }
    package static func + (a: LogFields, b: LogFields) -> LogFields {
        a.pairs.isEmpty ? b : LogFields(a.pairs + b.pairs)
    }

    package static func == (a: LogFields, b: LogFields) -> Bool {
        a.pairs.elementsEqual(b.pairs) { $0 == $1 }
    }
    package func hash(into hasher: inout Hasher) {
        for (name, value) in pairs {
            hasher.combine(name)
            hasher.combine(value)
        }
    }
}

/// One line of the log before it is formatted.
package struct LogRecord: Sendable, Hashable {
    package let time: Timestamp
    package let level: LogLevel
    package let event: LogEvent
    /// A constant sentence; everything that varies is in `fields`.
    package var message: String { text.description }
    package let fields: LogFields
    /// The message where it stands in the program: most records are written without making a string of it.
    let text: StaticString

    package init(time: Timestamp, level: LogLevel, event: LogEvent, message: StaticString, fields: LogFields) {
        (self.time, self.level, self.event) = (time, level, event)
        (text, self.fields) = (message, fields)
    }

    package static func == (a: LogRecord, b: LogRecord) -> Bool {
        a.time == b.time && a.level == b.level && a.event == b.event && a.message == b.message && a.fields == b.fields
    }
    package func hash(into hasher: inout Hasher) {
        hasher.combine(time)
        hasher.combine(event)
        hasher.combine(fields)
    }
}

/// Where records go.
package protocol LogSink: Sendable {
    func write(_ record: LogRecord)
}

/// What code logs with: a sink, a level and fields that every record carries.
package struct Log: Sendable {
    private let sink: any LogSink
    private let time: any TimeSource
    private let fields: LogFields
    /// Shared with every log made from this one, so that a reload changes all of them.
    private let threshold: Locked<LogLevel>

    /// Records below this are not written.
    package var level: LogLevel {
        get { threshold.withLock { $0 } }
        nonmutating set { threshold.withLock { $0 = newValue } }
    }

    package init(sink: any LogSink, level: LogLevel = .info, time: any TimeSource = SystemTime()) {
        self.init(sink: sink, threshold: Locked(level), time: time, fields: LogFields())
    }

    private init(sink: any LogSink, threshold: Locked<LogLevel>, time: any TimeSource, fields: LogFields) {
        (self.sink, self.threshold, self.time, self.fields) = (sink, threshold, time, fields)
    }

    /// A log whose records all carry `fields` too.
    package func with(_ fields: LogFields) -> Log {
        Log(sink: sink, threshold: threshold, time: time, fields: self.fields + fields)
    }

    package func trace(_ event: LogEvent, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.trace, event, message, fields)
    }
    package func debug(_ event: LogEvent, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.debug, event, message, fields)
    }
    package func info(_ event: LogEvent, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.info, event, message, fields)
    }
    package func warning(_ event: LogEvent, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.warning, event, message, fields)
    }
    package func error(_ event: LogEvent, _ message: StaticString, _ fields: @autoclosure () -> LogFields = [:]) {
        write(.error, event, message, fields)
    }

    private func write(
        _ level: LogLevel, _ event: LogEvent, _ message: StaticString, _ more: () -> LogFields
    ) {
        guard level >= self.level else { return }
        sink.write(
            LogRecord(
                time: time.timestamp, level: level, event: event, message: message, fields: fields + more()))
    }
}

/// Keeps records in memory for tests, at most `limit` of them (the oldest go first).
package final class RecordingLogSink: LogSink {
    private let stored = Locked<[LogRecord]>([])
    private let limit: Int

    package init(limit: Int = 100_000) { self.limit = limit }

    package var records: [LogRecord] { stored.withLock { $0 } }

    package func write(_ record: LogRecord) {
        stored.withLock {
            if $0.count >= limit { $0.removeFirst() }
            $0.append(record)
        }
    }

    /// The records of one event, oldest first.
    package func records(of event: LogEvent) -> [LogRecord] { records.filter { $0.event == event } }
}

/// Throws records away.
package struct NullLogSink: LogSink {
    package init() {}
    package func write(_ record: LogRecord) {}
}
