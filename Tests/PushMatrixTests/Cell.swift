import Base
import Gateway
import GatewayTestKit
import Testing

/// One service, what happens to it, and what happens to us meanwhile.
struct Cell: Sendable, CustomTestStringConvertible {
    /// Messages that each device is told of, a notification each.
    static let messages = 20
    /// How many are there before the fault.
    static let early = 6
    /// Pushes under way at once, so that there is always something left to be interrupted.
    static let concurrency = 8
    /// The device whose address dies.
    static let deadDevice = 1

    let service: Service
    let fault: Fault
    let interruption: Interruption

    var testDescription: String { "\(service.rawValue), \(fault.rawValue), \(interruption.rawValue)" }

    /// All that can happen.
    static let all = Service.allCases.flatMap { service in
        Fault.allCases.filter { service.notApplicable($0) == nil }.flatMap { fault in
            Interruption.allCases.map { Cell(service: service, fault: fault, interruption: $0) }
        }
    }

    /// Posts messages through a whole gateway while the fault strikes; returns what is to be judged.
    func run() async throws -> Evidence {
        let time = ManualTime()
        let site = try Site.make(self, time)
        defer { site.stop() }
        var parts = TestGateway.Parts()
        parts.time = time
        let failure = Locked<(any Error)?>(nil)
        let link = Locked<Link?>(nil)
        let timeout: Duration? = fault == .hang ? .milliseconds(1500) : nil
        // Slowly, so that pushes to the old address are left when the device has told the new one.
        let most = fault == .goneReplaced ? 2 : Self.concurrency
        parts.configure = { [log = parts.log] configuration in
            do {
                let adapter = Link(try site.adapter(time, log: Log(sink: log, time: time), timeout: timeout))
                link.withLock { $0 = adapter }
                configuration.pushes = [
                    ConfiguredPush(
                        name: "matrix", kind: service.rawValue, adapter: adapter,
                        concurrency: min(most, adapter.concurrency))
                ]
            } catch {
                failure.withLock { $0 = error }
            }
        }
        return try await TestGateway.run(parts) { test in
            if let failure = failure.withLock({ $0 }) { throw failure }
            return try await test.advancing { try await stage(test, site) { link.withLock { $0 }?.cut() } }
        }
    }

    /// - Parameter cut: lets nothing more leave the present gateway.
    private func stage(
        _ test: TestGateway, _ site: Site, _ cut: @Sendable () -> Void
    ) async throws -> Evidence {
        try await test.account("alice")
        var devices: [DeviceID] = []
        for number in 0..<Site.devices { devices.append(try await bind(number, site.addresses[number], test)) }
        try await test.register(
            "alice", app: "desk", notify: NotifyPreferences(summary: .full, targets: .all, group: .zero))
        var keys = try await post(0..<Self.early, test)
        try await reach(10, site)
        let struckAfter = site.arrivalCount()
        let struck = site.strike(fault)
        if fault == .goneNew { site.bury(Self.deadDevice, test.time.timestamp) }
        if fault == .goneOld { site.bury(Self.deadDevice, test.time.timestamp + .seconds(-86_400)) }
        keys += try await post(Self.early..<Self.messages, test)
        if fault == .goneReplaced {
            _ = try await bind(Self.deadDevice, site.addresses[Site.devices], test)
            site.bury(Self.deadDevice, test.time.timestamp)
        }
        try await reach(struckAfter + 10, site)
        if fault == .goneReplaced {
            try await Eventually.wait("a push to the replaced address") { Self.outdated(test) > 0 }
        }
        let interruptedAfter = site.arrivalCount()
        switch interruption {
        case .none: break
        case .restart: try await test.restart()
        case .crash:
            cut()
            try await test.crash()
        }
        try await settle(
            test, devices.indices.filter { fault != .goneNew || $0 != Self.deadDevice }.map { devices[$0] }, keys)
        return Evidence(
            cell: self, devices: devices, messages: keys, records: try await test.store.deliveries(of: keys),
            arrivals: site.arrivals(), struck: struck, struckAfter: struckAfter, interruptedAfter: interruptedAfter,
            pruned: Set(devices.indices.filter { test.gateway.devices.device(devices[$0])?.channel == nil }),
            prunings: test.log.records(of: .devicePruned).count,
            outdated: Self.outdated(test)
        ) { [identities = test.gateway.identities] in identities.notification($0, $1) }
    }

