import Glibc

/// How a record becomes one line.
package enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object a line, for machines.
    case json
    /// `time LEVEL event message key=value`, for eyes.
    case text

    /// The line for a record, without a line feed; control characters in values are escaped, so a
    /// record never spans lines.
    package func line(_ record: LogRecord) -> String { String(decoding: bytes(record), as: UTF8.self) }

    /// The same as UTF-8.
    package func bytes(_ record: LogRecord) -> [UInt8] {
        switch self {
        case .json: jsonLine(record)
        case .text: Array(textLine(record).utf8)
        }
    }

    /// A longer text in a field is cut off here (bytes of UTF-8), so that a line stays a line.
    package static let textLimit = 8192

    /// What every line has; a field of such a name gets a `_` behind it and replaces nothing.
    private static func isOwn(_ name: String) -> Bool {
        switch name.utf8.count {
        case 4: name == "time"
        case 5: name == "level" || name == "event"
        case 7: name == "message"
        default: false
        }
    }

    /// Written without a tree in between: with the log at `info` a push costs three lines.
    private func jsonLine(_ record: LogRecord) -> [UInt8] {
        var line = Array("{\"time\":\"".utf8)
        line.reserveCapacity(512)
        record.time.write(to: &line)
        line.append(contentsOf: "\",\"level\":\"".utf8)
        line.append(contentsOf: record.level.rawValue.utf8)
        line.append(contentsOf: "\",\"event\":".utf8)
        line.appendJSON(record.event.name)
        line.append(contentsOf: ",\"message\":".utf8)
        line.appendJSON(record.text)
        let pairs = record.fields.pairs
        let isPlain = !pairs.indices.contains { Self.contains(pairs[$0].0, pairs[($0 + 1)...]) }
        for (index, (name, value)) in pairs.enumerated() {
            // Of a name that comes again the last value stands, where the first was.
            if !isPlain, Self.contains(name, pairs[..<index]) { continue }
            let last = isPlain ? nil : pairs.last { $0.0 == name }?.1
            line.append(UInt8(ascii: ","))
            line.appendJSON(Self.isOwn(name) ? name + "_" : name)
            line.append(UInt8(ascii: ":"))
            (last ?? value).write(to: &line, at: record.level)
        }
        line.append(UInt8(ascii: "}"))
        return line
    }

    /// Names differ in their lengths mostly, which is seen at once.
    private static func contains(_ name: String, _ pairs: ArraySlice<(String, LogValue)>) -> Bool {
        pairs.contains { $0.0.utf8.count == name.utf8.count && $0.0 == name }
    }

    private func textLine(_ record: LogRecord) -> String {
        var line = "\(record.time) \(record.level.rawValue.uppercased()) \(record.event) \(record.message)"
        for (name, value) in record.fields.pairs {
            let json = value.json(at: record.level)
            if case .string(let text) = json.value, !text.isEmpty,
                text.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x22 && $0 < 0x7F })
            {
                line += " \(name)=\(text)"
            } else {
                line += " \(name)=\(json.serialized)"
            }
        }
        return line
    }
}

extension LogValue {
    /// Appends the value as JSON as it may be shown at `level`.
    fileprivate func write(to line: inout [UInt8], at level: LogLevel) {
        switch self {
        case .string(let text) where text.utf8.count <= LogFormat.textLimit: line.appendJSON(text)
        case .integer(let number) where number >= 0: line.appendDecimal(number)
        default: json(at: level).write(to: &line)
        }
    }

    /// The value as it may be shown at `level`.
    fileprivate func json(at level: LogLevel) -> JSON {
        switch self {
        case .string(let text): .string(Self.cut(text))
        case .integer(let number): .integer(number)
        case .number(let number): .number(number)
        case .bool(let flag): .bool(flag)
        case .strings(let texts): .array(texts.map { .string(Self.cut($0)) })
        case .timestamp(let time): .string(time.description)
        case .personal(let text): .string(level >= .info ? "<redacted>" : Self.cut(text))
        case .secret: .string("<secret>")
        }
    }

    private static func cut(_ text: String) -> String {
        guard text.utf8.count > LogFormat.textLimit else { return text }
        // Not within a character: bytes 10xxxxxx go on with the one before them.
        var end = text.utf8.index(text.startIndex, offsetBy: LogFormat.textLimit)
        while text.utf8[end] & 0xC0 == 0x80 { end = text.utf8.index(before: end) }
        return String(text[..<end]) + "…"
    }
}

/// Writes lines to a file descriptor, standard error unless told otherwise. Each `write` is of whole lines,
/// so lines of several threads never mix. A reader that has gone away stops nothing: lines are
/// dropped until there is one again. A reader that is there but slow is waited for, as usual in Unix;
/// on a descriptor that does not block, for `patience` milliseconds, then the rest of the lines is
/// dropped.
///
/// Lines of one `Batch` are written together at its end, some milliseconds later at most; warnings and errors, and what
/// was said before them, at once.
package final class FileDescriptorLogSink: LogSink {
    /// How long a full, non-blocking descriptor is waited for, in milliseconds.
    private static let patience: Int32 = 1000
    /// Bytes of lines that wait for others at most.
    private static let togetherLimit = 65_536

    private let descriptor: Int32
    private let shape: Locked<LogFormat>
    /// How lines are written from now on.
    package var format: LogFormat {
        get { shape.withLock { $0 } }
        set { shape.withLock { $0 = newValue } }
    }
    /// Lines that are not written yet, in their order.
    private let waiting = Locked<[UInt8]>([])
    /// Whether the last line broke off in its middle.
    private let isMidLine = Locked(false)

    /// Ignores `SIGPIPE` for the whole process, which would else end with the log's reader.
    package init(descriptor: Int32 = STDERR_FILENO, format: LogFormat = .json) {
        signal(SIGPIPE, SIG_IGN)
        self.descriptor = descriptor
        shape = Locked(format)
    }

    package func write(_ record: LogRecord) {
        var line = format.bytes(record)
        line.append(0x0A)
        let (before, now) = waiting.withLock { waiting in
            waiting += line
            return (waiting.count - line.count, waiting.count)
        }
        // Where one waits already, somebody is going to write.
        if record.level < .warning, now <= Self.togetherLimit, Batch.isRunning {
            if before == 0 { Batch.afterwards(writeAll) }
        } else {
            writeAll()
        }
    }

    private func writeAll() {
        isMidLine.withLock { isMidLine in
            let lines = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            if lines.isEmpty { return }
            // Half a line is ended first, so that it spoils no other.
            var rest = (isMidLine ? [0x0A] + lines : lines)[...]
            while !rest.isEmpty {
                let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if written > 0 {
                    isMidLine = rest[rest.startIndex + written - 1] != 0x0A
                    rest = rest.dropFirst(written)
                } else if written == 0 || !(errno == EINTR || (errno == EAGAIN && waitForRoom())) {
                    return
                }
            }
        }
    }

    private func waitForRoom() -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&request, 1, Self.patience) > 0
    }
}
