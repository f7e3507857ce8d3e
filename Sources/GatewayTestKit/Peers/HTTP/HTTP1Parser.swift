package import Base

/// Cuts a stream of bytes into HTTP/1.1 requests (RFC 9112).
package struct HTTP1Parser {
    package struct Head: Sendable {
        package var method: String
        package var path: String
        package var headers: HTTPFields
    }

    package enum Event: Sendable {
        case incomplete
        /// The client waits for `100 Continue` before it sends the body.
        case expectsContinue
        case request(Head, body: [UInt8])
        case malformed
    }

    /// Longer heads are malformed.
    private static let headLimit = 65_536

    private var bytes: [UInt8] = []
    private var start = 0
    private var head: Head?
    private var body: [UInt8] = []
    private var continued = false

    package init() {}

    package mutating func feed(_ more: [UInt8]) {
        if start == bytes.count {
            (bytes, start) = (more, 0)
        } else {
            bytes.append(contentsOf: more)
        }
    }

    /// The next complete request, if it is there. Bodies longer than `bodyLimit` are malformed.
    package mutating func next(bodyLimit: Int) -> Event {
        if head == nil {
            guard let end = endOfHead() else { return bytes.count - start > Self.headLimit ? .malformed : .incomplete }
            guard let parsed = Self.parseHead(bytes[start..<end]) else { return .malformed }
            (head, start, body, continued) = (parsed, end + 4, [], false)
        }
        guard let head else { return .incomplete }
        if head.headers["Transfer-Encoding"]?.lowercased() == "chunked" {
            return nextChunks(head, bodyLimit)
        }
        let length = head.headers["Content-Length"].map { Int($0) ?? -1 } ?? 0
        if length < 0 || length > bodyLimit { return .malformed }
        if bytes.count - start < length { return waiting(head) }
        let content = Array(bytes[start..<start + length])
        start += length
        self.head = nil
        return .request(head, body: content)
    }

    private mutating func waiting(_ head: Head) -> Event {
        if !continued, head.headers["Expect"]?.lowercased() == "100-continue" {
            continued = true
            return .expectsContinue
        }
        return .incomplete
    }

    private mutating func nextChunks(_ head: Head, _ bodyLimit: Int) -> Event {
        while true {
            guard let lineEnd = endOfLine(from: start) else { return waiting(head) }
            let text = String(decoding: bytes[start..<lineEnd].prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
            guard let size = Int(text, radix: 16), size >= 0, body.count + size <= bodyLimit else { return .malformed }
            // The chunk and its line end; after the last chunk an empty line (trailers are not taken).
            let next = lineEnd + 2 + size + 2
            guard bytes.count >= next else { return waiting(head) }
            guard bytes[next - 2] == 13, bytes[next - 1] == 10 else { return .malformed }
            body.append(contentsOf: bytes[lineEnd + 2..<lineEnd + 2 + size])
            start = next
            if size == 0 {
                self.head = nil
                return .request(head, body: body)
            }
        }
    }

    private func endOfLine(from index: Int) -> Int? {
        var place = index
        while place + 1 < bytes.count {
            if bytes[place] == 13, bytes[place + 1] == 10 { return place }
            place += 1
        }
        return nil
    }

    private func endOfHead() -> Int? {
        var place = start
        while let end = endOfLine(from: place) {
            if end + 3 < bytes.count, bytes[end + 2] == 13, bytes[end + 3] == 10 { return end }
            place = end + 2
        }
        return nil
    }

    private static func parseHead(_ bytes: ArraySlice<UInt8>) -> Head? {
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\r\n", omittingEmptySubsequences: false)
        let parts = lines[0].split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[2] == "HTTP/1.1" || parts[2] == "HTTP/1.0", !parts[1].isEmpty else { return nil }
        var headers = HTTPFields()
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":"), colon != line.startIndex else { return nil }
            headers.append(String(line[..<colon]), String(line[line.index(after: colon)...]).trimmingSpace)
        }
        return Head(method: String(parts[0]), path: String(parts[1]), headers: headers)
    }
}
