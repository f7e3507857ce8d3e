import Base
import Gateway
import GatewayTestKit
import Testing

/// One service, what happens to it, and what happens to us meanwhile.
struct Cell: Sendable, CustomTestStringConvertible {
    /// Messages that each device is told of, a notification each.
    static let messages = 20
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
        let timeout: Duration? = fault == .hang ? .milliseconds(1500) : nil
        parts.configure = { [log = parts.log] configuration in
            do {
                let adapter = try site.adapter(time, log: Log(sink: log, time: time), timeout: timeout)
                configuration.pushes = [
                    ConfiguredPush(
                        name: "matrix", kind: service.rawValue, adapter: adapter,
                        concurrency: min(8, adapter.concurrency))
                ]
            } catch {
                failure.withLock { $0 = error }
            }
        }
        return try await TestGateway.run(parts) { test in
            if let failure = failure.withLock({ $0 }) { throw failure }
            return try await test.advancing { try await stage(test, site) }
        }
    }

    private func stage(_ test: TestGateway, _ site: Site) async throws -> Evidence {
        let devices = try await devices(test, site)
        try await test.register(
            "alice", app: "desk", notify: NotifyPreferences(summary: .full, targets: .all, group: .zero))
        var keys: [MessageKey] = []
        for number in 0..<Self.messages / 3 { keys.append(try await post(number, test)) }
        try await reach(10, site)
        let before = site.arrivalCount()
        let struck = site.strike(fault)
        switch fault {
        case .goneNew: site.bury(Self.deadDevice, test.time.timestamp)
        case .goneOld: site.bury(Self.deadDevice, test.time.timestamp + .seconds(-86_400))
        default: break
        }
        for number in keys.count..<Self.messages { keys.append(try await post(number, test)) }
        try await reach(before + 10, site)
        switch interruption {
        case .none: break
        case .restart: try await test.restart()
        case .crash: try await test.crash()
        }
        let told = fault == .goneNew ? devices.filter { $0 != devices[Self.deadDevice] } : devices
        try await Eventually.wait("the lanes are empty", for: .seconds(60)) {
            guard test.gateway.dispatcher.statistics().allSatisfy({ $0.waiting == 0 && $0.underWay == 0 }) else {
                return false
            }
            let records = try await test.store.deliveries(of: keys)
            return told.allSatisfy { device in records.count { $0.device == device } == keys.count }
        }
        try await test.waitUntilIdle()
        return Evidence(
            cell: self, devices: devices, messages: keys, records: try await test.store.deliveries(of: keys),
            arrivals: site.arrivals(), struck: struck, arrivalsBefore: before,
            pruned: Set(devices.indices.filter { test.gateway.devices.device(devices[$0])?.channel == nil })
        ) { [identities = test.gateway.identities] in identities.notification($0, $1) }
    }

    private func devices(_ test: TestGateway, _ site: Site) async throws -> [DeviceID] {
        try await test.account("alice")
        var devices: [DeviceID] = []
        for (number, address) in site.addresses.enumerated() {
            var description = Devices.Description(
                installation: "alice-\(number)", name: "device \(number)", platform: "ios")
            description.channel = ("matrix", address)
            devices.append(try await test.gateway.devices.bind("alice", description).device.id)
        }
        return devices
    }

    private func post(_ number: Int, _ test: TestGateway) async throws -> MessageKey {
        try await test.post(app: "desk", subject: "message \(number)").key
    }

    private func reach(_ count: Int, _ site: Site) async throws {
        try await Eventually.wait("\(count) arrivals", for: .seconds(60)) { site.arrivalCount() >= count }
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
                    // The end of the body's time.
                    guard (try? await Task.sleep(for: .milliseconds(2))) != nil else { return }
                }
            }
            defer { group.cancelAll() }
            return try await body()
        }
    }
}
