package import Base

/// Whether a refused address is at fault, or our configuration: told by how other addresses fare at the same
/// push service with the same credential.
package struct AddressSuspicion: Sendable {
    package enum Verdict: Sendable, Hashable {
        /// Others succeed: it is this address.
        case address
        /// Nothing is known of others yet.
        case unknown
        /// Many are refused and none succeeds: it is our configuration.
        case configuration
    }

    /// Another address's success within this time shows that the configuration is right.
    package static let recent: Duration = .seconds(3600)
    /// So many different addresses refused without any success point to the configuration.
    package static let addressesUntilConfiguration = 10

    /// The last two successes of different addresses: one of them is not the address asked about.
    private var successes: [(address: String, at: Moment)] = []
    private var refused: Set<String> = []

    package init() {}

    package mutating func succeeded(_ address: String, now: Moment) {
        refused = []
        successes.removeAll { $0.address == address }
        successes.append((address, now))
        if successes.count > 2 { successes.removeFirst() }
    }

    /// The verdict on an address that the service refused.
    package mutating func refused(_ address: String, now: Moment) -> Verdict {
        if successes.contains(where: { $0.address != address && now - $0.at < Self.recent }) { return .address }
        if refused.count < Self.addressesUntilConfiguration { refused.insert(address) }
        return refused.count >= Self.addressesUntilConfiguration ? .configuration : .unknown
    }
}
