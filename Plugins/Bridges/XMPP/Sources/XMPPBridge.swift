internal import Base
internal import Gateway
internal import XML
internal import XMPPTools

/// Joins an XMPP server as a component.
final class XMPPBridge: Bridge {
    struct Settings: Sendable {
        var server: XMPPServer
        var component: String
        var secret: Secret
        var users: BridgeUsers
        var session = ComponentSession.Options()
    }

    let settings: Settings
    private let connector: any XMPPConnector
    private let time: any TimeSource
    private let log: Log

    init(_ settings: Settings, connector: any XMPPConnector, time: any TimeSource, log: Log) {
        (self.settings, self.connector, self.time, self.log) = (settings, connector, time, log)
    }

    func run(_ host: any BridgeHost) async throws {
        let stream: any XMPPStream
        do {
            stream = try await connector.connect(settings.server)
        } catch let error as XMPPConnectionFailure {
            throw BridgeFailure(.network, error.description)
        }
        defer { stream.close() }
        try await BridgeConnection(settings, stream, host, time: time, log: log).run()
    }
}

/// One connection: brings everything to its session, one after the other, and does what the session says.
final class BridgeConnection: Sendable {
    /// Calls of the host under way at once; each account's are made in order.
    static let lanes = 8

    private let settings: XMPPBridge.Settings
    private let stream: any XMPPStream
    private let host: any BridgeHost
    private let time: any TimeSource
    private let log: Log
    private let alarm: Alarm
    private let output = SessionOutput()
    private let queue: SessionQueue
    /// The reader waits until what it brought is worked off.
    private let turn = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    /// Bounded by the session: so many messages are under way, so many events of an account are not acknowledged.
    private let jobs:
        [(stream: AsyncStream<ComponentSession.Action>, sink: AsyncStream<ComponentSession.Action>.Continuation)]

    init(
        _ settings: XMPPBridge.Settings, _ stream: any XMPPStream, _ host: any BridgeHost, time: any TimeSource,
        log: Log
    ) {
        (self.settings, self.stream, self.host, self.time, self.log) = (settings, stream, host, time, log)
        alarm = Alarm(time: time)
        queue = SessionQueue(output: output)
        jobs = (0..<Self.lanes).map { _ in
            let (stream, sink) = AsyncStream.makeStream(of: ComponentSession.Action.self)
            return (stream: stream, sink: sink)
        }
    }

