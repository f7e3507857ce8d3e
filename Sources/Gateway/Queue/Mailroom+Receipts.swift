internal import Base

// What senders are told (G10).
extension Mailroom {
    /// Tells a sender that wants to hear of every hop that its message has come one further.
    /// - Parameter device: where it is now.
    package func hop(_ key: MessageKey, _ receipt: ReceiptState, _ device: DeviceID) {
        guard keeper.read({ $0.queues[key.queue]?.receipts[key.seq]?.isAll ?? false }) else { return }
        let timestamp = time.timestamp
        keeper.submit { state -> (Effects, [StoreChange]) in
            var (effects, changes) = (Effects(), [StoreChange]())
            let isDelivered = state.queues[key.queue]?.machine.isDelivered(key.seq) ?? true
            tell([receipt], key, isDelivered, device.text, &state, &changes, &effects, timestamp)
            return (effects, changes)
        } then: { [self] effects, result in
            if case .success = result { finish(effects) }
        }
    }

    // MARK: Inside a change

    /// Tells a message's sender, if it wants to hear: on its stream, or in its application's queue. The last word
    /// (delivered, expired, dead) is said once (G10).
    func tell(
        _ receipts: [ReceiptState], _ key: MessageKey, _ isDelivered: Bool, _ device: String?, _ state: inout State,
        _ changes: inout [StoreChange], _ effects: inout Effects, _ now: Timestamp
    ) {
        if !isDelivered, receipts.contains(.delivered) { noteArrival(key, state, &changes) }
        guard let order = state.queues[key.queue]?.receipts[key.seq] else { return }
        for receipt in receipts {
            switch receipt {
            case .delivered, .expired, .dead: if isDelivered { continue }
            case .forwarded, .notified: if !order.isAll || isDelivered { continue }
            case .read: break
            }
            tell(receipt, of: key, order, device, &state, &changes, &effects, now)
        }
    }

    private func tell(
        _ receipt: ReceiptState, of key: MessageKey, _ order: ReceiptOrder, _ device: String?, _ state: inout State,
        _ changes: inout [StoreChange], _ effects: inout Effects, _ now: Timestamp
    ) {
        // A sender that has no queue any more was deleted.
        guard let number = state.numbers[order.to], let series = state.queues[number]?.series else { return }
        guard let account = state.account(of: number) else {
            var draft = MessageDraft(sender: order.to, app: nil)
            draft.header = ["type": "receipt", "state": receipt.rawValue, "message": key.description]
            draft.header["device"] = device
            draft.correlation = order.correlation ?? key.description
            // What became of one message is told in its order.
            draft.group = "receipt/\(key)"
            let own = MessageKey(queue: number, seq: state.allocate(number, &changes))
            let message = draft.message(own, to: order.to, at: now)
            changes.append(.insertMessage(message))
            state.cache.insert(SharedMessage(message))
            _ = state.queues[number]?.machine.insert(OpenEntry(message), isStored: false, at: time.now) { [time] in
                time.now + ($0 - now)
            }
            effects.posted.append(own)
            return
        }
        var data: JSONObject = ["message": .string(key.description)]
        if let correlation = order.correlation { data.append("correlation", .string(correlation)) }
        data.append("state", .string(receipt.rawValue))
        data.append("at", .timestamp(now))
        if let device { data.append("device", .string(device)) }
        let event = StoredEvent(
            queue: series, number: state.allocate(series, &changes), kind: .receipt, device: state.device(of: number),
            data: JSON.object(data).serializedBytes, at: now)
        changes.append(.insertEvent(event))
        effects.publications.append((account, .event(event)))
    }
}
