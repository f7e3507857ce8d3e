internal import Base

/// What Microsoft's documentation says about the headers and the payload of a notification, without any state.
enum WNSRules {
    struct Refusal: Error, Equatable {
        let status: Int
        /// What is wrong, as `X-WNS-Error-Description` says it.
        let reason: String
    }

    static let payloadLimit = 5000
    private static let tagLimit = 16

    /// Checks all headers but `Authorization`, and the payload's size. Returns the type without `wns/`.
    static func check(_ request: PeerRequest) throws(Refusal) -> String {
        let headers = request.headers
        for name in ["X-WNS-Type", "Content-Type", "Authorization", "X-WNS-TTL", "X-WNS-Tag", "X-WNS-Group"]
        where headers.values(of: name).count > 1 {
            throw bad("\(name) is there twice")
        }
        // "Does not support chunking"; Expect is taken, but "developers should disable" it.
        guard headers["Transfer-Encoding"] == nil, headers["Content-Length"] != nil, headers["Expect"] == nil else {
            throw bad("transfer coding")
        }
        guard let type = headers["X-WNS-Type"], ["wns/toast", "wns/tile", "wns/badge", "wns/raw"].contains(type) else {
            throw bad("X-WNS-Type")
        }
        let expected = type == "wns/raw" ? "application/octet-stream" : "text/xml"
        guard headers["Content-Type"]?.split(separator: ";").first.map(String.init) == expected else {
            throw bad("Content-Type")
        }
        try checkOptions(headers, type)
        if request.body.isEmpty { throw bad("no payload") }
        if request.body.count > payloadLimit { throw Refusal(status: 413, reason: "payload too large") }
        return String(type.dropFirst(4))
    }

    private static func checkOptions(_ headers: HTTPFields, _ type: String) throws(Refusal) {
        let policy = headers["X-WNS-Cache-Policy"]
        if let policy {
            guard policy == "cache" || policy == "no-cache" else { throw bad("X-WNS-Cache-Policy") }
            // "Applies only to tile, badge, and raw notifications."
            if type == "wns/toast" { throw bad("X-WNS-Cache-Policy with a toast") }
        }
        if let life = headers["X-WNS-TTL"] {
            guard APNsRules.isNumber(life), let seconds = Int32(life) else { throw bad("X-WNS-TTL") }
            if seconds == 0, policy != "no-cache" { throw bad("X-WNS-TTL of 0 with a cache") }
        }
        if let asks = headers["X-WNS-RequestForStatus"], asks != "true", asks != "false" {
            throw bad("X-WNS-RequestForStatus")
        }
        for name in ["X-WNS-Tag", "X-WNS-Group"] {
            guard let value = headers[name] else { continue }
            guard (1...tagLimit).contains(value.utf8.count), value.utf8.allSatisfy(isAlphanumeric) else {
                throw bad(name)
            }
            if type == "wns/raw" || type == "wns/badge" { throw bad("\(name) with \(type)") }
        }
        // Only for phones, which are gone.
        for name in ["X-WNS-SuppressPopup", "X-WNS-Match"] where headers[name] != nil { throw bad(name) }
    }

    static func bad(_ reason: String) -> Refusal { Refusal(status: 400, reason: reason) }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
    }
}

/// The toast of an XML document, read as strictly as a device reads it: elements, attributes, texts and the five
/// entities of XML 1.0, and nothing else.
package struct ToastReader {
    /// The attributes of `toast`.
    package private(set) var attributes: [String: String] = [:]
    /// The contents of the `text` elements, in order.
    package private(set) var texts: [String] = []
    /// Whether it makes no sound.
    package private(set) var isSilent = false

    private var rest: Substring
    private var open: [String] = []

    /// nil for what is no well-formed toast.
    package init?(_ payload: [UInt8]) {
        guard let text = String(validating: payload, as: UTF8.self),
            text.unicodeScalars.allSatisfy(Self.isAllowed)
        else { return nil }
        rest = text[...]
        repeat {
            guard step() else { return nil }
        } while !open.isEmpty
        guard rest.isEmpty, attributes["launch"] != nil, !texts.isEmpty else { return nil }
    }

    /// XML 1.0 section 2.2.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x09, 0x0A, 0x0D, 0x20...0xD7FF, 0xE000...0xFFFD, 0x10000...: true
        default: false
        }
    }

    /// Reads one tag, or the text before it.
    private mutating func step() -> Bool {
        guard rest.first == "<" else {
            guard let content = take(until: "<"), open.last == "text", let text = Self.unescaped(content) else {
                return false
            }
            texts[texts.count - 1] += text
            return true
        }
        rest.removeFirst()
        guard var tag = take(until: ">") else { return false }
        rest.removeFirst()
        if tag.first == "/" { return open.popLast() == String(tag.dropFirst()) }
        let isEmpty = tag.last == "/"
        if isEmpty { tag.removeLast() }
        let name = String(tag.prefix { $0 != " " })
        guard let attributes = Self.attributes(tag.dropFirst(name.count)), element(name, attributes) else {
            return false
        }
        if !isEmpty { open.append(name) }
        return true
    }

    private mutating func element(_ name: String, _ attributes: [String: String]) -> Bool {
        switch (open.last, name) {
        case (nil, "toast"): self.attributes = attributes
        case ("toast", "visual"): break
        case ("toast", "audio"): isSilent = attributes["silent"] == "true"
        case ("visual", "binding"): return attributes["template"] == "ToastGeneric"
        case ("binding", "text"): texts.append("")
        default: return false
        }
        return true
    }

    private mutating func take(until end: Character) -> Substring? {
        guard let index = rest.firstIndex(of: end) else { return nil }
        defer { rest = rest[index...] }
        return rest[..<index]
    }

    private static func attributes(_ text: Substring) -> [String: String]? {
        var (rest, found) = (text, [String: String]())
        while !rest.isEmpty {
            guard rest.first == " ", let equals = rest.firstIndex(of: "=") else { return nil }
            let name = String(rest[rest.index(after: rest.startIndex)..<equals])
            rest = rest[equals...].dropFirst()
            guard rest.first == "\"" else { return nil }
            rest = rest.dropFirst()
            guard let end = rest.firstIndex(of: "\""), let value = unescaped(rest[..<end]), found[name] == nil else {
                return nil
            }
            found[name] = value
            rest = rest[end...].dropFirst()
        }
        return found
    }

    private static func unescaped(_ text: Substring) -> String? {
        if text.contains("<") { return nil }
        let entities = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'"]
        let parts = text.split(separator: "&", omittingEmptySubsequences: false)
        return parts.dropFirst().reduce(parts.first.map(String.init)) { result, part in
            guard let result, let end = part.firstIndex(of: ";") else { return nil }
            let name = String(part[..<end])
            let number = name.hasPrefix("#") ? UInt32(name.dropFirst()).flatMap(Unicode.Scalar.init) : nil
            guard let value = entities[name] ?? number.flatMap({ isAllowed($0) ? String($0) : nil }) else { return nil }
            return result + value + part[end...].dropFirst()
        }
    }
}
