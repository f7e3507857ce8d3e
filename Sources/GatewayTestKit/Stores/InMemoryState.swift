internal import Base
internal import Gateway

/// What `InMemoryStore` knows: the model that every store is compared with. Plain dictionaries, and no
/// cleverness that could share a mistake with a real store.
struct InMemoryState: Sendable {
    struct DeliveryKey: Hashable { let message: MessageKey, device: DeviceID }
    struct PeerKey: Hashable { let account, peer: AccountID }
    struct EventKey: Hashable { let queue, number: Int64 }
    struct ConversationKey: Hashable { let owner, peer: QueueAddress }
    struct ConversationRow: Sendable {
        var last: Int64
        var marks = ConversationMarks()
        /// What of `marks.read` the other end may know.
        var shown: Int64 = 0
    }

    private(set) var accounts: [AccountID: Account] = [:]
    private(set) var devices: [DeviceID: Device] = [:]
    private(set) var registrations: [RegistrationID: Registration] = [:]
    private(set) var queues: [Int64: QueueRecord] = [:]
    private(set) var launches: [LaunchID: Launch] = [:]
    private(set) var contacts: [PeerKey: ContactEdge] = [:]
    private(set) var blocks: [PeerKey: Block] = [:]
    private(set) var statuses: [AccountID: OwnStatus] = [:]
    var messages: [MessageKey: Message] = [:]
    /// The messages' places in the order in which they were stored.
    private(set) var places: [MessageKey: Int64] = [:]
    private var lastPlace: Int64 = 0
    private(set) var items: [Message.Origin: MessageKey] = [:]
    private(set) var deliveries: [DeliveryKey: DeliveryRecord] = [:]
    private(set) var events: [EventKey: StoredEvent] = [:]
    var history: [Int64: HistoryEntry] = [:]
    var conversations: [ConversationKey: ConversationRow] = [:]

    /// What takes back the changes of the submission under way, newest last.
    private var undo: [@Sendable (inout InMemoryState) -> Void] = []

    /// Applies all changes or none.
    mutating func apply(_ changes: [StoreChange]) throws(StoreError) {
        undo.removeAll(keepingCapacity: true)
        do throws(StoreError) {
            for change in changes { try apply(change) }
        } catch {
            while let step = undo.popLast() { step(&self) }
            throw error
        }
    }

    mutating func set<Key: Hashable & Sendable, Value: Sendable>(
        _ path: any WritableKeyPath<InMemoryState, [Key: Value]> & Sendable, _ key: Key, _ value: Value?
    ) {
        let old = self[keyPath: path][key]
        undo.append { state in state[keyPath: path][key] = old }
        self[keyPath: path][key] = value
    }

    static func refused(_ reason: String) -> StoreError {
        StoreError(.refused, "a change contradicts what is stored", context: ["reason": reason])
    }

    private mutating func apply(_ change: StoreChange) throws(StoreError) {
        switch change {
        case .putAccount(let account): set(\.accounts, account.id, account)
        case .deleteAccount(let account): delete(account)
        case .putDevice(let device): set(\.devices, device.id, device)
        case .deleteDevice(let device):
            deleteQueues(of: [.device(device)])
            set(\.devices, device, nil)
        case .setDeviceCursor(let id, let cursor):
            guard var device = devices[id] else { return }
            device.cursor = cursor
            set(\.devices, id, device)
        case .setDeviceSeen(let id, let seen):
            guard var device = devices[id] else { return }
            device.lastSeen = seen
            set(\.devices, id, device)
        case .putRegistration(let registration): set(\.registrations, registration.id, registration)
        case .deleteRegistration(let registration): set(\.registrations, registration, nil)
        case .setMonitorCursor(let id, let cursor):
            guard var registration = registrations[id] else { return }
            registration.cursor = cursor
            set(\.registrations, id, registration)
        case .putQueue(let queue):
            let isTaken = queues.values.contains { $0.address == queue.address && $0.number != queue.number }
            if isTaken { throw Self.refused("another queue has this address") }
            set(\.queues, queue.number, queue)
        case .insertMessage(let message): try insert(message)
        case .settleMessage(let key, let update): try settle(key, update)
        case .updateMessage(let key, let update): try self.update(key, update)
        case .setDelivered(let key, let at):
            guard var message = messages[key], message.delivered == nil else { return }
            message.delivered = at
            set(\.messages, key, message)
        case .putDelivery(let record):
            set(\.deliveries, DeliveryKey(message: record.message, device: record.device), record)
        case .insertEvent(let event):
            let key = EventKey(queue: event.queue, number: event.number)
            if events[key] != nil { throw Self.refused("the event's number is used") }
            set(\.events, key, event)
        case .putLaunch(let launch): set(\.launches, launch.id, launch)
        case .people(let change): apply(change)
        case .conversation(let change): try apply(change)
        case .purge(let before): purge(before)
        }
    }

