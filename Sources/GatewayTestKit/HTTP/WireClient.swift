package import Base
internal import Glibc

/// An answer as it came over the wire.
package struct WireResponse: Sendable {
    package var status: Int
    package var headers: HTTPFields
    package var body: [UInt8]
    package var text: String { String(decoding: body, as: UTF8.self) }
    /// null where the body is no JSON.
    package var json: JSON { (try? JSONParser.parse(body)) ?? .null }
}

/// What a `WireClient` met instead of an answer.
package struct WireError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// A blocking HTTP/1.1 client over one socket on loopback: it shows what HTTP libraries hide. Every read has a deadline.
package final class WireClient {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    private var isClosed = false

    package init(port: UInt16, address: String = "127.0.0.1", receiveBuffer: Int32? = nil, seconds: Int = 20) throws {
        let isSix = address.contains(":")
        descriptor = socket(isSix ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { throw WireError("socket: \(FileSystem.lastError)") }
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if var receiveBuffer {
            unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, 4)
        }
        let status: Int32
        if isSix {
            var six = sockaddr_in6()
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            unsafe inet_pton(AF_INET6, address, &six.sin6_addr)
            status = unsafe withUnsafePointer(to: &six) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        } else {
            var four = sockaddr_in()
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            unsafe inet_pton(AF_INET, address, &four.sin_addr)
            status = unsafe withUnsafePointer(to: &four) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard status == 0 else { throw WireError("connect: \(FileSystem.lastError)") }
    }

    deinit { hangUp() }

    /// Closes the socket.
    package func hangUp() {
        if !isClosed { close(descriptor) }
        isClosed = true
    }

    /// Sends all; false when the other end does not take it.
    @discardableResult
    package func send(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return false }
            rest = rest.dropFirst(count)
        }
        return true
    }

    /// The same in UTF-8.
    @discardableResult
    package func send(_ text: String) -> Bool { send(Array(text.utf8)) }

    /// Reads what is there, at least one byte; false at the end of the connection.
    private func fill() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        if count < 0 && errno == EAGAIN { throw WireError("nothing came in time; so far: \(shown)") }
        if count <= 0 { return false }
        buffer.append(contentsOf: chunk[0..<count])
        return true
    }

    private var shown: String { String(decoding: buffer.prefix(300), as: UTF8.self) }

    /// Reads up to and without `end`.
    package func read(until end: String) throws -> String {
        let end = Array(end.utf8)
        var start = 0
        while true {
            while start + end.count <= buffer.count {
                if buffer[start..<start + end.count].elementsEqual(end) {
                    let text = String(decoding: buffer[0..<start], as: UTF8.self)
                    buffer.removeFirst(start + end.count)
                    return text
                }
                start += 1
            }
            if try !fill() { throw WireError("the connection ended; so far: \(shown)") }
        }
    }

    /// Reads so many bytes.
    package func read(count: Int) throws -> [UInt8] {
        while buffer.count < count {
            if try !fill() { throw WireError("the connection ended; so far: \(shown)") }
        }
        defer { buffer.removeFirst(count) }
        return Array(buffer.prefix(count))
    }

    /// Reads to the end of the connection.
    package func readToEnd() throws -> [UInt8] {
        while try fill() {}
        defer { buffer = [] }
        return buffer
    }

    /// Reads the head of an answer.
    package func readHead() throws -> WireResponse {
        let lines = try read(until: "\r\n\r\n").split(separator: "\r\n")
        guard let first = lines.first, let status = Int(first.split(separator: " ")[1]) else {
            throw WireError("no status line")
        }
        var headers = HTTPFields()
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            headers.append(String(parts[0]), String(parts[1]).trimmingSpace)
        }
        return WireResponse(status: status, headers: headers, body: [])
    }

    /// Sends a request and reads the head of its answer.
    package func head(
        _ method: String, _ target: String, headers: [String] = [], body: [UInt8]? = nil
    ) throws
        -> WireResponse
    {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: test\r\n"
        for header in headers { head += header + "\r\n" }
        if let body { head += "Content-Length: \(body.count)\r\n" }
        send(Array((head + "\r\n").utf8) + (body ?? []))
        return try readHead()
    }

    /// Reads an answer with a length.
    package func readResponse(hasBody: Bool = true) throws -> WireResponse {
        try withBody(readHead(), hasBody)
    }

    private func withBody(_ head: WireResponse, _ hasBody: Bool) throws -> WireResponse {
        var response = head
        if hasBody, let length = response.headers["Content-Length"].flatMap({ Int($0) }) {
            response.body = try read(count: length)
        }
        return response
    }

    /// One chunk of a chunked answer; empty at the end.
    package func readChunk() throws -> [UInt8] {
        guard let size = Int(try read(until: "\r\n"), radix: 16) else { throw WireError("no chunk") }
        let bytes = try read(count: size)
        _ = try read(until: "\r\n")
        return bytes
    }

    /// Sends a request and reads its answer.
    package func call(
        _ method: String, _ target: String, headers: [String] = [], body: [UInt8]? = nil
    ) throws
        -> WireResponse
    {
        try withBody(head(method, target, headers: headers, body: body), method != "HEAD")
    }

    /// Opens a stream and reads the head of its answer.
    package func openStream(_ target: String = "/stream") throws -> WireResponse { try head("GET", target) }

    /// Collects chunks until their text contains `end`.
    package func readStream(until end: String) throws -> String {
        var text = ""
        while !text.contains(end) {
            let chunk = try readChunk()
            if chunk.isEmpty { throw WireError("the stream ended; so far: \(text)") }
            text += String(decoding: chunk, as: UTF8.self)
        }
        return text
    }
}

/// Runs blocking client code off the cooperative pool.
package func onThread<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    let thread = WorkThread(name: "client")
    defer { thread.stop() }
    return try await thread.run(body)
}
