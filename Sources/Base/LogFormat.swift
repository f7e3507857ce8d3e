import Glibc

/// How a record becomes one line.
package enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object a line, for machines.
    case json
    /// `time LEVEL event message key=value`, for eyes.
    case text

    /// The line for a record, without a line feed; control characters in values are escaped, so a
    /// record never spans lines.
    package func line(_ record: LogRecord) -> String {
        switch self {
        case .json: jsonLine(record)
        case .text: textLine(record)
        }
    }

    private func jsonLine(_ record: LogRecord) -> String {
        var object = JSONObject()
        object["time"] = .string(record.time.description)
        object["level"] = .string(record.level.rawValue)
        object["event"] = .string(record.event.name)
        object["message"] = .string(record.message)
        for (name, value) in record.fields.pairs { object[name] = value.json(at: record.level) }
        return JSON(.object(object)).serialized
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
    /// The value as it may be shown at `level`.
    fileprivate func json(at level: LogLevel) -> JSON {
        switch self {
        case .string(let text): .string(text)
        case .integer(let number): .integer(number)
        case .number(let number): .number(number)
        case .bool(let flag): .bool(flag)
        case .strings(let texts): .array(texts.map { .string($0) })
        case .timestamp(let time): .string(time.description)
        case .personal(let text): .string(level >= .info ? "<redacted>" : text)
        case .secret: .string("<secret>")
        }
    }
}

/// Writes lines to a file descriptor, standard error unless told otherwise. A line is one `write`,
/// so lines of several threads never mix. A reader that has gone away stops nothing.
package final class FileDescriptorLogSink: LogSink {
    private let descriptor: Int32
    private let format: LogFormat
    private let order = Locked(())

    package init(descriptor: Int32 = STDERR_FILENO, format: LogFormat = .json) {
        self.descriptor = descriptor
        self.format = format
    }

    package func write(_ record: LogRecord) {
        let line = Array((format.line(record) + "\n").utf8)
        order.withLock { _ in
            var rest = line[...]
            while !rest.isEmpty {
                let written = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
                if written > 0 {
                    rest = rest.dropFirst(written)
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}
