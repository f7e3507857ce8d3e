internal import Base
internal import GatewayTestKit
internal import Glibc

/// One of the queues, running on a port and in a folder of its own; it can be stopped and started again.
final class QueueServer: Sendable {
    let peer: QueuePeer
    let place: QueuePlace
    private let child: Locked<ChildProcess?>

    /// Makes its folder and starts it.
    /// - Throws: `BenchError`, `PeerError`, `DeadlineMissed`.
    init(_ peer: QueuePeer, hurries: Bool = false) async throws {
        self.peer = peer
        child = Locked(nil)
        place = try await QueuePlace(peer)
        try await start(hurries: hurries)
        _ = try await QueueLoad.run(self, "ready", ["--seconds", "60"])
    }

    /// - Parameter hurries: does not sync, for those that can.
    /// - Returns: nanoseconds of the system's monotonic clock, which the load client reads too, before the start.
    @discardableResult
    func start(hurries: Bool = false) async throws -> Int64 {
        let command = try place.command(hurries: hurries)
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        let begin = Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
        let started = try await ChildProcess(
            command.program, command.arguments,
            .init(environment: command.environment, workingFolder: nil))
        child.withLock { $0 = started }
        return begin
    }

    /// Asks it to end in good order and waits.
    func stop() async {
        guard let running = child.withLock({ $0 }) else { return }
        running.send(peer == .postgresql || peer == .postgresqlOpen ? SIGINT : SIGTERM)
        do {
            try await running.waitForExit(deadline: .seconds(60))
        } catch {
            Report.progress("queue: \(peer.rawValue) did not end in time and is killed: \(lastWords)")
            running.kill()
        }
        child.withLock { $0 = nil }
    }

    /// Processor time of all its processes so far, those that ended included.
    func processorTime() throws -> Duration {
        guard let running = child.withLock({ $0 }) else { return .zero }
        if let exit = running.exit { throw BenchError("\(peer.rawValue) ended (\(exit)): \(lastWords)") }
        return ProcessMeter.treeTime(of: running.processID)
    }

    var lastWords: String {
        let running = child.withLock { $0 }
        let said = (running?.output ?? []) + (running?.errors ?? [])
        return (said + place.log).suffix(5).joined(separator: "; ")
    }

    /// Whether its programs are installed.
    static func isInstalled(_ peer: QueuePeer) -> Bool {
        switch peer {
        case .farbell, .floor: true
        case .beanstalkd: BenchPaths.has("beanstalkd")
        case .redis: BenchPaths.has("redis-server")
        case .rabbitmq: FileSystem.exists(QueuePlace.rabbitmq) && BenchPaths.has("epmd")
        case .postgresql, .postgresqlOpen: QueuePlace.postgresql != nil
        }
    }
}
