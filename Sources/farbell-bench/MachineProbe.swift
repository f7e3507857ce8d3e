internal import Base
internal import Cryptography
internal import GatewayTestKit
internal import Glibc

/// How punctual the machine itself is at the moment: below these times nothing can stay that runs on it.
enum MachineProbe {
    static let rounds = 300

    /// Time of all processors since the machine's start, in ticks.
    struct Ticks {
        fileprivate var all = 0
        /// What the machine under this one gave to others while programs here were ready to run (proc(5), `steal`).
        fileprivate var stolen = 0

        /// The share of the processors' time since `earlier` that was stolen, 0...1.
        func stolenShare(since earlier: Ticks) -> Double {
            let passed = all - earlier.all
            return passed > 0 ? Double(stolen - earlier.stolen) / Double(passed) : 0
        }
    }

    static var ticks: Ticks {
        let text = String(decoding: FileSystem.contents(of: "/proc/stat", limit: 1 << 20) ?? [], as: UTF8.self)
        // user, nice, system, idle, iowait, irq, softirq, steal; what follows is counted in the first already.
        let numbers = text.prefix { $0 != "\n" }.split(separator: " ").dropFirst().prefix(8).compactMap { Int($0) }
        return Ticks(all: numbers.reduce(0, +), stolen: numbers.count == 8 ? numbers[7] : 0)
    }

    /// How late a thread wakes that sleeps 10 ms, and how long syncing 4 KiB takes.
    /// - Throws: `BenchError` when the file cannot be written.
    static func run(rounds: Int = rounds) async throws -> (wake: Distribution, sync: Distribution) {
        try await WorkThread(name: "probe").run {
            let time = SystemTime()
            let folder = try TemporaryFolder()
            let file = unsafe open(folder.file("probe"), O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            defer { close(file) }
            let bytes = [UInt8](repeating: 0, count: 4096)
            var (late, syncs): ([Duration], [Duration]) = ([], [])
            for _ in 0..<rounds {
                let before = time.now
                usleep(10_000)
                let awake = time.now
                late.append(awake - before - .milliseconds(10))
                let count = unsafe bytes.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
                guard count == bytes.count, fdatasync(file) == 0 else {
                    throw BenchError("cannot sync a file: \(FileSystem.lastError)")
                }
                syncs.append(time.now - awake)
            }
            return (Distribution(late), Distribution(syncs))
        }
    }

    /// How long sealing one message for Web Push (RFC 8291) takes while every processor does nothing else: arithmetic
    /// that no sender can spare itself, and so a measure of how fast the machine is at the moment, stolen time and
    /// processors that share a core included.
    /// - Parameter time: for how long it is tried.
    /// - Throws: `CryptographyError`.
    static func sealing(for time: Duration = .milliseconds(200)) async throws -> Duration {
        let key = try AgreementKey.generate().publicKey
        let secret = try SecureRandom.bytes(WebPushEncryption.authSize)
        let text = [UInt8](repeating: 97, count: 200)
        return try await withThrowingTaskGroup(of: Duration.self) { group in
            let processors = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
            for _ in 0..<processors {
                group.addTask {
                    try await WorkThread(name: "probe").run {
                        let clock = SystemTime()
                        let begin = clock.now
                        var count = 0
                        while clock.now - begin < time {
                            _ = try WebPushEncryption.encrypt(text, p256dh: key, auth: secret)
                            count += 1
                        }
                        return (clock.now - begin) / count
                    }
                }
            }
            return try await group.reduce(.zero, +) / processors
        }
    }
}
