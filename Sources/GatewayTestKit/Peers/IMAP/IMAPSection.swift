internal import Base

/// A `BODY[...]<a.b>` item of FETCH.
struct IMAPSection {
    /// As the answer names it: without PEEK, with the start of the part.
    let label: String
    private let fields: Set<String>?
    private let isNegated: Bool
    private let part: Range<Int>?

    /// nil for anything this server does not understand.
    init?(_ item: String) {
        let upper = item.uppercased()
        guard upper.hasPrefix("BODY"), let open = item.firstIndex(of: "["), let close = item.lastIndex(of: "]") else {
            return nil
        }
        let section = String(item[item.index(after: open)..<close])
        let name = section.prefix { $0 != " " }.uppercased()
        switch name {
        case "", "HEADER": (fields, isNegated) = (nil, false)
        case "HEADER.FIELDS", "HEADER.FIELDS.NOT":
            let names = section.dropFirst(name.count).filter { !"()\"".contains($0) }.split(separator: " ")
            fields = Set(names.map { $0.lowercased() })
            isNegated = name.hasSuffix("NOT")
        default: return nil
        }
        let rest = item[item.index(after: close)...].filter { $0 != "<" && $0 != ">" }
        let numbers = rest.split(separator: ".").compactMap { Int($0) }
        if numbers.count == 2 {
            part = numbers[0]..<(numbers[0] + max(0, numbers[1]))
            label = "BODY[\(section)]<\(numbers[0])>"
        } else {
            part = nil
            label = "BODY[\(section)]"
        }
    }

    func content(of header: [UInt8]) -> ArraySlice<UInt8> {
        let whole = fields.map { selected($0, header)[...] } ?? header[...]
        guard let part else { return whole }
        return whole.dropFirst(part.lowerBound).prefix(part.count)
    }

    private func selected(_ names: Set<String>, _ header: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var keeps = false
        var start = header.startIndex
        while start < header.endIndex {
            let newline = ByteSearch.index(of: 10, in: header, from: start, to: header.count)
            let end = newline.map { $0 + 1 } ?? header.endIndex
            let line = header[start..<end]
            if line.first == 13 || line.first == 10 { break }
            // A line that begins with space belongs to the field before.
            if line.first != 32 && line.first != 9 {
                let name = String(decoding: line.prefix { $0 != UInt8(ascii: ":") }, as: UTF8.self).lowercased()
                keeps = names.contains(name) != isNegated
            }
            if keeps { result.append(contentsOf: line) }
            start = end
        }
        result.append(contentsOf: [13, 10])
        return result
    }
}

/// A sequence set such as `1,3:5,9:*` (RFC 9051 section 9).
struct SequenceSet {
    private var ranges: [ClosedRange<UInt32>] = []

    /// - Parameter last: what `*` stands for.
    init(_ text: String, last: UInt32) {
        func number(_ word: Substring) -> UInt32? { word == "*" ? last : UInt32(word) }
        for part in text.split(separator: ",") {
            let ends = part.split(separator: ":")
            guard let first = ends.first.flatMap(number), let second = ends.last.flatMap(number) else { continue }
            // `9:*` names the last message even when it is below 9.
            ranges.append(min(first, second)...max(first, second))
        }
    }

    func contains(_ number: UInt32) -> Bool { ranges.contains { $0.contains(number) } }
}

/// IMAP's date-time (RFC 9051 section 9).
enum IMAPDate {
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// `21-Nov-2026 08:00:00 +0000`.
    static func text(_ timestamp: Timestamp) -> String {
        let parts = timestamp.description
        let month = Int(parts.dropFirst(5).prefix(2)) ?? 1
        return "\(parts.dropFirst(8).prefix(2))-\(months[month - 1])-\(parts.prefix(4)) "
            + "\(parts.dropFirst(11).prefix(8)) +0000"
    }
}
