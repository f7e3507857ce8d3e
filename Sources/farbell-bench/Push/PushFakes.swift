internal import Base
internal import GatewayTestKit

/// The fake push services in their own process, and what is asked of them.
final class PushFakes: Sendable {
    let apns: String
    let dead: String
    let webPush: String
    let hook: String
    let caFile: String
    let keyFile: String
    let subscriptionsFile: String
    /// One for each device.
    let subscriptions: [[String]]
    let processID: Int32
    private let folder: TemporaryFolder
    private let child: ChildProcess
    private let tag = Locked(0)

    /// How long nothing may arrive before a wait ends, in seconds.
    static let silence = 10

    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(devices: Int) async throws {
        folder = try TemporaryFolder()
        child = try await ChildProcess(
            BenchPaths.program, ["push-peer", "--folder", folder.path, "--devices", "\(devices)"])
        processID = child.processID
        let line = try await child.waitForLine("the fakes' ports", deadline: .seconds(60)) { $0.hasPrefix("ready ") }
        let places = try JSONParser.parse(String(line.dropFirst(6)))
        func place(_ name: String) throws -> String {
            guard let text = places[name]?.string else { throw BenchError("the fakes do not name \(name)") }
            return text
        }
        (apns, dead, webPush) = (try place("apns"), try place("dead"), try place("webPush"))
        (hook, caFile) = (try place("hook"), try place("caFile"))
        (keyFile, subscriptionsFile) = (folder.file("apns.p8"), folder.file("subscriptions"))
        guard let bytes = FileSystem.contents(of: subscriptionsFile, limit: 1 << 26) else {
            throw BenchError("there are no subscriptions: \(FileSystem.lastError)")
        }
        subscriptions = bytes.split(separator: 10)
            .map { $0.split(separator: 32).map { String(decoding: $0, as: UTF8.self) } }
    }

    func stop() async {
        child.closeInput()
        do {
            try await child.waitForExit(deadline: .seconds(20))
        } catch {
            child.kill()
        }
    }

    private func ask(_ command: String, deadline: Duration = .seconds(60)) async throws -> String {
        let tag = tag.withLock { tag in
            tag += 1
            return "t\(tag) "
        }
        try child.write("\(tag)\(command)\n")
        return try await String(
            child.waitForLine(command, deadline: deadline) { $0.hasPrefix(tag) }.dropFirst(tag.count))
    }

    /// Forgets what has arrived.
    func clear() async throws { _ = try await ask("clear") }
    /// Has the Web Push service decrypt every so many messages only.
    func open(every count: Int) async throws { _ = try await ask("open \(count)") }

    /// Waits until so many have arrived at a service, or none comes any more.
    func wait(_ service: PushService, count: Int) async throws -> Int {
        Int(try await ask("wait \(service.rawValue) \(count) \(Self.silence)", deadline: .seconds(1200))) ?? 0
    }

    /// What has arrived at a service, in order.
    func arrivals(_ service: PushService) async throws -> [PushArrival] {
        let path = folder.file("arrivals")
        _ = try await ask("dump \(path)")
        guard let bytes = FileSystem.contents(of: path, limit: 1 << 28) else {
            throw BenchError("there are no arrivals: \(FileSystem.lastError)")
        }
        return Self.numbers(bytes, columns: 3).compactMap { row in
            row[0] == service.rawValue
                ? PushArrival(service: Int(row[0]), number: Int(row[1]), at: row[2]) : nil
        }
    }

    /// Whole numbers in lines, so many in each.
    static func numbers(_ bytes: [UInt8], columns: Int) -> [[Int64]] {
        var rows: [[Int64]] = []
        var (row, value, isNegative, hasDigits): ([Int64], Int64, Bool, Bool) = ([], 0, false, false)
        for byte in bytes + [10] {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                (value, hasDigits) = (value * 10 + Int64(byte - UInt8(ascii: "0")), true)
            case UInt8(ascii: "-"): isNegative = true
            default:
                if hasDigits { row.append(isNegative ? -value : value) }
                (value, isNegative, hasDigits) = (0, false, false)
                if byte == 10 {
                    if row.count == columns { rows.append(row) }
                    row = []
                }
            }
        }
        return rows
    }
}
