internal import Base
internal import GatewayTestKit
internal import Glibc

/// A named pipe that other programs write lines to; each line gets the moment it arrived at.
final class LineClock: Sendable {
    let path: String
    private let lines = Locked<[(line: String, at: Moment)]>([])

    /// - Throws: `BenchError` when the pipe cannot be made.
    init(at path: String) throws {
        self.path = path
        guard unsafe mkfifo(path, 0o666) == 0 else { throw BenchError("cannot make \(path): \(FileSystem.lastError)") }
        // Open for both, so that the pipe does not end with the first program that closes it.
        let descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw BenchError("cannot open \(path): \(FileSystem.lastError)") }
        let lines = lines
        SystemThread.start(name: "line-clock") { Self.read(descriptor, lines) }
    }

    /// Writing this line ends the thread.
    private static let ending = "line-clock ends"

    private static func read(_ descriptor: Int32, _ lines: Locked<[(line: String, at: Moment)]>) {
        let time = SystemTime()
        var rest: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            let now = time.now
            rest.append(contentsOf: chunk[0..<count])
            while let end = rest.firstIndex(of: 10) {
                let line = String(decoding: rest[..<end], as: UTF8.self)
                rest.removeSubrange(...end)
                if line == Self.ending {
                    close(descriptor)
                    return
                }
                lines.withLock { $0.append((line, now)) }
            }
        }
        close(descriptor)
    }

    /// All lines so far.
    var all: [(line: String, at: Moment)] { lines.withLock { $0 } }

    deinit {
        let descriptor = unsafe open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        let bytes = Array("\(Self.ending)\n".utf8)
        _ = unsafe bytes.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
    }
}
