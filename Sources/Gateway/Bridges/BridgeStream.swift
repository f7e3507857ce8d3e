internal import Base

/// An attached account's stream: passes what a bridge wants of it to the bridge's inbox.
final class BridgeStream: DeviceStream {
    let account: AccountID
    private let inbox: any BridgeInbox
    private let isOpen = Locked(true)
    private let onClose: @Sendable (BridgeStream) -> Void

    /// - Parameter onClose: called once, perhaps inside `send`, where nothing of the hub's may be called.
    init(_ account: AccountID, _ inbox: any BridgeInbox, onClose: @escaping @Sendable (BridgeStream) -> Void) {
        (self.account, self.inbox, self.onClose) = (account, inbox, onClose)
    }

    func send(_ event: StreamEvent, number: Int64?) -> Bool {
        guard isOpen.withLock({ $0 }) else { return false }
        // The greeting has no number, and says nothing a bridge does not know.
        guard let number else { return true }
        if inbox.take(Self.event(event), number: number, for: account) { return true }
        close()
        return false
    }

    private static func event(_ event: StreamEvent) -> BridgeEvent {
        switch event {
        case .message(let message): return .message(message)
        case .stored(let stored) where stored.kind == .receipt:
            guard let data = try? JSONParser.parse(stored.data),
                let key = data["message"]?.string.flatMap({ MessageKey($0) }),
                let state = data["state"]?.string.flatMap({ ReceiptState(rawValue: $0) })
            else { return .other }
            return .receipt(key, state)
        case .stored(let stored) where stored.kind == .contact:
            guard let data = try? JSONParser.parse(stored.data), let peer = data["account"]?.string else {
                return .other
            }
            return .contact(AccountID(peer), data["state"]?.string.flatMap { ContactState(rawValue: $0) })
        case .typing(let peer, let state): return .typing(peer, state)
        case .entry(let entry, let peer) where entry.sender == peer && entry.withdrawn != nil:
            return .edited(entry.message, by: peer, subject: nil, body: nil)
        case .entry(let entry, let peer) where entry.sender == peer && entry.edited != nil:
            return .edited(entry.message, by: peer, subject: entry.subject, body: entry.body)
        case .presence(let peer, let presence): return .presence(of: peer, presence)
        default: return .other
        }
    }

    func drained() async -> Bool {
        await inbox.drained()
        return isOpen.withLock { $0 }
    }

    func close() {
        let isFirst = isOpen.withLock { isOpen in
            defer { isOpen = false }
            return isOpen
        }
        guard isFirst else { return }
        _ = inbox.take(.ended, number: nil, for: account)
        onClose(self)
    }
}
