internal import Base

// What devices show, and how it is taken back.
extension NotifierMachine {
    /// The messages were read, completed or expired. Returns the notifications that no longer speak of
    /// anything open.
    package mutating func settled(_ keys: [MessageKey]) -> [(account: AccountID?, message: MessageKey, shown: [Shown])]
    {
        keys.map { key in
            let entry = entries.removeValue(forKey: key)
            var result: [Shown] = []
            for (device, delivery) in entry?.deliveries ?? [:] {
                pending[device]?.remove(key)
                switch delivery.phase {
                case .waiting:
                    groups[GroupKey(device: device, app: entry?.subject.app)]?.held.remove(key)
                case .notified(_, let representative):
                    let collapse = (entries[representative] ?? entry)?.subject.collapse
                    result.append(
                        Shown(device: device, representative: representative, pushed: false, collapse: collapse))
                case .pushing(let representative):
                    let collapse = (entries[representative] ?? entry)?.subject.collapse
                    let orphan = Shown(
                        device: device, representative: representative, pushed: true, collapse: collapse)
                    if let account = entry?.subject.account, covered[orphan].map({ $0 == [key] }) ?? true {
                        orphans[orphan] = Orphan(item: orphan, account: account, isShown: shown[key]?[device] != nil)
                    }
                    result.append(orphan)
                default: break
                }
            }
            result += shown.removeValue(forKey: key).map { Array($0.values) } ?? []
            result.removeAll { candidate in
                guard covered[candidate] != nil else { return false }
                covered[candidate]?.remove(key)
                if covered[candidate]?.isEmpty == true {
                    covered[candidate] = nil
                    return false
                }
                return true
            }
            return (entry?.subject.account, key, result)
        }
    }

    /// What devices show of a message.
    package func shown(of key: MessageKey) -> [Shown] { shown[key].map { Array($0.values) } ?? [] }

    /// Whether the announcing of a message is not finished.
    func isPending(_ key: MessageKey) -> Bool { entries[key] != nil }

    /// Says at start that a device shows a notification of an open message.
    package mutating func restore(_ key: MessageKey, _ item: Shown) {
        shown[key, default: [:]][item.device] = item
        covered[item, default: []].insert(key)
    }

    /// Whether the notification's push is under way although nobody needs it any more: it is taken back when
    /// it has come through.
    package func isOrphan(_ item: Shown) -> Bool { orphans[item] != nil }
    /// The push was taken back before it left. Returns whether the device shows the notification all the same, by
    /// another channel.
    package mutating func cancelled(_ item: Shown) -> Bool { orphans.removeValue(forKey: item)?.isShown ?? true }

    /// Forgets a deleted device.
    package mutating func removed(_ device: DeviceID) {
        for key in pending.removeValue(forKey: device) ?? [] {
            entries[key]?.deliveries[device] = nil
            entries[key]?.escalation.removeAll { $0.device == device }
            dropIfDone(key)
        }
        groups = groups.filter { $0.key.device != device }
        covered = covered.filter { $0.key.device != device }
        orphans = orphans.filter { $0.key.device != device }
        rates[device] = nil
    }

    /// Whether the device is being told of a message at this moment.
    package func isTelling(_ device: DeviceID, _ key: MessageKey) -> Bool {
        switch entries[key]?.deliveries[device]?.phase {
        case .pushing, .notified: true
        default: false
        }
    }
}
