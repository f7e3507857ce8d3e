internal import Base
internal import GatewayTestKit

/// Memory and processor time of mailboxes in which nothing happens.
struct RingIdle: Sendable {
    let seconds: Int

    struct Result: Sendable {
        let mailboxes: Int
        let memory: ProcessMeter.Memory
        /// From the start to all of them watching.
        let startSeconds: Double
        /// Of one core.
        let processorShare: Double
        let seconds: Int
    }

    /// With no mailbox at all the result is what the gateway itself needs.
    func run(_ mailboxes: Int, _ setup: RingSetup) async throws -> Result {
        let imap = try setup.mailServer()
        defer { imap.stop() }
        Report.progress("idle: starting a gateway with \(mailboxes) mailboxes")
        let start = setup.time.now
        let gateway = try await setup.gateway(mailboxes: mailboxes, port: imap.port)
        try await imap.waitForIdlers(mailboxes, deadline: .seconds(300))
        let watching = setup.time.now
        try await setup.time.sleep(for: .seconds(3))
        Report.progress("idle: watching \(mailboxes) mailboxes for \(seconds) s")
        let before = try ProcessMeter.processorTime(of: gateway.processID)
        let begin = setup.time.now
        try await setup.time.sleep(for: .seconds(seconds))
        let used = try ProcessMeter.processorTime(of: gateway.processID) - before
        let share = used.inSeconds / (setup.time.now - begin).inSeconds
        let memory = try ProcessMeter.memory(of: gateway.processID)
        guard imap.counts.idling >= mailboxes else {
            throw BenchError("only \(imap.counts.idling) of \(mailboxes) mailboxes are watched: \(gateway.logTail)")
        }
        await gateway.stop()
        return Result(
            mailboxes: mailboxes, memory: memory, startSeconds: (watching - start).inSeconds, processorShare: share,
            seconds: seconds)
    }
}
