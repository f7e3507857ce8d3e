internal import Base
internal import Glibc

/// Where the other parts lie: the gateway beside this program, the scripts in the repository.
enum BenchPaths {
    /// This program's own path.
    static let program: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = unsafe readlink("/proc/self/exe", &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }()

    /// The gateway's program.
    /// - Throws: `BenchError` when it was not built.
    static func gateway() throws -> String { try sibling("farbell") }

    /// The load client of `queue`.
    /// - Throws: `BenchError` when it was not built.
    static func load() throws -> String { try sibling("farbell-load") }

    /// What a put takes without a queue.
    /// - Throws: `BenchError` when it was not built.
    static func floor() throws -> String { try sibling("farbell-floor") }

    private static func sibling(_ name: String) throws -> String {
        let path = "\(FileSystem.folder(of: program))/\(name)"
        guard FileSystem.exists(path) else {
            throw BenchError("there is no \(path): build the product '\(name)' too, as Scripts/bench does")
        }
        return path
    }

    /// A file under `Scripts/bench.d`.
    static func script(_ name: String) -> String { "\(root)/Scripts/bench.d/\(name)" }
    /// The interpreter of the private Python environment, which `Scripts/bench.d/setup` makes.
    static var python: String { "\(root)/.venv/bench/bin/python" }

    private static var root: String {
        guard let marker = program.firstRange(of: "/.build/") else { return "." }
        return String(program[..<marker.lowerBound])
    }

    /// Whether a program is on the PATH.
    static func has(_ name: String) -> Bool {
        let folders = unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? "/usr/bin:/bin"
        return folders.split(separator: ":").contains { FileSystem.exists("\($0)/\(name)") }
    }
}
