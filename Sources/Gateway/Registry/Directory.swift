internal import Base

/// Accounts, devices and registrations in memory, by every key they are looked up by.
package struct Directory: Sendable {
    package private(set) var accounts: [AccountID: Account] = [:]
    package private(set) var devices: [DeviceID: Device] = [:]
    package private(set) var registrations: [RegistrationID: Registration] = [:]
    private var devicesByToken: [[UInt8]: DeviceID] = [:]
    private var devicesByAccount: [AccountID: Set<DeviceID>] = [:]
    private var devicesByTag: [String: Set<DeviceID>] = [:]
    private var devicesByInstallation: [String: DeviceID] = [:]
    private var registrationsByAccount: [AccountID: [AppID: RegistrationID]] = [:]

    package init() {}

    package init(_ stored: StoredRegistry) {
        for account in stored.accounts { put(account) }
        for device in stored.devices { put(device) }
        for registration in stored.registrations { put(registration) }
    }

    package mutating func put(_ account: Account) { accounts[account.id] = account }

    package mutating func put(_ device: Device) {
        if let old = devices[device.id] {
            if let hash = old.tokenHash, hash != device.tokenHash { devicesByToken[hash] = nil }
            if old.tags != device.tags { untag(old) }
        }
        devices[device.id] = device
        for tag in device.tags { devicesByTag[tag, default: []].insert(device.id) }
        if let hash = device.tokenHash { devicesByToken[hash] = device.id }
        devicesByAccount[device.account, default: []].insert(device.id)
        devicesByInstallation[device.installation] = device.id
    }

    package mutating func put(_ registration: Registration) {
        registrations[registration.id] = registration
        registrationsByAccount[registration.account, default: [:]][registration.app] = registration.id
    }

    /// Changes a device in place; nil when it is gone.
    @discardableResult
    package mutating func change(_ id: DeviceID, _ body: (inout Device) -> Void) -> Device? {
        guard var device = devices[id] else { return nil }
        body(&device)
        put(device)
        return device
    }

    @discardableResult
    package mutating func change(_ id: RegistrationID, _ body: (inout Registration) -> Void) -> Registration? {
        guard var registration = registrations[id] else { return nil }
        body(&registration)
        put(registration)
        return registration
    }

    package mutating func removeAccount(_ id: AccountID) {
        for device in devicesByAccount[id] ?? [] { removeDevice(device) }
        for registration in registrationsByAccount[id]?.values.map({ $0 }) ?? [] { removeRegistration(registration) }
        accounts[id] = nil
    }

    package mutating func removeDevice(_ id: DeviceID) {
        guard let device = devices.removeValue(forKey: id) else { return }
        if let hash = device.tokenHash { devicesByToken[hash] = nil }
        devicesByAccount[device.account]?.remove(id)
        devicesByInstallation[device.installation] = nil
        untag(device)
    }

    private mutating func untag(_ device: Device) {
        for tag in device.tags {
            devicesByTag[tag]?.remove(device.id)
            if devicesByTag[tag]?.isEmpty == true { devicesByTag[tag] = nil }
        }
    }

    /// The devices with a tag, by id.
    package func devices(tag: String) -> [Device] {
        (devicesByTag[tag] ?? []).sorted().compactMap { devices[$0] }
    }

    package mutating func removeRegistration(_ id: RegistrationID) {
        guard let registration = registrations.removeValue(forKey: id) else { return }
        registrationsByAccount[registration.account]?[registration.app] = nil
    }

    package func device(tokenHash: [UInt8]) -> Device? { devicesByToken[tokenHash].flatMap { devices[$0] } }
    package func device(installation: String) -> Device? { devicesByInstallation[installation].flatMap { devices[$0] } }

    /// An account's devices, the one seen last first (SG-12).
    package func devices(of account: AccountID) -> [Device] {
        (devicesByAccount[account] ?? []).compactMap { devices[$0] }
            .sorted { ($1.lastSeen, $1.id) < ($0.lastSeen, $0.id) }
    }

    package func registration(of account: AccountID, app: AppID) -> Registration? {
        registrationsByAccount[account]?[app].flatMap { registrations[$0] }
    }

    package func registrations(of account: AccountID) -> [Registration] {
        (registrationsByAccount[account] ?? [:]).values.compactMap { registrations[$0] }
            .sorted { ($0.created, $0.id) < ($1.created, $1.id) }
    }
}
