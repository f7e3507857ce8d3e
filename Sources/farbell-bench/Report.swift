internal import Base
internal import Glibc

/// What a benchmark says: results on standard output, progress on standard error.
enum Report {
    /// The first lines: which benchmark, when and where.
    static func begin(_ name: String, isQuick: Bool = false) {
        print("\(name), \(SystemTime().timestamp): \(ProcessMeter.machine)")
        if isQuick { print("A quick run: it shows that everything works, not how fast.") }
    }

    static func print(_ line: String) { write(line, STDOUT_FILENO) }
    static func progress(_ line: String) { write(line, STDERR_FILENO) }

    private static func write(_ line: String, _ descriptor: Int32) {
        var rest = Array("\(line)\n".utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            // Nobody reads any more; there is no one left to tell.
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }

    /// A table with a line under its head; the first column is flush left, the others right.
    static func table(_ head: [String], _ rows: [[String]]) -> String {
        let widths = head.indices.map { column in ([head] + rows).map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            let padded = cells.enumerated().map { column, cell in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return column == 0 ? cell + space : space + cell
            }
            return "| " + padded.joined(separator: " | ") + " |"
        }
        let rule = widths.enumerated().map { column, width in
            column == 0 ? String(repeating: "-", count: width) : String(repeating: "-", count: width - 1) + ":"
        }
        return ([line(head), line(rule)] + rows.map(line)).joined(separator: "\n")
    }

    /// A number with so many digits after the point.
    static func decimal(_ number: Double, _ digits: Int = 1) -> String {
        guard number.isFinite else { return "-" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int64((abs(number) * scale).rounded())
        var text: [UInt8] = number < 0 && scaled != 0 ? [UInt8(ascii: "-")] : []
        text.appendDecimal(scaled / Int64(scale))
        if digits > 0 {
            text.append(UInt8(ascii: "."))
            text.appendDecimal(scaled % Int64(scale), width: digits)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `passed` or `MISSED`, for a bar.
    static func verdict(_ isMet: Bool) -> String { isMet ? "met" : "MISSED" }
}

/// Durations, sorted; percentiles by nearest rank.
struct Distribution: Sendable {
    private let sorted: [Duration]

    init(_ durations: [Duration]) { sorted = durations.sorted() }

    var count: Int { sorted.count }
    var maximum: Duration { sorted.last ?? .zero }

    /// - Parameter share: 0...1.
    func percentile(_ share: Double) -> Duration {
        guard !sorted.isEmpty else { return .zero }
        let rank = Int((share * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    /// p50, p95, p99 and the greatest, in milliseconds.
    var cells: [String] {
        sorted.isEmpty
            ? ["-", "-", "-", "-"]
            : [percentile(0.5), percentile(0.95), percentile(0.99), maximum].map {
                Report.decimal($0.inSeconds * 1000, 2)
            }
    }
}
