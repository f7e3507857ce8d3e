internal import Base
internal import Gateway
internal import GatewayAPI

/// Writes a `stats` line now and then, so that the log alone shows how the gateway does.
struct StatsReporter: Service {
    let name = "stats"
    private let gateway: Gateway
    private let interval: Duration
    private let log: Log
    private let stopped = ShutdownSignal()

    init(gateway: Gateway, interval: Duration, log: Log) {
        (self.gateway, self.interval, self.log) = (gateway, interval, log)
    }

    func run() async throws {
        guard interval > .zero else {
            await stopped.wait()
            return
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while (try? await gateway.time.sleep(for: interval)) != nil {
                    log.info(.stats, "How the gateway does", fields())
                }
            }
            group.addTask { await stopped.wait() }
            await group.next()
            group.cancelAll()
        }
    }

    func beginShutdown() { stopped.raise() }

    private func fields() -> LogFields {
        let messages = gateway.mailroom.totals
        var fields: LogFields = [
            "sessions": .count(gateway.sessions.count), "streams": .count(gateway.streams.count),
            "openMessages": .count(messages.open), "lockedMessages": .count(messages.locked),
            "deadMessages": .count(messages.dead), "announcing": .count(gateway.notifier.pendingCount),
        ]
        let monitors = gateway.monitors.counts()
        for state in SupervisorMachine.State.allCases {
            fields.append("monitors.\(state.rawValue)", .count(monitors[state] ?? 0))
        }
        let (overdue, age) = gateway.monitors.oldest()
        fields.append("monitors.overdue", .count(overdue))
        fields.append("monitors.oldestSuccessMilliseconds", .milliseconds(age))
        for lane in gateway.dispatcher.statistics() {
            fields.append("push.\(lane.lane).waiting", .count(lane.waiting))
            fields.append("push.\(lane.lane).underWay", .count(lane.underWay))
            fields.append("push.\(lane.lane).open", .bool(lane.isOpen))
        }
        for callback in gateway.callbacks.statistics() {
            fields.append("callback.\(callback.app).inHand", .count(callback.inHand))
            fields.append("callback.\(callback.app).ready", .bool(callback.isProven && !callback.isOpen))
        }
        for bridge in gateway.bridges.statistics() {
            fields.append("bridge.\(bridge.name).connected", .bool(bridge.isConnected))
        }
        let usage = ProcessUsage.now()
        if let cpu = usage.cpuSeconds { fields.append("cpuMilliseconds", .integer(Int64(cpu * 1000))) }
        if let resident = usage.residentBytes { fields.append("residentKiB", .count(resident / 1024)) }
        if let open = usage.openDescriptors { fields.append("descriptors", .count(open)) }
        return fields
    }
}
