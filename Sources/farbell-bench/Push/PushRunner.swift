internal import Base
internal import GatewayTestKit
internal import Outbound

/// The single runs of Farbell: each with a store of its own.
struct PushRunner: Sendable {
    let devices: Int
    let fakes: PushFakes
    let http: HTTPClient

    /// Messages that were accepted while no service was configured, sent by a gateway that finds them in its store.
    func drain(_ count: Int, _ service: PushService) async throws -> PushFigure {
        let gateway = try await PushFarbell(service, devices: devices, fakes)
        try await gateway.start(sends: false)
        _ = try await PushLoad(gateway: gateway, http: http).putAll(count, at: service)
        await gateway.stop()
        try await fakes.clear()
        var conditions = try await PushConditions()
        try await gateway.start(sends: true, waits: false)
        _ = try await fakes.wait(service, count: count)
        conditions.end()
        var figure = PushFigure(who: "Farbell", source: "its store, after a start", sent: count)
        figure.conditions = conditions
        figure.count(try await fakes.arrivals(service))
        // All of it is this run's, the start included.
        let used = try ProcessMeter.processorTime(of: gateway.processID)
        figure.processor = used.inSeconds * 1e6 / Double(max(1, figure.arrived))
        figure.memory = try ProcessMeter.memory(of: gateway.processID).resident
        figure.remark = await finish(gateway)
        return figure
    }

    /// Messages that come through HTTP and are pushed meanwhile.
    /// - Parameter dead: so many stand before a service that hangs, before the first of the others comes.
    func live(_ count: Int, _ service: PushService, dead: Int = 0) async throws -> PushFigure {
        let (gateway, load) = try await warm(service, dead: dead)
        var conditions = try await PushConditions()
        let meter = try PushMeter(gateway.processID)
        let begin = MonotonicClock.nanoseconds
        let times = try await load.putAll(count, at: service)
        _ = try await fakes.wait(service, count: count)
        conditions.end()
        var figure = PushFigure(who: "Farbell", source: "HTTP, stored", sent: count)
        figure.conditions = conditions
        figure.count(try await fakes.arrivals(service), begin: begin, times: times)
        try meter.read(into: &figure)
        figure.remark = await finish(gateway, hangs: dead > 0)
        return figure
    }

    /// Messages at a steady rate.
    /// - Parameter dead: so many stand before a service that hangs, and as many as to the other come to it beside.
    func steady(_ count: Int, perSecond: Int, _ service: PushService, dead: Int = 0) async throws -> PushFigure {
        let (gateway, load) = try await warm(service, dead: dead)
        var conditions = try await PushConditions()
        let meter = try PushMeter(gateway.processID)
        async let beside: PushLoad.Times? =
            dead > 0 ? load.putSteadily(count, perSecond: perSecond, at: .dead) : nil
        let times = try await load.putSteadily(count, perSecond: perSecond, at: service)
        _ = try await beside
        _ = try await fakes.wait(service, count: count)
        conditions.end()
        var figure = PushFigure(who: "Farbell", source: "HTTP, stored", sent: count)
        figure.conditions = conditions
        figure.count(try await fakes.arrivals(service), times: times)
        try meter.read(into: &figure)
        figure.remark = await finish(gateway, hangs: dead > 0)
        return figure
    }

    /// A gateway whose connection to the service is open, with so many messages before the dead one.
    private func warm(_ service: PushService, dead: Int) async throws -> (PushFarbell, PushLoad) {
        let gateway = try await PushFarbell(service, devices: devices, fakes)
        try await gateway.start(sends: true)
        let load = PushLoad(gateway: gateway, http: http)
        try await fakes.clear()
        let first = PushLoad.batch
        _ = try await load.putAll(first, at: service)
        guard try await fakes.wait(service, count: first) == first else {
            throw BenchError(
                "the first \(first) messages did not arrive; see the gateway's log: \(gateway.complaints())")
        }
        if dead > 0 {
            _ = try await load.putAll(dead, at: .dead)
            _ = try await fakes.wait(.dead, count: 1)
            // Until what the accepting itself left to do is done.
            try await SystemTime().sleep(for: .seconds(1))
        }
        try await fakes.clear()
        return (gateway, load)
    }

    /// - Parameter hangs: some pushes will not come back soon, and the store is of no more use.
    private func finish(_ gateway: PushFarbell, hangs: Bool = false) async -> String {
        let complaints = gateway.complaints()
        if hangs { gateway.kill() } else { await gateway.stop() }
        return complaints.isEmpty
            ? "" : complaints.sorted { $0.key < $1.key }.map { "\($0.value) times \($0.key)" }.joined(separator: ", ")
    }
}