    /// - Throws: `BridgeFailure`, `CancellationError`.
    func run() async throws {
        defer { queue.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.read() }
            group.addTask { try await self.write() }
            group.addTask {
                while true {
                    try await self.alarm.wait()
                    self.queue.put(.time)
                }
            }
            for (stream, _) in jobs {
                group.addTask { for await job in stream { try await self.perform(job) } }
            }
            group.addTask { try await self.serve() }
            defer { group.cancelAll() }
            try await group.next()
            try Task.checkCancellation()
        }
    }

    private func read() async throws {
        while true {
            let bytes: [UInt8]?
            do {
                bytes = try await stream.receive(until: .distantFuture)
            } catch let error as CancellationError {
                throw error
            } catch {
                throw BridgeFailure(.network, "receiving failed: \(error)".printable)
            }
            guard let bytes else { continue }
            guard !bytes.isEmpty else { throw BridgeFailure(.network, "the server closed the connection") }
            queue.put(.bytes(bytes))
            for await _ in turn.stream { break }
            try Task.checkCancellation()
        }
    }

    private func write() async throws {
        while true {
            let bytes = await output.next()
            try Task.checkCancellation()
            queue.easeOff()
            do {
                try await stream.send(bytes)
            } catch let error as CancellationError {
                throw error
            } catch {
                throw BridgeFailure(.network, "sending failed: \(error)".printable)
            }
        }
    }

    // MARK: The session

    private var instant: ComponentSession.Instant { .init(now: time.now, wall: time.timestamp) }

    private func serve() async throws {
        let xml: XMLStream
        do {
            xml = try XMLStream(limits: XMPPStreamLimits.bytes, keeping: XMPPStreamLimits.kept)
        } catch {
            throw BridgeFailure(.network, "\(error)")
        }
        let (component, secret, users) = (settings.component, settings.secret, settings.users)
        let names = ComponentSession.Names(
            apps: host.apps, account: { [host] in host.account($0) }, isLinked: { [host] in host.isLinked($0) },
            presence: { [host] in host.presence(of: $0, for: $1) }, contacts: { [host] in host.contacts(of: $0) },
            contact: { [host] in host.contact($0, of: $1) })
        var session = ComponentSession(
            component: component, secret: secret, users: users, host: names, options: settings.session,
            linked: host.linked(), at: time.now)
        try step(session.start(instant), &session)
        while true {
            let inputs = await queue.next()
            try Task.checkCancellation()
            for input in inputs { try take(input, &session, xml) }
            queue.easeOff()
        }
    }

    private func take(_ input: SessionInput, _ session: inout ComponentSession, _ xml: XMLStream) throws {
        switch input {
        case .bytes(let bytes):
            let items: [XMLStreamItem]
            do {
                items = try xml.push(bytes)
            } catch {
                throw BridgeFailure(.protocolViolation, "the server's XML was refused: \(error)")
            }
            for item in items { try step(session.received(item, instant), &session) }
            // Only what went well lets the reader go on: the end of the connection, which it may find next, must not be
            // told in place of the server's refusal, or a wrong secret would be tried again.
            turn.continuation.yield()
        case .event(let event, let number, let account, let generation):
            try step(session.heard(event, number: number, account, generation: generation, instant), &session)
        case .attached(let account, let generation, let isNew):
            session.attached(account, generation: generation, isNew: isNew)
            try step([], &session)
        case .posted(let token, let result):
            session.posted(token, result)
            try step([], &session)
        case .contacted(let peer, let account, let state):
            session.contacted(peer, account, state)
            try step([], &session)
        case .time: try step(session.deadlinePassed(instant), &session)
        }
    }

    /// Sends what the session has written and does what it says.
    private func step(_ actions: [ComponentSession.Action], _ session: inout ComponentSession) throws(BridgeFailure) {
        session.askForEcho(instant)
        guard output.put(session.takeOutput()) else {
            throw BridgeFailure(.network, "the server takes nothing any more")
        }
        alarm.set(session.deadline)
        for action in actions {
            switch action {
            case .connected: host.connected()
            case .fail(let failure): throw failure
            case .undeliverable(let account, let key, let condition, let isForGood):
                note(account, key, condition, isForGood)
            case .attach(let account, _, _), .detach(let account), .arrived(let account, _), .read(_, let account),
                .presence(let account, _, _), .setContact(_, let account, _), .typing(_, let account, _),
                .edit(_, _, let account, _), .withdraw(_, _, let account):
                jobs[lane(account)].sink.yield(action)
            case .post(_, let message): jobs[lane(message.from)].sink.yield(action)
            }
        }
    }

    private func lane(_ account: AccountID) -> Int { Int(UInt(bitPattern: account.hashValue) % UInt(Self.lanes)) }

    private func note(_ account: AccountID, _ key: MessageKey, _ condition: String, _ isForGood: Bool) {
        let fields: LogFields = [
            "account": .id(account), "messageId": .key(key), "condition": .string(condition),
            "isForGood": .bool(isForGood),
        ]
        if isForGood {
            log.warning(.bridgeUndeliverable, "A message was refused at the other side; it stays in the queue", fields)
        } else {
            log.info(.bridgeUndeliverable, "A message waits until the user is there again", fields)
        }
    }

    // MARK: The host

    private func perform(_ job: ComponentSession.Action) async throws {
        switch job {
        case .attach(let account, let generation, let after):
            do {
                let inbox = AccountInbox(queue, generation: generation)
                let isNew = try await host.attach(account, inbox, after: after)
                queue.put(.attached(account, generation: generation, isNew: isNew))
            } catch is GatewayError {
                queue.put(.attached(account, generation: generation, isNew: nil))
            }
        case .detach(let account): host.detach(account)
        case .arrived(let account, let number):
            do {
                try await host.arrived(account, upTo: number)
            } catch let error as GatewayError {
                // The device was deleted meanwhile, with what it had to acknowledge.
                log.debug(
                    "bridge.late", "Something arrived for a device that is gone", ["code": .string(error.code.name)])
            }
        case .post(let token, let message):
            try await answer(token) { [host] in try await host.post(message) }
        case .edit(let token, let key, let account, let body):
            try await answer(token) { [host] in
                try await host.edit(key, by: account, body: body)
                return key
            }
        case .withdraw(let token, let key, let account):
            try await answer(token) { [host] in
                try await host.withdraw(key, by: account)
                return key
            }
        case .typing(let state, let account, let peer): host.typing(state, from: account, to: peer)
        case .read(let key, let account): try await host.read(key, by: account)
        case .presence(let account, let connection, let presence):
            host.setPresence(of: account, connection: connection, presence)
        case .setContact(let peer, let account, let isWanted):
            do {
                let state = try await host.setContact(peer, of: account, isWanted)
                queue.put(.contacted(peer, account, .some(state)))
            } catch is GatewayError {
                queue.put(.contacted(peer, account, nil))
            }
        case .connected, .fail, .undeliverable: break
        }
    }

    /// Asks the host something and brings the session its answer.
    private func answer(_ token: Int64, _ body: @Sendable () async throws -> MessageKey) async throws {
        do {
            queue.put(.posted(token: token, .success(try await body())))
        } catch let error as GatewayError {
            queue.put(.posted(token: token, .failure(error)))
        }
    }
}