    private mutating func apply(_ change: PeopleChange) {
        switch change {
        case .putContact(let edge): set(\.contacts, PeerKey(account: edge.account, peer: edge.peer), edge)
        case .deleteContact(let account, let peer): set(\.contacts, PeerKey(account: account, peer: peer), nil)
        case .putBlock(let block): set(\.blocks, PeerKey(account: block.account, peer: block.peer), block)
        case .deleteBlock(let account, let peer): set(\.blocks, PeerKey(account: account, peer: peer), nil)
        case .putStatus(let account, let status): set(\.statuses, account, status)
        }
    }

    private mutating func insert(_ message: Message) throws(StoreError) {
        if messages[message.key] != nil { throw Self.refused("the message's key is used") }
        var stored = message
        if message.state.isTerminal {
            (stored.subject, stored.body, stored.attachments, stored.entry) = (nil, [], [], nil)
            stored.settled = message.settled ?? message.enqueued
        }
        if let origin = message.origin {
            if items[origin] != nil { throw Self.refused("the item is known") }
            set(\.items, origin, message.key)
        }
        set(\.messages, message.key, stored)
        lastPlace += 1
        set(\.places, message.key, lastPlace)
    }

    private mutating func settle(_ key: MessageKey, _ update: MessageUpdate) throws(StoreError) {
        if !update.state.isTerminal { throw Self.refused("the state is not terminal") }
        guard var message = messages[key], !message.state.isTerminal else { return }
        message.note(update)
        (message.subject, message.body, message.attachments, message.entry) = (nil, [], [], nil)
        set(\.messages, key, message)
    }

    private mutating func update(_ key: MessageKey, _ update: MessageUpdate) throws(StoreError) {
        if update.state.isTerminal { throw Self.refused("the state is terminal") }
        guard var message = messages[key], !message.state.isTerminal else { return }
        message.note(update)
        message.notBefore = update.notBefore
        if let receipts = update.receipts { message.receipts = receipts }
        if update.forgetsExpiry { message.expires = nil }
        set(\.messages, key, message)
    }

    private mutating func remove(_ message: Message) {
        set(\.messages, message.key, nil)
        set(\.places, message.key, nil)
        if let origin = message.origin { set(\.items, origin, nil) }
        for key in deliveries.keys where key.message == message.key { set(\.deliveries, key, nil) }
    }

    private mutating func deleteQueues(of addresses: [QueueAddress]) {
        for queue in queues.values.filter({ addresses.contains($0.address) }) {
            for message in messages.values where message.key.queue == queue.number { remove(message) }
            for key in deliveries.keys where key.message.queue == queue.number { set(\.deliveries, key, nil) }
            for key in events.keys where key.queue == queue.number { set(\.events, key, nil) }
            set(\.queues, queue.number, nil)
        }
    }

    private mutating func delete(_ account: AccountID) {
        let devicesOfAccount = devices.values.filter { $0.account == account }.map(\.id)
        deleteQueues(of: [.account(account)] + devicesOfAccount.map { .device($0) })
        for device in devicesOfAccount { set(\.devices, device, nil) }
        for registration in registrations.values where registration.account == account {
            set(\.registrations, registration.id, nil)
        }
        for launch in launches.values where launch.account == account { set(\.launches, launch.id, nil) }
        for key in contacts.keys where key.account == account || key.peer == account { set(\.contacts, key, nil) }
        for key in blocks.keys where key.account == account { set(\.blocks, key, nil) }
        set(\.statuses, account, nil)
        set(\.accounts, account, nil)
        deleteConversations(of: .account(account))
    }

