package import Base

/// The devices' connections: one a device, fenced by an epoch; each is first replayed what it missed and
/// then hears everything in the order of the numbers, without a gap.
package final class StreamHub: Service {
    /// Entries read from the store at a time while replaying.
    static let replayPage = 200
    /// Replays under way at once; others wait their turn.
    static let replaysAtOnce = 64

    private enum Mode: Sendable {
        /// What is stored up to this number has been sent.
        case replaying(position: Int64)
        case live
    }

    private struct Connection: Sendable {
        let device: DeviceID
        let account: AccountID
        let epoch: Int64
        let stream: any DeviceStream
        var mode: Mode
        /// The highest number sent.
        var sent: Int64
    }

    private struct State {
        var connections: [DeviceID: Connection] = [:]
        var byAccount: [AccountID: Set<DeviceID>] = [:]
        var nextEpoch: Int64
        /// What devices that went away had been sent, so that a late acknowledgement still counts.
        var lastSent: [DeviceID: Int64] = [:]
    }

    package let name = "streams"
    private let state: Locked<State>
    private let mailroom: Mailroom
    private let store: any Store
    private let log: Log
    private let replays: AsyncStream<(DeviceID, Int64)>
    private let replayRequests: AsyncStream<(DeviceID, Int64)>.Continuation
    private let observers = Locked<[Observer]>([])

    /// Called with a device, its account, and whether its connection opened (true) or ended (false).
    package typealias Observer = @Sendable (DeviceID, AccountID, Bool) -> Void

    package init(mailroom: Mailroom, store: any Store, time: any TimeSource, log: Log) {
        (self.mailroom, self.store, self.log) = (mailroom, store, log)
        // Epochs go on rising over a restart, so that an old connection is never mistaken for a new one.
        state = Locked(State(nextEpoch: time.timestamp.milliseconds))
        (replays, replayRequests) = AsyncStream.makeStream()
        mailroom.onPublish { [weak self] account, publication in self?.publish(account, publication) }
    }

    /// Who is told of connections; without any lock.
    package func onChange(_ body: @escaping Observer) { observers.withLock { $0.append(body) } }

    private func tell(_ device: DeviceID, _ account: AccountID, isOpen: Bool) {
        for observer in observers.withLock({ $0 }) { observer(device, account, isOpen) }
    }

    /// Whether the device is connected and has caught up: only then does it hear news at once.
    package func isLive(_ device: DeviceID) -> Bool {
        state.withLock { state in
            if case .live = state.connections[device]?.mode { true } else { false }
        }
    }
    /// Whether the device has a connection, caught up or not.
    package func isConnected(_ device: DeviceID) -> Bool { state.withLock { $0.connections[device] != nil } }
    /// Whether any of the account's devices has a connection.
    package func isConnected(account: AccountID) -> Bool { state.withLock { $0.byAccount[account] != nil } }
    package var count: Int { state.withLock { $0.connections.count } }

    /// Takes a device's new connection; an older one of the same device is closed (fenced by the epoch).
    /// Events follow after number `after`.
    package func open(_ device: Device, stream: any DeviceStream, after: Int64) {
        let (epoch, fenced) = state.withLock { state in
            let epoch = state.nextEpoch
            state.nextEpoch += 1
            let fenced = state.connections[device.id]?.stream
            state.connections[device.id] = Connection(
                device: device.id, account: device.account, epoch: epoch, stream: stream,
                mode: .replaying(position: after), sent: after)
            state.byAccount[device.account, default: []].insert(device.id)
            return (epoch, fenced)
        }
        fenced?.close()
        log.info(.streamOpened, "A device's stream is open", ["device": .id(device.id), "epoch": .integer(epoch)])
        _ = stream.send(.hello(device: device.id, epoch: epoch, cursor: device.cursor), number: nil)
        tell(device.id, device.account, isOpen: true)
        replayRequests.yield((device.id, epoch))
    }

    /// The connection has ended. An older connection's end does not touch a newer one.
    package func closed(_ device: DeviceID, stream: any DeviceStream, reason: String) {
        let ended = state.withLock { state -> AccountID? in
            guard let connection = state.connections[device], connection.stream === stream else { return nil }
            remove(connection, from: &state)
            return connection.account
        }
        guard let account = ended else { return }
        log.info(.streamClosed, "A device's stream ended", ["device": .id(device), "reason": .string(reason)])
        tell(device, account, isOpen: false)
    }

    /// Ends a device's connection, such as when its token is revoked.
    package func disconnect(_ device: DeviceID) {
        state.withLock { $0.connections[device]?.stream }?.close()
    }

    /// Ends a deleted device's connection and forgets what it was sent.
    package func forget(_ device: DeviceID) {
        disconnect(device)
        state.withLock { $0.lastSent[device] = nil }
    }

    /// Announces on a device's stream, in turn with the stored events; returns the event's number.
    package func announce(_ notification: Notification) -> Int64 {
        mailroom.pass(to: notification.account, device: notification.device) { _ in .notify(notification) }
    }

    /// The highest number a device may have heard of; an acknowledgement beyond it is a mistake.
    package func highestSent(_ device: DeviceID) -> Int64? {
        state.withLock { state in
            [state.connections[device]?.sent, state.lastSent[device]].compactMap { $0 }.max()
        }
    }

    private func remove(_ connection: Connection, from state: inout State) {
        state.lastSent[connection.device] = max(state.lastSent[connection.device] ?? 0, connection.sent)
        state.connections[connection.device] = nil
        state.byAccount[connection.account]?.remove(connection.device)
        if state.byAccount[connection.account]?.isEmpty == true { state.byAccount[connection.account] = nil }
    }

    /// Passes on what was published, to the connections that are live and have not had it from the store.
    private func publish(_ account: AccountID, _ publication: Mailroom.Publication) {
        let (event, number, only) = Self.event(publication, account)
        state.withLock { state in
            for device in state.byAccount[account] ?? [] where only == nil || only == device {
                guard let connection = state.connections[device], case .live = connection.mode,
                    number > connection.sent, connection.stream.send(event, number: number)
                else { continue }
                state.connections[device]?.sent = number
            }
        }
    }

    private static func event(
        _ publication: Mailroom.Publication, _ account: AccountID
    ) -> (StreamEvent, Int64, DeviceID?) {
        switch publication {
        case .message(let message, let number, let device): (.message(message), number, device)
        case .event(let event): (.stored(event), event.number, event.device)
        case .passing(let event, let number, let device): (event, number, device)
        case .entry(let entry, let number):
            (.entry(entry, peer: entry.pair.peer(of: .account(account))), number, nil)
        }
    }

    // MARK: Replay

    package func run() async throws {
        await withTaskGroup(of: Void.self) { group in
            var running = 0
            for await (device, epoch) in replays {
                if running >= Self.replaysAtOnce {
                    await group.next()
                    running -= 1
                }
                running += 1
                group.addTask { await self.replay(device, epoch) }
            }
            group.cancelAll()
        }
    }

    package func beginShutdown() {
        replayRequests.finish()
        for stream in state.withLock({ $0.connections.values.map(\.stream) }) { stream.close() }
    }

    /// Sends what is stored after the connection's position, page by page, and makes it live in the moment
    /// in which nothing newer is stored.
    private func replay(_ device: DeviceID, _ epoch: Int64) async {
        while !Task.isCancelled {
            guard let (stream, account, position) = replaying(device, epoch) else { return }
            // What is published after this look may be missing in what is read now.
            let published = mailroom.published(account)
            let entries: [Entry]
            do {
                entries = try await read(account, device, after: position)
            } catch {
                log.error(
                    .storageFailed, "A replay could not be read; the device will connect again", ["device": .id(device)]
                )
                stream.close()
                return
            }
            if entries.isEmpty {
                if goLive(device, epoch, published: published, account: account) { return }
                continue
            }
            // Asked after each entry: a page of large messages is more than a connection may have waiting.
            for entry in entries {
                guard send(entry, to: device, epoch, stream), await stream.drained() else { return }
            }
        }
    }

    /// One entry of a replay: what is sent, if anything is for this device, and the number it stands under.
    private typealias Entry = (number: Int64, event: StreamEvent?)

    private func read(_ account: AccountID, _ device: DeviceID, after position: Int64) async throws -> [Entry] {
        let queues = mailroom.streamQueues(account: account, device: device)
        if queues.isEmpty { return [] }
        var entries: [Entry] = []
        for entry in try await store.entries(queues: queues, after: position, limit: Self.replayPage) {
            switch entry {
            case .message(let message): entries.append((entry.number, .message(message)))
            case .event(let event) where event.device != nil && event.device != device:
                entries.append((entry.number, nil))
            case .event(let event) where event.kind == .due:
                // Settled since: there is nothing to send any more.
                let key = (try? JSONParser.parse(event.data))?.string.flatMap { MessageKey($0) }
                let message = try await store.messages(key.map { [$0] } ?? []).first
                entries.append((entry.number, message.map { .message($0) }))
            case .event(let event) where event.kind == .conversation:
                entries.append((entry.number, try await conversation(event, of: account)))
            case .event(let event): entries.append((entry.number, .stored(event)))
            }
        }
        return entries
    }

    /// What a conversation's event says now: an entry is sent as it has become. Nil when it is gone.
    private func conversation(_ event: StoredEvent, of account: AccountID) async throws -> StreamEvent? {
        guard let data = try? JSONParser.parse(event.data), let number = data["number"]?.integer else {
            return .stored(event)
        }
        // With a conversation's end its numbers may come to stand for others.
        guard let entry = try await store.entry(number), let peer = data["peer"]?.string.flatMap({ QueueAddress($0) }),
            ConversationPair(.account(account), peer) == entry.pair
        else { return nil }
        return .entry(entry, peer: peer)
    }

    private func replaying(_ device: DeviceID, _ epoch: Int64) -> (any DeviceStream, AccountID, Int64)? {
        state.withLock { state in
            guard let connection = state.connections[device], connection.epoch == epoch,
                case .replaying(let position) = connection.mode
            else { return nil }
            return (connection.stream, connection.account, position)
        }
    }

    private func send(_ entry: Entry, to device: DeviceID, _ epoch: Int64, _ stream: any DeviceStream) -> Bool {
        state.withLock { state in
            guard let connection = state.connections[device], connection.epoch == epoch else { return false }
            if let event = entry.event, !stream.send(event, number: entry.number) { return false }
            state.connections[device]?.mode = .replaying(position: entry.number)
            state.connections[device]?.sent = max(connection.sent, entry.number)
            return true
        }
    }

    /// True when the connection is live (or gone); false when something was published since the look.
    private func goLive(_ device: DeviceID, _ epoch: Int64, published: Int64, account: AccountID) -> Bool {
        state.withLock { state in
            guard let connection = state.connections[device], connection.epoch == epoch else { return true }
            // The mailroom counts a publication before it passes it on through this same lock: one that is
            // not counted yet will find the connection live.
            guard mailroom.published(account) == published else { return false }
            state.connections[device]?.mode = .live
            return true
        }
    }
}