    /// How often an address was called dead that is not the device's any more.
    private static func outdated(_ test: TestGateway) -> Int {
        test.log.records(of: .notificationFailed).count { $0.fields["outcome"] == "gone" }
    }

    private func bind(_ number: Int, _ address: Channel.Address, _ test: TestGateway) async throws -> DeviceID {
        var description = Devices.Description(
            installation: "alice-\(number)", name: "device \(number)", platform: "ios")
        description.channel = ("matrix", address)
        return try await test.gateway.devices.bind("alice", description).device.id
    }

    /// Posts messages all at once.
    private func post(_ numbers: Range<Int>, _ test: TestGateway) async throws -> [MessageKey] {
        let postings = numbers.map { number in
            var draft = MessageDraft(sender: .account("bob"), app: "desk")
            draft.subject = "message \(number)"
            return Posting(draft, to: .account("alice"))
        }
        let messages = try await test.gateway.mailroom.post(postings).compactMap(\.message)
        test.gateway.messages.accepted(messages)
        return messages.map(\.key)
    }

    private func reach(_ count: Int, _ site: Site) async throws {
        try await Eventually.wait("\(count) arrivals", for: .seconds(60)) { site.arrivalCount() >= count }
    }

    /// Returns when every message has come to its end at the devices, and nothing is left to be sent.
    private func settle(_ test: TestGateway, _ devices: [DeviceID], _ keys: [MessageKey]) async throws {
        try await Eventually.wait("everything has ended", for: .seconds(60)) {
            guard test.gateway.dispatcher.statistics().allSatisfy({ $0.waiting == 0 && $0.underWay == 0 }) else {
                return false
            }
            let records = try await test.store.deliveries(of: keys)
            return devices.allSatisfy { device in records.count { $0.device == device } == keys.count }
        }
        try await test.waitUntilIdle()
    }
}

extension TestGateway {
    /// Runs a body while time passes whenever the lanes wait for nothing else.
    fileprivate func advancing<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [self] in
                while !Task.isCancelled {
                    let lanes = gateway.dispatcher.statistics()
                    if lanes.allSatisfy({ $0.underWay == 0 }), lanes.contains(where: { $0.waiting > 0 }) {
                        time.advance(by: .seconds(1))
                    }
                    // Cancelled at the end of the body.
                    guard (try? await Task.sleep(for: .milliseconds(2))) != nil else { return }
                }
            }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}

/// A gateway's way to its adapter: where the gateway has crashed, nothing leaves that was not on the wire.
private final class Link: PushAdapter {
    private let adapter: any PushAdapter
    private let isCut = Locked(false)

    init(_ adapter: any PushAdapter) { self.adapter = adapter }

    func cut() { isCut.withLock { $0 = true } }

    var concurrency: Int { adapter.concurrency }
    var canClear: Bool { adapter.canClear }
    func subscriptionKey() throws -> String? { try adapter.subscriptionKey() }
    func fault(in address: Channel.Address) -> String? { adapter.fault(in: address) }
    func stop() async { await adapter.stop() }
    func send(_ push: Push) async -> PushReport {
        if isCut.withLock({ $0 }) { return PushReport(.retry(after: .seconds(86_400), .device), reason: "crashed") }
        return await adapter.send(push)
    }
}

/// Lets so many run at once: with hundreds of gateways in one process each would wait too long for its turn, and
/// time-outs would strike that nobody meant.
actor Turns {
    static let shared = Turns(6)

    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func take() async {
        if free > 0 { free -= 1 } else { await withCheckedContinuation { waiting.append($0) } }
    }

    func giveBack() { if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() } }
}
