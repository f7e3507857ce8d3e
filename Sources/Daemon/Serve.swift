internal import Base
internal import Gateway
internal import GatewayAPI
internal import Inbound
internal import Outbound

/// `farbell serve`: runs the gateway until a signal ends it.
package struct Serve: Sendable {
    /// How often a gateway that stands by tries whether the store is free.
    static let standbyInterval: Duration = .milliseconds(200)

    let file: String
    let environment: Environment
    /// Waits while another gateway has the store, and takes over when that has ended.
    let standsBy: Bool

    package init(file: String, standsBy: Bool = false, environment: Environment) {
        (self.file, self.standsBy, self.environment) = (file, standsBy, environment)
    }

    /// Why one run of the gateway came to its end.
    private enum Ending: Sendable {
        case stop
        case reload(Wanted)
    }

    /// A good configuration, and the outbound connections its plugins were made on.
    struct Wanted: Sendable {
        let configuration: DaemonConfiguration
        let http: HTTPClient
    }

    /// Runs; returns after an orderly stop.
    /// - Throws: `ConfigError`, `StoreError`, `InboundError`, `DaemonError`.
    package func run() async throws {
        let quiet = Log(sink: NullLogSink())
        // Read once only for the log's own settings, so that everything after it is logged as wanted.
        let first = try environment.load(file, http: HTTPClient(), log: quiet)
        let sink = FileDescriptorLogSink(format: first.logFormat)
        let log = Log(sink: sink, level: first.logLevel, time: environment.time)
        _ = DescriptorLimit.raise()
        let signals = SignalHub(SignalWatcher.watch())
        var sessions: Sessions?
        let http = try HTTPClient()
        var next = Ending.reload(
            Wanted(configuration: try environment.load(file, http: http, log: log), http: http))
        while case .reload(let wanted) = next {
            sink.format = wanted.configuration.logFormat
            log.level = wanted.configuration.logLevel
            guard let store = try await store(wanted.configuration, log, signals) else { return }
            (next, sessions) = try await once(wanted.configuration, wanted.http, store, log, signals, sessions)
        }
    }

    /// The store, as soon as it is this gateway's; nil when it was told to stop before.
    private func store(
        _ configuration: DaemonConfiguration, _ log: Log, _ signals: SignalHub
    ) async throws -> (any Store)? {
        var isWaiting = false
        while true {
            do {
                let store = try await StoreOpener.open(configuration)
                if isWaiting { log.warning(.gatewayTakeover, "The other gateway has ended; this one takes over") }
                return store
            } catch let error as StoreError where error.code == .inUse && standsBy {
                if signals.isStopAsked { return nil }
                if !isWaiting {
                    log.info(.gatewayStandby, "Another gateway has the store; this one takes over when it ends")
                }
                isWaiting = true
                try await environment.time.sleep(for: Self.standbyInterval)
            }
        }
    }

    private func once(
        _ configuration: DaemonConfiguration, _ http: HTTPClient, _ store: any Store, _ log: Log,
        _ signals: SignalHub, _ former: Sessions?
    ) async throws -> (Ending, Sessions) {
        let security = try LibrarySecurity(keyFile: configuration.keyFile)
        let token = try AdminToken.loadOrCreate(at: configuration.adminTokenFile)
        for app in configuration.gateway.apps where app.key == nil && app.keyFile != nil {
            log.warning(
                .appWithoutKey, "An app's key file is missing; it cannot call until 'farbell app key' has made one",
                ["app": .id(app.id), "file": .string(app.keyFile ?? "")])
        }
        let gateway = try await Gateway(
            configuration.gateway,
            on: Gateway.Foundation(store: store, security: security, time: environment.time, log: log))
        if let former { gateway.sessions.adopt(former) }
        let ready = ShutdownSignal()
        var options = APIOptions(
            publicURL: configuration.publicURL, version: Version.number, adminToken: token,
            isStarted: { ready.isRaised }, configurationProblems: { problems(http) },
            reload: { signals.requestReload() })
        options.trustedProxies = Set(configuration.listen.trustedProxies)
        options.filesURL = configuration.filesURL
        let handler = APIHandler(gateway: gateway, options: options)
        let server = try Server(serverConfiguration(configuration), handler: handler, log: log, time: environment.time)
        try server.listen()
        let reporter = StatsReporter(gateway: gateway, interval: configuration.statsInterval, log: log)
        let start = Start(
            gateway: gateway, ready: ready, port: Int(server.port ?? 0), configuration: configuration, log: log)
        let doors = AfterStart(server: server, ready: ready)
        let group = ServiceGroup(
            [http] + gateway.services + handler.services + [reporter, start, doors], time: environment.time)
        let ending = Locked(Ending.stop)
        do {
            try await group.run {
                if let wanted = await signals.ending({ check(log) }) {
                    ending.withLock { $0 = .reload(wanted) }
                }
                log.info(.gatewayStopping, "The gateway stops")
            }
        } catch let missed as ServiceGroup.MissedDeadline {
            // Nothing is lost: what was under way is in the store and goes on at the next start.
            log.warning(.gatewayStopping, "A part did not end in time and was cut off", ["error": .string("\(missed)")])
        } catch {
            log.error(.gatewayFailed, "A part of the gateway failed; it ends", ["error": .string("\(error)")])
            throw error
        }
        log.info(.gatewayStopped, "The gateway has stopped")
        return (ending.withLock { $0 }, gateway.sessions)
    }

    /// What is wrong with the configuration file as it stands now.
    private func problems(_ http: HTTPClient) -> [String] {
        do {
            _ = try environment.load(file, http: http, log: Log(sink: NullLogSink()))
            return []
        } catch let error as ConfigError {
            return error.problems.map(\.description)
        } catch {
            return ["\(error)"]
        }
    }

    /// A new configuration, if the file holds a good one; a bad one is logged and the old goes on.
    private func check(_ log: Log) -> Wanted? {
        do {
            let http = try HTTPClient()
            let configuration = try environment.load(file, http: http, log: log)
            log.info(.configReloaded, "The configuration was read again; the parts start anew with it")
            return Wanted(configuration: configuration, http: http)
        } catch let error as HTTPTransportError {
            // Nothing is wrong with the file: the process is short of descriptors.
            log.error(
                .configInvalid, "The configuration cannot be read again now; the old one goes on",
                ["error": .string("\(error)")])
            return nil
        } catch {
            log.error(
                .configInvalid, "The configuration has faults; the old one goes on", ["problems": .string("\(error)")])
            return nil
        }
    }

    private func serverConfiguration(_ configuration: DaemonConfiguration) -> ServerConfiguration {
        var server = ServerConfiguration(
            address: configuration.listen.address, port: UInt16(configuration.listen.port))
        if let certificate = configuration.listen.certificate, let key = configuration.listen.key {
            server.tls = TLSFiles(certificate: certificate, key: key)
        }
        server.limits.bodyBytes = configuration.gateway.limits.bodyBytes
        server.limits.connectionBytes = configuration.gateway.limits.headerBytes
        server.limits.connections = configuration.gateway.limits.connections
        return server
    }
}

