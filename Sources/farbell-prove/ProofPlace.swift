internal import Base
internal import GatewayTestKit

/// The gateway under proof: its folder, its disk, the keys of its clients, its deaths.
final class ProofPlace: Sendable {
    struct Keys: Sendable {
        var shop = ""
        var store = ""
        var device = ""
    }

    private static let password = "gate keeper 12"

    let gateway: GatewayProcess
    private let disk: Locked<Disk?>
    private let known = Locked(Keys())
    var keys: Keys { known.withLock { $0 } }

    private init(_ gateway: GatewayProcess, _ disk: Disk?) {
        (self.gateway, self.disk) = (gateway, Locked(disk))
    }

    /// Makes the folder, and the disk where power is to be cut.
    /// - Returns: also the deaths that are possible here.
    static func make(_ options: ProofOptions) async throws -> (ProofPlace, [Death]) {
        let gateway = try GatewayProcess()
        guard options.deaths.contains(.powercut) else { return (ProofPlace(gateway, nil), options.deaths) }
        do {
            guard FileSystem.createFolder(gateway.folder.file("data")) else { throw ProofError(FileSystem.lastError) }
            let disk = try await Disk(folder: gateway.folder.path, place: gateway.folder.file("data"))
            return (ProofPlace(gateway, disk), options.deaths)
        } catch let error as ProofError where options.isAll {
            Output.say("no power is cut: \(error)")
            return (ProofPlace(gateway, nil), options.deaths.filter { $0 != .powercut })
        }
    }

    /// Writes the configuration, makes keys, logs the device in and opens the senders' queues.
    func prepare() async throws {
        try gateway.configure([
            "apps": ["shop": ["key": ["file": "data/shop.key"]], "store": ["key": ["file": "data/store.key"]]],
            "limits": ["requestsPerSecond": 1_000_000, "maxDeliveries": 6, "diskReserveBytes": 0],
            "log": ["format": "json", "level": "warning", "statsSeconds": 0],
        ])
        var keys = Keys()
        keys.shop = try await printed("app", "key", "shop")
        keys.store = try await printed("app", "key", "store")
        let made = try await gateway.run("account", "add", "alice", input: Self.password + "\n")
        guard made.exit == .code(0) else { throw ProofError("account add: \(made.errors.joined(separator: " "))") }
        try await gateway.start()
        var device = TerminalClient(gateway, account: "alice")
        try await device.bind(password: Self.password, installation: "phone")
        keys.device = device.token
        // Receipts need a queue that is there.
        for to in [["app": "shop"], ["app": "store"], ["account": "alice"]] as [JSON] {
            let sent = try await TerminalClient.send(
                gateway, "POST", "/v1/messages", authorization: "Bearer \(keys.store)", ["to": to, "body": "first"])
            guard sent.status == 202 else { throw ProofError("the first message: \(sent.text)") }
        }
        let got = try await TerminalClient.send(
            gateway, "POST", "/v1/messages/receive", authorization: "Bearer \(keys.store)", ["mode": "delete"])
        guard got.status == 200 else { throw ProofError("the first message: \(got.text)") }
        _ = try await gateway.stop()
        known.withLock { [keys] in $0 = keys }
    }

    private func printed(_ arguments: String...) async throws -> String {
        let result = try await ChildProcess.run(
            GatewayProcess.program, arguments + ["--config", gateway.configuration], deadline: .seconds(40))
        guard let line = result.output.first else { throw ProofError(result.errors.joined(separator: " ")) }
        return line
    }

    func start() async throws { try await gateway.start() }

    /// - Returns: false when it died before it was ready.
    func becomesReady() async throws -> Bool {
        do {
            try await gateway.waitUntilReady()
            return true
        } catch let error as PeerError where gateway.process?.exit == .signal(9) {
            _ = error
            return false
        }
    }

    /// Ends the gateway.
    /// - Returns: false when a failpoint was not reached in time and it was killed.
    func die(_ death: Death, after delay: Duration, _ life: Life) async throws -> Bool {
        var isForeseen = true
        switch death {
        case .kill:
            try await Task.sleep(for: delay)
            try await gateway.kill()
        case .failpoint:
            do {
                try await gateway.process?.waitForExit(deadline: .seconds(4))
            } catch is DeadlineMissed {
                isForeseen = false
                try await gateway.kill()
            }
        case .powercut:
            try await Task.sleep(for: delay)
            gateway.process?.stop()
            try await cutPower()
        }
        life.end()
        guard gateway.process?.exit == .signal(9) else {
            throw ProofError("the gateway ended by itself: \(gateway.log.texts.suffix(5).joined(separator: "\n"))")
        }
        return isForeseen
    }

    private func cutPower() async throws {
        guard var disk = disk.withLock({ $0 }) else { return }
        try await disk.cutPower { [gateway] in try await gateway.kill() }
        self.disk.withLock { [disk] in $0 = disk }
    }

    /// Takes the place down, or copies the data folder where it stays.
    func end(keeping: Bool) async {
        if gateway.process?.exit == nil { try? await gateway.kill() }
        if keeping {
            let kept = "\(FileSystem.folder(of: gateway.folder.path))/farbell-proof-\(gateway.port)"
            _ = try? await ChildProcess.run("cp", ["-a", gateway.folder.file("data"), kept])
            Output.say("the data folder is kept in \(kept)")
        }
        await disk.withLock { $0 }?.unmount()
    }
}
