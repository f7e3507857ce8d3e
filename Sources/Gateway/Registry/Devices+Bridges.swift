internal import Base

// The devices that stand for accounts at other messaging systems: one of each bridge, with no token and no channel.
extension Devices {
    private static func installation(_ account: AccountID, _ bridge: String) -> String {
        "\(Device.bridgePrefix)\(bridge)/\(account)"
    }

    /// The account's device of a bridge.
    func bridged(_ account: AccountID, by bridge: String) -> Device? {
        directory.read { $0.device(installation: Self.installation(account, bridge)) }
    }

    /// The accounts that have a device of a bridge.
    func bridged(by bridge: String) -> [AccountID] {
        let prefix = "\(Device.bridgePrefix)\(bridge)/"
        return directory.read { directory in
            directory.devices.values.filter { $0.installation.hasPrefix(prefix) }.map(\.account).sorted()
        }
    }

    /// The account's device of a bridge, made where it is missing.
    /// - Throws: `not_found`; the store's failure.
    func bridge(_ account: AccountID, by bridge: String) async throws -> (device: Device, isNew: Bool) {
        let installation = Self.installation(account, bridge)
        let (id, now): (DeviceID, Timestamp) = (identities.make("dev"), time.timestamp)
        let (device, isNew) = try await directory.change { directory -> ((Device, Bool), [StoreChange]) in
            if let known = directory.device(installation: installation) { return ((known, false), []) }
            guard directory.accounts[account] != nil else {
                throw GatewayError(.notFound, "there is no account '\(account)'")
            }
            let device = Device(
                id: id, account: account, installation: installation, name: bridge, platform: "bridge", channel: nil,
                tokenHash: nil, created: now)
            directory.put(device)
            return ((device, true), [.putDevice(device)])
        }
        if isNew {
            log.info(
                .deviceCreated, "An account is linked to a bridge",
                ["device": .id(device.id), "account": .id(account), "platform": "bridge", "push": ""])
        }
        return (device, isNew)
    }

    /// Moves a new device's cursor past what was there before it, without anybody being told that it arrived.
    func skip(_ id: DeviceID, upTo number: Int64) async throws {
        try await directory.change { directory in
            guard let device = directory.devices[id], number > device.cursor else { return ((), []) }
            directory.change(id) { $0.cursor = number }
            return ((), [.setDeviceCursor(id, number)])
        }
    }
}