/// Passes signals, and requests to reload that came through the admin interface, to whichever run of the gateway
/// is on. One stream for both, read by one run after the other: a reader that is cancelled would end it for all.
final class SignalHub: Sendable {
    private let events: AsyncStream<SignalWatcher.Signal>
    private let sink: AsyncStream<SignalWatcher.Signal>.Continuation
    private let stop: ShutdownSignal

    init(
        _ watched: (
            stream: AsyncStream<SignalWatcher.Signal>, sink: AsyncStream<SignalWatcher.Signal>.Continuation,
            stop: ShutdownSignal
        )
    ) { (events, sink, stop) = watched }

    /// Whether a signal to stop has come.
    var isStopAsked: Bool { stop.isRaised }

    func requestReload() { sink.yield(.reload) }

    /// Waits for the end of this run: nil to stop, a configuration to go on with.
    func ending(_ check: () -> Serve.Wanted?) async -> Serve.Wanted? {
        for await event in events {
            if case .stop = event { return nil }
            if let wanted = check() { return wanted }
        }
        return nil
    }
}

/// Lets requests in once everything stored has been taken up; callers wait in the queue of the port until then.
struct AfterStart: Service {
    let name = "http"
    let server: Server
    let ready: ShutdownSignal

    func run() async throws {
        await ready.wait()
        try await server.run()
    }

    func beginShutdown() {
        ready.raise()
        server.beginShutdown()
    }
}

/// Takes up what was left at the last stop, then says that the gateway is there.
struct Start: Service {
    let name = "start"
    let gateway: Gateway
    let ready: ShutdownSignal
    let port: Int
    let configuration: DaemonConfiguration
    let log: Log
    private let stopped = ShutdownSignal()

    init(gateway: Gateway, ready: ShutdownSignal, port: Int, configuration: DaemonConfiguration, log: Log) {
        (self.gateway, self.ready, self.port) = (gateway, ready, port)
        (self.configuration, self.log) = (configuration, log)
    }

    func run() async throws {
        let begin = gateway.time.now
        try await gateway.resume()
        ready.raise()
        log.info(
            .gatewayStarted, "The gateway is ready",
            [
                "version": .string(Version.number), "address": .string(configuration.listen.address),
                "port": .count(port),
                "publicURL": .string(configuration.publicURL), "accounts": .count(gateway.accounts.all().count),
                "registrations": .count(gateway.registrations.all().count),
                "openMessages": .count(gateway.mailroom.openTotal),
                "milliseconds": .milliseconds(gateway.time.now - begin),
            ])
        await stopped.wait()
    }

    func beginShutdown() { stopped.raise() }
}
