import Base
import Glibc

/// A blocking HTTP/1.1 client over one socket on loopback. Every read has a deadline.
final class SocketClient {
    struct Fault: Error, CustomStringConvertible {
        let description: String
    }

    struct Answer: Sendable {
        let status: Int
        var headers = HTTPFields()
        var body: [UInt8] = []
        var text: String { String(decoding: body, as: UTF8.self) }
        var json: JSON { (try? JSONParser.parse(body)) ?? .null }
    }

    private let descriptor: Int32
    private var buffer: [UInt8] = []

    init(port: UInt16, seconds: Int = 20) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard descriptor >= 0, status == 0 else { throw Fault(description: "connect: \(FileSystem.lastError)") }
    }

    deinit { close(descriptor) }

    private func send(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Fault(description: "send: \(FileSystem.lastError)") }
            rest = rest.dropFirst(count)
        }
    }

    private func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else {
            throw Fault(
                description: "no more came: \(FileSystem.lastError); so far \(String(decoding: buffer, as: UTF8.self))")
        }
        buffer += chunk[..<count]
    }

    /// Reads up to and with a text.
    func read(through end: String) throws -> String {
        while true {
            if let range = buffer.firstRange(of: Array(end.utf8)) {
                defer { buffer.removeFirst(range.upperBound) }
                return String(decoding: buffer[..<range.upperBound], as: UTF8.self)
            }
            try fill()
        }
    }

    /// Sends a request and reads the head of the answer.
    func head(_ method: String, _ target: String, headers: [String] = [], body: [UInt8]? = nil) throws -> Answer {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: test\r\n" + headers.map { $0 + "\r\n" }.joined()
        if let body { head += "Content-Length: \(body.count)\r\n" }
        try send(Array((head + "\r\n").utf8) + (body ?? []))
        let lines = try read(through: "\r\n\r\n").split(separator: "\r\n")
        guard let status = lines.first?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw Fault(description: "no status line")
        }
        var answer = Answer(status: status)
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1).map { String($0).trimmingSpace }
            if parts.count == 2 { answer.headers.append(parts[0], parts[1]) }
        }
        return answer
    }

    /// Sends a request and reads the answer.
    func call(_ method: String, _ target: String, headers: [String] = [], body: [UInt8]? = nil) throws -> Answer {
        var answer = try head(method, target, headers: headers, body: body)
        let length = answer.headers["Content-Length"].flatMap { Int($0) } ?? 0
        while buffer.count < length { try fill() }
        answer.body = Array(buffer.prefix(length))
        buffer.removeFirst(length)
        return answer
    }
}
