internal import Base
internal import GatewayTestKit

/// News at a steady rate into a gateway that watches: what rings, when, and what that costs.
struct SteadyLoad: Sendable {
    let perSecond: Int
    let seconds: Int

    struct Result: Sendable {
        let tally: Tally
        /// The gateway's, of one core, while the news came.
        let processorShare: Double
    }

    var items: Int { perSecond * seconds }

    /// - Parameter deliver: brings something with this name, which goes to the user of this number; returns when it was
    ///   announced.
    /// - Throws: what `deliver` throws; `DeadlineMissed` when the first one does not ring.
    func run(
        _ gateway: GatewayProcess, _ setup: RingSetup, deliver: (_ name: String, _ user: Int) async throws -> Moment
    ) async throws -> Result {
        let time = setup.time
        setup.apns.pushes.clear()
        setup.apns.requests.clear()
        // The first push opens the connection and signs the token: not what is measured.
        _ = try await deliver("bench-warm-0", 0)
        try await setup.apns.pushes.wait(count: 1, deadline: .seconds(20))
        Report.progress("\(perSecond) items a second for \(seconds) s")
        var deliveries: [String: Moment] = [:]
        let start = time.now
        let share = try await ProcessMeter.share(of: gateway.processID, time) {
            for number in 0..<items {
                try await time.sleep(until: start + .microseconds(number * 1_000_000 / perSecond))
                let name = "bench-item-\(number)"
                deliveries[name] = try await deliver(name, number)
            }
        }
        do {
            try await setup.apns.pushes.wait(count: items + 1, deadline: .seconds(20))
        } catch {
            Report.progress("\(error)")
        }
        // A doubled push or a late record would come now.
        try await time.sleep(for: .seconds(2))
        return Result(
            tally: Tally(deliveries: deliveries, pushes: setup.apns.pushes.all, sent: Tally.sent(gateway, setup)),
            processorShare: share)
    }
}
