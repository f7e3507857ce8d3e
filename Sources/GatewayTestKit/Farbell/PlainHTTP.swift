package import Base

/// An answer of a server, as it came over the wire.
package struct PlainResponse: Sendable {
    package let status: Int
    package let headers: HTTPFields
    package let body: [UInt8]

    /// The body as text.
    package var text: String { String(decoding: body, as: UTF8.self) }
    /// The body as JSON; `null` when it is none.
    package var json: JSON { (try? JSONParser.parse(body)) ?? .null }
}

/// HTTP/1.1 by hand: one connection for each request. It shares no code with the product.
package enum PlainHTTP {
    /// Runs blocking work on a thread of its own.
    static func onThread<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            SystemThread.start(name: "test-http") { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    /// Sends a request and reads the answer to the end of the connection.
    /// - Parameter headers: beside `Host`, `Connection` and `Content-Length`.
    /// - Throws: `PeerError` when nobody listens or what comes is no HTTP.
    package static func send(
        _ method: String, _ target: String, port: Int, headers: HTTPFields = [:], body: [UInt8]? = nil
    ) async throws -> PlainResponse {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n"
        for field in headers.fields { head += "\(field.name): \(field.value)\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        let request = Array((head + "\r\n").utf8) + (body ?? [])
        return try await onThread {
            let socket = try LoopbackSocket(port: port)
            var refused: (any Error)?
            do {
                try socket.send(request)
            } catch {
                // A server may answer and close before it has read all of a body it does not want.
                refused = error
            }
            var bytes: [UInt8] = []
            do {
                while true {
                    let piece = try socket.receive()
                    if piece.isEmpty { break }
                    bytes += piece
                }
            } catch {
                if bytes.isEmpty { throw refused ?? error }
            }
            guard let response = parse(bytes) else {
                throw PeerError(.socket, "no HTTP answer: \(String(decoding: bytes.prefix(200), as: UTF8.self))")
            }
            return response
        }
    }

    /// Splits the head of a message into its first line and its fields; nil while it is not complete.
    static func head(_ bytes: [UInt8]) -> (first: String, headers: HTTPFields, end: Int)? {
        let mark = Array("\r\n\r\n".utf8)
        guard let start = bytes.indices.first(where: { bytes[$0...].starts(with: mark) }) else { return nil }
        let lines = String(decoding: bytes[..<start], as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first else { return nil }
        var headers = HTTPFields()
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            if parts.count == 2 { headers.append(String(parts[0]), String(parts[1]).trimmingSpace) }
        }
        return (String(first), headers, start + mark.count)
    }

    private static func parse(_ bytes: [UInt8]) -> PlainResponse? {
        guard let head = head(bytes) else { return nil }
        let words = head.first.split(separator: " ")
        guard words.count >= 2, let status = Int(words[1]) else { return nil }
        var body = Array(bytes[head.end...])
        if head.headers["Transfer-Encoding"]?.lowercased() == "chunked" {
            var decoder = ChunkDecoder()
            body = decoder.take(body)
        }
        return PlainResponse(status: status, headers: head.headers, body: body)
    }
}

/// Takes the chunks of a chunked body apart, in whatever pieces they come.
struct ChunkDecoder {
    private enum Place {
        case size
        case data(Int)
        case end
    }

    private var place = Place.size
    private var line: [UInt8] = []

    /// - Returns: the bytes of the body in this piece.
    mutating func take(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes[...]
        while let byte = rest.first {
            switch place {
            case .data(let left):
                let count = min(left, rest.count)
                result += rest.prefix(count)
                rest = rest.dropFirst(count)
                place = left == count ? .end : .data(left - count)
            case .end:
                // CR LF after the data.
                rest = rest.dropFirst()
                if byte == 0x0A { place = .size }
            case .size:
                rest = rest.dropFirst()
                if byte != 0x0A {
                    line.append(byte)
                    continue
                }
                let size = Int(String(decoding: line, as: UTF8.self).trimmingSpace, radix: 16) ?? 0
                line = []
                place = size > 0 ? .data(size) : .end
            }
        }
        return result
    }
}
