internal import Base
internal import Glibc

/// Reads the terminal's event stream, as a small device would: plain sockets, one thread.
final class DemoStream: Sendable {
    struct Event: Sendable {
        let number: String
        let name: String
        let data: JSON
    }

    private let events: AsyncStream<Event>
    /// nil once the reader has closed it: the number may then be somebody else's.
    private let descriptor: Locked<Int32?>

    /// - Throws: `DaemonError` when the gateway does not answer.
    init(port: Int, token: Secret) throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        let request = Array(
            "GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer \(token.exposed)\r\n\r\n".utf8)
        guard status == 0,
            unsafe request.withUnsafeBytes({ unsafe write(descriptor, $0.baseAddress, $0.count) }) == request.count
        else {
            close(descriptor)
            throw DaemonError(.unavailable, "the gateway's stream cannot be opened: \(FileSystem.lastError)")
        }
        let (events, sink) = AsyncStream<Event>.makeStream()
        let open = Locked<Int32?>(descriptor)
        (self.events, self.descriptor) = (events, open)
        SystemThread.start(name: "demo-stream") {
            Self.read(descriptor, into: sink)
            open.withLock { $0 = nil }
            close(descriptor)
            sink.finish()
        }
    }

    deinit { descriptor.withLock { if let descriptor = $0 { _ = shutdown(descriptor, Int32(SHUT_RDWR)) } } }

    /// The next event of a name, passing over others.
    func next(_ name: String) async throws -> Event {
        for await event in events where event.name == name { return event }
        throw DaemonError(.unavailable, "the gateway's stream ended")
    }

    private static func read(_ descriptor: Int32, into sink: AsyncStream<Event>.Continuation) {
        var line: [UInt8] = []
        var (number, name) = ("", "")
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            for byte in chunk[0..<count] {
                guard byte == 0x0A else {
                    line.append(byte)
                    continue
                }
                let text = String(decoding: line, as: UTF8.self).trimmingSpace
                line = []
                // Chunk sizes and header lines have none of these beginnings and are passed over.
                if text.hasPrefix("id:") { number = String(text.dropFirst(3)).trimmingSpace }
                if text.hasPrefix("event:") { name = String(text.dropFirst(6)).trimmingSpace }
                if text.hasPrefix("data:"), let data = try? JSONParser.parse(String(text.dropFirst(5))) {
                    sink.yield(Event(number: number, name: name, data: data))
                }
            }
        }
    }
}
