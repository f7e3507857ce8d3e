internal import Base

/// Writing commands and reading dates.
enum IMAPSyntax {
    /// A mailbox's name as a quoted string: modified UTF-7 (RFC 3501 section 5.1.3) for what is not ASCII.
    static func quotedMailbox(_ name: String) -> String {
        var text = ""
        var shifted: [UInt8] = []
        func unshift() {
            guard !shifted.isEmpty else { return }
            // Base64 with ',' for '/' and without padding.
            text += "&" + shifted.base64.filter { $0 != "=" }.map { $0 == "/" ? "," : String($0) }.joined() + "-"
            shifted = []
        }
        for scalar in name.unicodeScalars {
            if (0x20...0x7E).contains(scalar.value) {
                unshift()
                text += scalar == "&" ? "&-" : (scalar == "\"" || scalar == "\\" ? "\\\(scalar)" : "\(scalar)")
            } else {
                for unit in Character(scalar).utf16 { shifted += [UInt8(unit >> 8), UInt8(unit & 0xFF)] }
            }
        }
        unshift()
        return "\"\(text)\""
    }

    /// The name that modified UTF-7 stands for; what is no such text stays as it is.
    static func mailbox(_ wire: String) -> String {
        var name = ""
        var rest = wire[...]
        while let mark = rest.firstIndex(of: "&") {
            name += rest[..<mark]
            guard let end = rest[mark...].firstIndex(of: "-") else { return name + rest[mark...] }
            let code = rest[rest.index(after: mark)..<end]
            let padding = String(repeating: "=", count: (4 - code.utf8.count % 4) % 4)
            let bytes = [UInt8](base64: code.replacing(",", with: "/") + padding)
            if code.isEmpty {
                name += "&"
            } else if let bytes, bytes.count % 2 == 0 {
                let units = stride(from: 0, to: bytes.count, by: 2).map {
                    UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])
                }
                name += String(decoding: units, as: UTF16.self)
            } else {
                name += rest[mark...end]
            }
            rest = rest[rest.index(after: end)...]
        }
        return name + rest
    }

    /// A UID set such as `3:5,9` for ascending UIDs.
    static func set(_ uids: [UInt32]) -> String {
        var parts: [String] = []
        var index = 0
        while index < uids.count {
            var end = index
            while end + 1 < uids.count, uids[end + 1] == uids[end] + 1 { end += 1 }
            parts.append(end == index ? "\(uids[index])" : "\(uids[index]):\(uids[end])")
            index = end + 1
        }
        return parts.joined(separator: ",")
    }

    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// Reads `17-Jul-1996 02:44:25 -0700` (RFC 3501, `date-time`); nil for anything else.
    static func timestamp(_ text: String) -> Timestamp? {
        let parts = text.split(separator: " ")
        guard parts.count == 3 else { return nil }
        let date = parts[0].split(separator: "-")
        guard date.count == 3, let day = Int(date[0]), (1...31).contains(day), date[2].utf8.count == 4,
            let month = months.firstIndex(where: { $0.lowercased() == date[1].lowercased() }),
            parts[1].utf8.count == 8, parts[2].utf8.count == 5
        else { return nil }
        let zone = "\(parts[2].prefix(3)):\(parts[2].suffix(2))"
        return Timestamp("\(date[2])-\(pad(month + 1))-\(pad(day))T\(parts[1])\(zone)")
    }

    /// `9-Jul-1996` in UTC, for `SEARCH SINCE`, which knows days only.
    static func day(_ time: Timestamp) -> String {
        let (year, month, day) = Timestamp.civil(fromDays: time.seconds / 86_400)
        return "\(day)-\(months[Int(month) - 1])-\(year)"
    }

    private static func pad(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
