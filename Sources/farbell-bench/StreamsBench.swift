internal import Base
internal import CMicroHTTPD
internal import GatewayTestKit
internal import Glibc

/// `streams`: many connected streams, and how soon one event has reached each of them.
struct StreamsBench: Sendable {
    static let options: Set<String> = ["streams", "rounds", "threads"]
    private static let wakeBar = Duration.milliseconds(100)
    private static let memoryBar = 16.0

    private let count: Int
    private let rounds: Int
    private let threads: Int

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        count = max(1, try options.number("streams", 15_000, quick: 200))
        rounds = max(1, try options.number("rounds", 7, quick: 2))
        threads = try options.number("threads", 0, quick: 0)
    }

    /// - Returns: whether every event came and both bars were met.
    func run() async throws -> Bool {
        Report.begin("Farbell streams")
        let peer = try await PeerProcess(threads: threads)
        let before = try ProcessMeter.memory(of: peer.processID)
        let (count, rounds, port) = (count, rounds, peer.port)
        Report.progress("streams: connecting \(count)")
        let thread = WorkThread(name: "clients")
        defer { thread.stop() }
        let clients = try await thread.run { try StreamClients(count: count, port: port) }
        let opened = try ProcessMeter.memory(of: peer.processID)
        var rows: [[String]] = []
        var slowest: [Duration] = []
        for round in 1...rounds {
            let used = try ProcessMeter.processorTime(of: peer.processID)
            let own = try ProcessMeter.processorTime(of: getpid())
            let (sending, times) = try await thread.run { try clients.wake(port: port) }
            let ownAfter = try ProcessMeter.processorTime(of: getpid())
            let after = try ProcessMeter.processorTime(of: peer.processID)
            let wakes = Distribution(times)
            slowest.append(wakes.maximum)
            rows.append(
                ["\(round)", Report.decimal(sending.inSeconds * 1000, 1)] + wakes.cells
                    + [after - used, ownAfter - own].map { Report.decimal($0.inSeconds * 1000, 0) })
        }
        let woken = try ProcessMeter.memory(of: peer.processID)
        try await peer.stop()
        return report(rows, Distribution(slowest), before, opened, woken)
    }

    private func report(
        _ rows: [[String]], _ slowest: Distribution, _ before: ProcessMeter.Memory, _ opened: ProcessMeter.Memory,
        _ woken: ProcessMeter.Memory
    ) -> Bool {
        func each(_ memory: ProcessMeter.Memory) -> Double {
            Double(memory.exclusive - before.exclusive) / Double(count)
        }
        let isQuick = slowest.percentile(0.5) <= Self.wakeBar
        let isSmall = each(woken) <= Self.memoryBar
        Report.print("")
        Report.print(
            Report.table(
                ["round", "sent in ms", "p50 ms", "p95 ms", "p99 ms", "all ms", "server CPU ms", "clients CPU ms"], rows
            ))
        Report.print(
            "\(count) streams; all woken within \(Report.decimal(slowest.percentile(0.5).inSeconds * 1000, 1)) ms"
                + " (median of the rounds), bar 100 ms: \(Report.verdict(isQuick))")
        Report.print(
            "memory of the server's process for each stream: \(Report.decimal(each(opened), 2)) KiB when opened,"
                + " \(Report.decimal(each(woken), 2)) KiB after the rounds, bar 16 KiB: \(Report.verdict(isSmall))")
        return isQuick && isSmall
    }
}

/// Many clients of streams on one thread.
final class StreamClients: Sendable {
    private let sockets: [Int32]
    private let poll: Int32

    /// Connects them one after the other, and reads the head of each one's answer.
    /// - Throws: `BenchError`.
    init(count: Int, port: UInt16) throws {
        poll = epoll_create1(0)
        var sockets: [Int32] = []
        for number in 0..<count {
            let descriptor = try Self.connect(port)
            sockets.append(descriptor)
            try Self.send(descriptor, "GET /stream HTTP/1.1\r\nHost: bench\r\n\r\n")
            var buffer = [UInt8](repeating: 0, count: 1024)
            guard unsafe recv(descriptor, &buffer, buffer.count, 0) > 0, buffer.starts(with: "HTTP/1.1 200".utf8) else {
                throw BenchError("no stream: \(FileSystem.lastError)")
            }
            var event = unsafe epoll_event()
            unsafe event.events = UInt32(farbell_READABLE)
            unsafe event.data.u64 = UInt64(number)
            guard unsafe epoll_ctl(poll, EPOLL_CTL_ADD, descriptor, &event) == 0 else {
                throw BenchError("epoll: \(FileSystem.lastError)")
            }
        }
        self.sockets = sockets
    }

    deinit {
        for descriptor in sockets { close(descriptor) }
        close(poll)
    }

    /// Asks for one event to each.
    /// - Returns: how long the server was sending, and when each event came, counted from its beginning.
    /// - Throws: `BenchError`, also when some do not come.
    func wake(port: UInt16) throws -> (sending: Duration, times: [Duration]) {
        let control = try Self.connect(port)
        defer { close(control) }
        try Self.send(control, "POST /wake HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n")
        var times: [Duration] = []
        times.reserveCapacity(sockets.count)
        var events = unsafe [epoll_event](repeating: epoll_event(), count: 512)
        var buffer = [UInt8](repeating: 0, count: 1024)
        var begin: Int64?
        while times.count < sockets.count {
            let ready = unsafe epoll_wait(poll, &events, Int32(events.count), 10_000)
            if ready < 0 && errno == EINTR { continue }
            guard ready > 0 else { throw BenchError("only \(times.count) events came") }
            for index in 0..<Int(ready) {
                let descriptor = unsafe sockets[Int(events[index].data.u64)]
                let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
                guard count > 0 else { throw BenchError("a stream ended") }
                let now = MonotonicClock.nanoseconds
                // A ping has no id. Only one event is looked at closely: what the clients take, the server lacks.
                guard count > 4, buffer[4] == UInt8(ascii: "i") else { continue }
                begin = begin ?? Self.number(after: "data: ", in: buffer[..<count])
                times.append(.nanoseconds(now - (begin ?? now)))
            }
        }
        let count = unsafe recv(control, &buffer, buffer.count, 0)
        guard count > 0, let sending = Self.number(after: "\"nanoseconds\":", in: buffer[..<count]) else {
            throw BenchError("no answer to /wake")
        }
        return (.nanoseconds(sending), times)
    }

    private static func number(after word: String, in bytes: ArraySlice<UInt8>) -> Int64? {
        guard let range = bytes.firstRange(of: Array(word.utf8)) else { return nil }
        let digits = bytes[range.upperBound...].prefix { (48...57).contains($0) }
        return digits.isEmpty ? nil : digits.reduce(0) { $0 &* 10 &+ Int64($1 &- 48) }
    }

    private static func send(_ descriptor: Int32, _ text: String) throws {
        let bytes = Array(text.utf8)
        guard unsafe bytes.withUnsafeBytes({ unsafe Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }) > 0 else {
            throw BenchError("send: \(FileSystem.lastError)")
        }
    }

    private static func connect(_ port: UInt16) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else { throw BenchError("cannot connect: \(FileSystem.lastError)") }
        return descriptor
    }
}
