extension WebAddress {
    /// The absolute URL that a reference means in a document found at `base` (RFC 3986 section 5.2; segments of dots
    /// are left to the server). A fragment is cut off.
    /// - Returns: nil when the result is no URL that `WebAddress` takes.
    package static func resolve(_ reference: String, at base: String) -> String? {
        let text = String(reference.trimmingSpace.prefix { $0 != "#" })
        guard !text.isEmpty, let address = try? WebAddress(base) else { return nil }
        let lower = text.prefix(8).lowercased()
        let scheme = address.isSecure ? "https:" : "http:"
        let result: String
        if lower.hasPrefix("http://") || lower.hasPrefix("https://") {
            result = text
        } else if text.hasPrefix("//") {
            result = scheme + text
        } else if text.hasPrefix("/") {
            result = address.origin + text
        } else {
            let path = base.dropFirst(scheme.utf8.count + 2).prefix { $0 != "?" && $0 != "#" }
            let slash = path.firstIndex(of: "/")
            let whole = slash.map { String(path[$0...]) } ?? "/"
            let folder = whole.prefix(through: whole.lastIndex(of: "/") ?? whole.startIndex)
            result = address.origin + (text.hasPrefix("?") ? whole + text : folder + text)
        }
        return (try? WebAddress(result)) == nil ? nil : result
    }
}
