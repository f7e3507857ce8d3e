import Base
import Gateway

/// What a cell left behind: at the service, in the store, and of the devices' addresses.
struct Evidence: Sendable {
    let cell: Cell
    let devices: [DeviceID]
    let messages: [MessageKey]
    let records: [DeliveryRecord]
    let arrivals: [Arrival]
    /// Pushes that the fault concerned.
    let struck: Int
    /// How many had arrived before the fault, and before the interruption.
    let struckAfter: Int
    let interruptedAfter: Int
    /// The places of the devices without an address.
    let pruned: Set<Int>
    /// How often the log says that an address was removed, and that one was called dead which was not the device's.
    let prunings: Int
    let outdated: Int
    let notification: @Sendable (MessageKey, DeviceID) -> NotificationID

    /// A notification at a device: what every repeat of it has in common.
    private struct Place: Hashable {
        let device: Int
        let collapse: String
    }

    /// The devices whose address the service calls dead.
    private var dead: Set<Int> { [.goneNew, .goneOld].contains(cell.fault) ? [Cell.deadDevice] : [] }

    /// Everything that is not as it must be.
    var problems: [String] { lost + twice + unknown + wronglyPruned + unproven }

    /// The message whose notification a record names: a digest's newest.
    private func representative(_ record: DeliveryRecord) -> MessageKey? {
        messages.first { notification($0, record.device) == record.notification }
    }

    private func collapse(_ key: MessageKey) -> String { "f-\(key)" }

    /// A device that was not told of a message, by its own notification or a digest's.
    private var lost: [String] {
        let arrived = Set(arrivals.map { Place(device: $0.device, collapse: $0.collapse) })
        let recorded = Dictionary(grouping: records, by: \.device)
        return devices.enumerated().filter { !dead.contains($0.offset) }.flatMap { place, device in
            let records = Dictionary((recorded[device] ?? []).map { ($0.message, $0) }) { $1 }
            return messages.compactMap { key -> String? in
                guard let record = records[key], record.outcome == .pushed else {
                    return "\(key) was not recorded as pushed to device \(place): \(String(describing: records[key]))"
                }
                guard let newest = representative(record) else { return "\(key): a notification nobody knows" }
                return arrived.contains(Place(device: place, collapse: collapse(newest)))
                    ? nil : "lost: \(key) never arrived at device \(place)"
            }
        }
    }

    private var repeats: Int { arrivals.count - Set(arrivals).count }

    /// What was under way whenever nobody could know what became of it.
    private var repeatLimit: Int {
        (cell.fault.doubts + (cell.interruption == .crash ? 1 : 0)) * Cell.concurrency
    }

    /// A notification that came twice without need, under two ids, or beside a digest that speaks of it.
    private var twice: [String] {
        let byPlace = Dictionary(grouping: arrivals) { Place(device: $0.device, collapse: $0.collapse) }
        let needless = repeats > repeatLimit ? ["twice: \(repeats) repeats instead of at most \(repeatLimit)"] : []
        return needless
            + byPlace.flatMap { place, arrivals -> [String] in
                var problems: [String] = []
                let ids = Set(arrivals.map(\.id))
                if ids.count > 1 { problems.append("twice: under \(ids.count) ids \(place)") }
                guard let key = MessageKey(String(place.collapse.dropFirst(2))), devices.indices.contains(place.device)
                else { return problems }
                let device = devices[place.device]
                if let id = ids.first, let id, id != notification(key, device).text {
                    problems.append("another id than the notification's: \(place)")
                }
                let record = records.first { $0.message == key && $0.device == device }
                if let record, let newest = representative(record), newest != key {
                    problems.append("twice: \(place) by itself and in the digest \(newest)")
                }
                return problems
            }
    }

    /// What arrived and is no notification of ours.
    private var unknown: [String] {
        let known = Set(messages.map(collapse))
        return arrivals.filter { !devices.indices.contains($0.device) || !known.contains($0.collapse) }.map {
            "unknown: \($0)"
        }
    }

    private var wronglyPruned: [String] {
        let wanted = cell.fault == .goneNew ? dead : []
        let wrong = pruned == wanted ? [] : ["pruned are \(pruned.sorted()) instead of \(wanted.sorted())"]
        // The service's older word keeps the address, and what it refused is on record as refused.
        let kept = cell.fault == .goneOld ? devices[Cell.deadDevice] : nil
        let silent = kept.map { kept in !records.contains { $0.device == kept && $0.outcome == .failed } } ?? false
        // A crash may come between the removal and its record.
        let untold = cell.interruption == .crash ? prunings < pruned.count : prunings != pruned.count
        return wrong + (untold ? ["\(prunings) removals are told of"] : [])
            + (silent ? ["nothing is recorded as refused for the address called dead long ago"] : [])
    }

    /// A fault that did not strike proves nothing.
    private var unproven: [String] {
        // Every push the service had no other objection to took one fault off the script.
        var problems: [String] = []
        if arrivals.count - struckAfter < struck { problems.append("the fault did not strike \(struck) times") }
        if cell.fault == .resetAfter, repeats == 0 { problems.append("nothing came twice, so nothing was in doubt") }
        if cell.fault == .goneReplaced, outdated == 0 { problems.append("nothing was sent to the replaced address") }
        if cell.interruption != .none, arrivals.count == interruptedAfter {
            problems.append("everything had arrived before the gateway ended")
        }
        return problems
    }
}