    private mutating func purge(_ before: Timestamp) {
        for message in messages.values where message.state.isTerminal {
            if let settled = message.settled, settled < before { remove(message) }
        }
        for (key, event) in events where event.at < before { set(\.events, key, nil) }
        for launch in launches.values where launch.expires < before { set(\.launches, launch.id, nil) }
    }

    // MARK: Reads

    var registry: StoredRegistry {
        var registry = StoredRegistry()
        registry.accounts = accounts.values.sorted { $0.id < $1.id }
        registry.devices = devices.values.sorted { $0.id < $1.id }
        registry.registrations = registrations.values.sorted { $0.id < $1.id }
        registry.queues = queues.values.sorted { $0.number < $1.number }
        registry.contacts = contacts.values.sorted { ($0.account, $0.peer) < ($1.account, $1.peer) }
        registry.blocks = blocks.values.sorted { ($0.account, $0.peer) < ($1.account, $1.peer) }
        registry.statuses = statuses
        registry.launches = launches.values.sorted { $0.id < $1.id }
        registry.lastEntry = lastEntry
        return registry
    }

    func entries(queues: [Int64], after: Int64, limit: Int) -> [StoredEntry] {
        let due = messages.values.filter { message in
            queues.contains(message.key.queue) && message.isLiving && message.notBefore == nil
        }
        let stored = events.values.filter { queues.contains($0.queue) }
        let entries = due.map { StoredEntry.message($0) } + stored.map { .event($0) }
        return Array(entries.filter { $0.number > after }.sorted { $0.number < $1.number }.prefix(max(0, limit)))
    }

    func openEntries(after position: Int64?, limit: Int) -> (entries: [OpenEntry], next: Int64?) {
        let open = places.filter { key, place in
            place > position ?? 0 && messages[key]?.state.isTerminal == false
        }.sorted { $0.value < $1.value }
        let page = open.prefix(max(0, limit))
        let next = page.count < open.count ? page.last?.value ?? position ?? 0 : nil
        return (page.compactMap { messages[$0.key].map(openEntry) }, next)
    }

    func messages(_ keys: [MessageKey]) -> [Message] {
        keys.compactMap { messages[$0] }.filter { !$0.state.isTerminal }
    }

    func messages(queue: Int64, state: Message.State?, after: Int64, limit: Int) -> [Message] {
        let found = messages.values.filter { message in
            message.key.queue == queue && message.key.seq > after && !message.state.isTerminal
                && (state.map { $0 == message.state } ?? message.isLiving)
        }
        return Array(found.sorted { $0.key < $1.key }.prefix(max(0, limit)))
    }

    /// In the order of the settlements, then by key.
    func settledSends(since: Timestamp) -> [SettledSend] {
        let settled = messages.values.filter { $0.state.isTerminal && $0.settled ?? $0.enqueued >= since }
        return settled.sorted { ($0.settled ?? $0.enqueued, $0.key) < ($1.settled ?? $1.enqueued, $1.key) }
            .compactMap { message in
                guard let senderID = message.senderID else { return nil }
                return SettledSend(
                    key: message.key, sender: message.sender, senderID: senderID, enqueued: message.enqueued)
            }
    }

    func deliveries(of keys: [MessageKey]) -> [DeliveryRecord] {
        keys.flatMap { key in
            deliveries.values.filter { $0.message == key }.sorted { $0.device < $1.device }
        }
    }

    func items(registration: RegistrationID, keys: [String]) -> [String: StoredItem] {
        var found: [String: StoredItem] = [:]
        for key in keys {
            guard let message = items[.init(registration: registration, item: key)] else { continue }
            found[key] = StoredItem(message: message, isOpen: messages[message]?.isLiving ?? false)
        }
        return found
    }

    func openItems(registration: RegistrationID) -> [String: MessageKey] {
        var open: [String: MessageKey] = [:]
        for (origin, key) in items where origin.registration == registration {
            if messages[key]?.isLiving ?? false { open[origin.item] = key }
        }
        return open
    }
}

extension Message {
    /// Neither settled nor dead.
    fileprivate var isLiving: Bool { !state.isTerminal && state != .dead }

    /// What a settlement and an update have in common.
    fileprivate mutating func note(_ update: MessageUpdate) {
        (state, settled, settledReason) = (update.state, update.at, update.reason)
        (deliveries, consumer, receiptToken) = (update.deliveries, update.consumer, update.receiptToken)
    }
}
