internal import Base
internal import Glibc

/// Memory and processor time of a running process, out of /proc.
enum ProcessMeter {
    struct Memory: Sendable {
        /// Resident, in KiB.
        var resident = 0
        /// Resident and shared with no other process, in KiB.
        var exclusive = 0

        static func + (a: Memory, b: Memory) -> Memory {
            Memory(resident: a.resident + b.resident, exclusive: a.exclusive + b.exclusive)
        }
    }

    /// - Throws: `BenchError` when there is no such process.
    static func memory(of process: Int32) throws -> Memory {
        var memory = Memory()
        for line in try text("/proc/\(process)/smaps_rollup").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 2, let number = Int(words[1]) else { continue }
            switch words[0] {
            case "Rss:": memory.resident = number
            case "Private_Clean:", "Private_Dirty:": memory.exclusive += number
            default: break
            }
        }
        guard memory.resident > 0 else { throw BenchError("process \(process) has no memory: it has ended") }
        return memory
    }

    /// User and system time so far, of a process or of one of its threads.
    /// - Throws: `BenchError` when there is no such process.
    static func processorTime(of process: Int32, thread: Int32? = nil) throws -> Duration {
        let text = try text("/proc/\(process)\(thread.map { "/task/\($0)" } ?? "")/stat")
        // The second field is the name in parentheses, which may hold spaces; the 14th and 15th are the times.
        guard let end = text.lastIndex(of: ")") else { throw BenchError("process \(process) cannot be read") }
        let words = text[text.index(after: end)...].split(separator: " ")
        guard words.count > 12, let user = Int64(words[11]), let system = Int64(words[12]) else {
            throw BenchError("process \(process) cannot be read")
        }
        return .milliseconds((user + system) * 1000 / Int64(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// What of one core a process uses while `body` runs.
    /// - Throws: `BenchError` when there is no such process; what `body` throws.
    static func share(
        of process: Int32, _ time: any TimeSource, _ body: () async throws -> Void
    ) async throws -> Double {
        let before = try processorTime(of: process)
        let begin = time.now
        try await body()
        let used = try processorTime(of: process) - before
        return used.inSeconds / (time.now - begin).inSeconds
    }

    /// The same of a process, those it started, and those of them that have ended; what cannot be read counts nothing.
    static func treeTime(of process: Int32) -> Duration {
        var sum = Duration.zero
        if let text = try? text("/proc/\(process)/stat"), let end = text.lastIndex(of: ")") {
            // After user and system time those of children that were waited for.
            let ticks = text[text.index(after: end)...].split(separator: " ").dropFirst(11).prefix(4)
            let count = ticks.compactMap { Int64($0) }.reduce(0, +)
            sum = .milliseconds(count * 1000 / Int64(sysconf(Int32(_SC_CLK_TCK))))
        }
        return children(of: process).reduce(sum) { $0 + treeTime(of: $1) }
    }

    /// Direct children of a process.
    static func children(of process: Int32) -> [Int32] {
        guard let bytes = FileSystem.contents(of: "/proc/\(process)/task/\(process)/children", limit: 65_536) else {
            return []
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
    }

    /// The load average of the last minute, and the processor's name, for the head of a report.
    static var machine: String {
        let load =
            FileSystem.contents(of: "/proc/loadavg", limit: 4096)
            .map { String(decoding: $0, as: UTF8.self).split(separator: " ").first.map(String.init) ?? "?" } ?? "?"
        let model = FileSystem.contents(of: "/proc/cpuinfo", limit: 1 << 20).flatMap { bytes in
            String(decoding: bytes, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("model name") }
                .flatMap { $0.split(separator: ":").last.map { String($0.drop(while: { $0 == " " })) } }
        }
        let cores = sysconf(Int32(_SC_NPROCESSORS_ONLN))
        return "\(cores) cores of \(model ?? "unknown make"), load average \(load) at the start"
    }

    private static func text(_ path: String) throws -> String {
        guard let bytes = FileSystem.contents(of: path, limit: 1 << 20) else {
            throw BenchError("cannot read \(path): \(FileSystem.lastError)")
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
