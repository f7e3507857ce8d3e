internal import Base
internal import FoundationEssentials
internal import Glibc

/// What this process uses of the machine, read from `/proc`; nil where the system does not say.
package struct ProcessUsage: Sendable {
    package let residentBytes: Int?
    package let cpuSeconds: Double?
    package let openDescriptors: Int?

    /// Reads the numbers now.
    package static func now() -> ProcessUsage {
        ProcessUsage(
            memory: text("/proc/self/statm"), processor: text("/proc/self/stat"),
            pageBytes: sysconf(Int32(_SC_PAGESIZE)),
            ticksPerSecond: sysconf(Int32(_SC_CLK_TCK)),
            openDescriptors: try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count)
    }

    /// - Parameters:
    ///   - memory: the text of `statm` (proc(5)): the second number is the resident size in pages.
    ///   - processor: the text of `stat`: after the name in parentheses, which may have spaces, the 12th and 13th
    ///     field are the user and system time in ticks.
    init(memory: String?, processor: String?, pageBytes: Int, ticksPerSecond: Int, openDescriptors: Int?) {
        let pages = memory.flatMap { $0.split(separator: " ").dropFirst().first }.flatMap { Int($0) }
        residentBytes = pages.map { $0 * pageBytes }
        let afterName = processor.flatMap { text in
            text.lastIndex(of: ")").map { text[text.index(after: $0)...].split(separator: " ") }
        }
        if let fields = afterName, fields.count > 12, let user = Int(fields[11]), let system = Int(fields[12]),
            ticksPerSecond > 0
        {
            cpuSeconds = Double(user + system) / Double(ticksPerSecond)
        } else {
            cpuSeconds = nil
        }
        self.openDescriptors = openDescriptors
    }

    private static func text(_ path: String) -> String? {
        FileSystem.contents(of: path, limit: 4096).map { String(decoding: $0, as: UTF8.self) }
    }
}
