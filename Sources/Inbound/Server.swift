package import Base
internal import Glibc

/// The HTTP server: accepts connections, hands requests to a handler and carries event streams.
///
/// Requests are read and answered on the library's threads. What a handler answers with `.later` runs in
/// one task group inside `run()`, `.whenDone` waits for its responder; the connection sleeps meanwhile and
/// costs no thread.
package final class Server: Service {
    /// Numbers for the log and for metrics.
    package struct Statistics: Sendable, Hashable {
        /// Open connections, without those that carry streams unless over TLS.
        package let connections: Int
        package let streams: Int
        /// Requests that are not answered completely, streams included.
        package let activeRequests: Int
        /// Requests that tasks work on, that wait for one, or that wait for their responder.
        package let pendingRequests: Int
        /// Requests since the start.
        package let requests: UInt64
    }

    private struct State {
        var socket: Int32?
        var port: UInt16?
    }

    package let name = "http"
    private let configuration: ServerConfiguration
    private let core: ServerCore
    private let time: any TimeSource
    private let state = Locked(State())
    private let shutdown = ShutdownSignal()

    /// Reads the certificate, but does not listen yet.
    /// - Throws: `InboundError`.
    package init(
        _ configuration: ServerConfiguration, handler: any RequestHandler, log: Log,
        time: any TimeSource = SystemTime()
    ) throws(InboundError) {
        self.configuration = configuration
        self.time = time
        core = try ServerCore(configuration, handler: handler, log: log, time: time)
    }

    deinit { if let socket = state.withLock({ $0.socket }) { close(socket) } }

    /// The port that is listened on, once `listen()` was called.
    package var port: UInt16? { state.withLock { $0.port } }

    package var statistics: Statistics {
        let gate = core.gate.withLock { $0 }
        return Statistics(
            connections: core.connections.count, streams: core.streams.count, activeRequests: gate.active,
            pendingRequests: core.channel.pending, requests: gate.total)
    }

    /// Opens the port. Clients that connect now are answered once `run()` is called, which calls this too.
    /// - Throws: `InboundError` that names address and port.
    package func listen() throws(InboundError) {
        guard port == nil else { return }
        let listener = try Listener(
            address: configuration.address, port: configuration.port, backlog: configuration.limits.backlog)
        state.withLock { ($0.socket, $0.port) = (listener.descriptor, listener.port) }
    }

    /// Reads the certificate and key again, for the connections to come.
    /// - Throws: `InboundError`; the old ones stay in use.
    package func reloadCertificate() throws(InboundError) {
        guard let files = configuration.tls, let certificates = core.certificates else { return }
        try certificates.reload(files, now: time.now)
    }

    package func beginShutdown() { shutdown.raise() }

    /// Serves until `beginShutdown()`; then finishes what runs, within `ServerLimits.drainTimeout`. When
    /// cancelled, cancels the tasks that work on answers and ends when they have ended.
    /// - Throws: `InboundError` when it cannot start.
    package func run() async throws {
        try listen()
        guard let socket = state.withLock({ $0.socket }) else { return }
        let threads = configuration.threads ?? max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let daemon = try Daemon(core, threads: threads)
        // From here on the socket is the acceptor's.
        state.withLock { $0.socket = nil }
        let acceptor: Acceptor
        do {
            acceptor = try Acceptor(listening: socket, daemon: daemon)
        } catch {
            daemon.stop()
            throw error
        }
        core.streams.start()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.tick() }
            group.addTask { await self.drainWhenAsked(daemon) }
            while let requests = await core.channel.take() {
                for request in requests { group.addTask { await self.core.answer(request) } }
            }
            group.cancelAll()
        }
        // No task is left that could resume a connection, and no stream that could put one to sleep.
        await withCheckedContinuation { continuation in
            SystemThread.start(name: "http-stop") {
                acceptor.stop()
                daemon.stop()
                self.core.streams.stop()
                continuation.resume()
            }
        }
    }

    /// The one timer.
    private func tick() async {
        while (try? await time.sleep(for: configuration.limits.stream.tick)) != nil {
            let now = time.now
            core.streams.tick(now: now)
            core.connections.tick(now: now)
        }
    }

    private func drainWhenAsked(_ daemon: Daemon) async {
        await shutdown.wait()
        let isIdle = core.gate.withLock { $0.drain() }
        if isIdle { core.idle.raise() }
        core.streams.close()
        for pending in core.channel.drain() { pending.cancel() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.core.idle.wait() }
            group.addTask { try? await self.time.sleep(for: self.configuration.limits.drainTimeout) }
            await group.next()
            group.cancelAll()
        }
        for pending in core.channel.close() { pending.finish(.problem(.stopping)) }
    }
}
