internal import Base

/// The header `Link` (RFC 8288), as far as paging needs it.
enum LinkHeader {
    /// The target of the first link whose relation is `next`; nil without one.
    static func next(in headers: HTTPFields) -> String? {
        for value in headers.values(of: "Link") {
            var rest = value[...]
            while let open = rest.firstIndex(of: "<"), let close = rest[open...].firstIndex(of: ">") {
                let target = rest[rest.index(after: open)..<close]
                let behind = rest[rest.index(after: close)...]
                // The parameters end where the next link begins; a comma in quotes is followed by no `<` there.
                let end = behind.firstIndex(of: "<") ?? behind.endIndex
                if isNext(behind[..<end]) { return String(target) }
                rest = behind[end...]
            }
        }
        return nil
    }

    private static func isNext(_ parameters: Substring) -> Bool {
        parameters.split(separator: ";").contains { parameter in
            let parts = parameter.split(separator: "=", maxSplits: 1).map { String($0).trimmingSpace }
            guard parts.count == 2, parts[0].lowercased() == "rel" else { return false }
            let relations = parts[1].filter { $0 != "\"" && $0 != "," }.lowercased()
            return relations.split(separator: " ").contains("next")
        }
    }
}
