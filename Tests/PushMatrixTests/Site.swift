import Base
import Gateway
import GatewayTestKit
import Outbound

/// What a service took: one notification for one device.
struct Arrival: Sendable, Hashable {
    /// The device's place among the addresses.
    let device: Int
    /// The push's id; nil where the service has no place for one, and the collapse value does its work.
    let id: String?
    let collapse: String
}

/// A fake service with addresses of devices, and what makes our adapter for it.
struct Site: Sendable {
    static let devices = 5
    /// The last one is what the device whose address dies may replace it with.
    static let addressCount = devices + 1

    let plugin: any PushPlugin
    /// The adapter's configuration.
    let keys: JSON
    var secrets: [String: String] = [:]
    let addresses: [Channel.Address]
    /// The adapter's clock; nil: the cell's.
    var time: (any TimeSource)?
    /// What the service took, in order.
    let arrivals: @Sendable () -> [Arrival]
    let arrivalCount: @Sendable () -> Int
    /// Lets the fault happen to what comes from now on; how many pushes that concerns.
    let strike: @Sendable (Fault) -> Int
    /// From now on the service says that a device's address is dead, since a time where it says that.
    let bury: @Sendable (Int, Timestamp) -> Void
    let stop: @Sendable () -> Void
    let folder: TemporaryFolder

    /// One authority for all: its key takes its time.
    static let authority = Result { try TestCertificateAuthority() }

    /// The adapter as a gateway makes it at its start, with a client of its own.
    /// - Parameter timeout: after which a request is given up; nil: after the adapter's own time.
    func adapter(_ time: any TimeSource, log: Log, timeout: Duration?) throws -> any PushAdapter {
        let client = try HTTPClient()
        let transport: any HTTPTransport = timeout.map { Impatient(client: client, timeout: $0) } ?? client
        return try plugin.adapter(
            keys.serialized, folder: folder.path, http: plugin.kind == "smtp" ? client : transport,
            time: self.time ?? time, log: log, environment: secrets, tapPage: "https://bell.example/l/")
    }

    static func make(_ cell: Cell, _ time: ManualTime) throws -> Site {
        let authority = try authority.get()
        return switch cell.service {
        case .apns: try apns(authority, time)
        case .fcm: try fcm(authority, time)
        case .wns: try wns(authority, time)
        case .webpush: try webpush(authority, time)
        case .unifiedpush: try unifiedpush(authority, time)
        case .ntfy: try ntfy(authority, time, forbidden: cell.fault == .goneNew)
        case .gotify: try gotify(authority, time)
        case .webhook: try webhook(authority, time)
        case .smtp: try smtp(authority, isImpatient: cell.fault == .hang)
        case .exec: try exec(isImpatient: cell.fault == .hang)
        }
    }

    /// Finds the device of an address as a fake notes it.
    static func places(_ addresses: [String]) -> @Sendable (String) -> Int {
        let places = Dictionary(
            uniqueKeysWithValues: addresses.enumerated().map { ($1, $0 == devices ? Cell.deadDevice : $0) })
        return { places[$0] ?? -1 }
    }

    /// Scripts a fake that speaks HTTP.
    static func strike(
        _ words: BusyWords = BusyWords(), _ script: @escaping @Sendable (HTTPFault) -> Void
    ) -> @Sendable (Fault) -> Int {
        { fault in
            let faults = fault.script(words)
            for fault in faults { script(fault) }
            return faults.count
        }
    }
}

/// The real client with less patience.
struct Impatient: HTTPTransport {
    let client: HTTPClient
    let timeout: Duration

    func send(_ request: HTTPRequest) async throws -> HTTPResponse {
        var request = request
        request.timeout = min(request.timeout, timeout)
        return try await client.send(request)
    }

    func retireConnections(ofPool name: String) { client.retireConnections(ofPool: name) }
}
