internal import Base
internal import CMicroHTTPD
internal import Glibc

/// Accepts connections, on a thread of its own, and hands them to the library's threads in turn.
///
/// Left to the library, whichever of its threads wakes first takes all that wait: of 64 connections opened at
/// once one thread had nearly all, and did nearly all the work. It also saves us `MHD_quiesce_daemon`, which may
/// end the process (0.9.75).
final class Acceptor: @unchecked Sendable {
    // Sendable: the descriptors never change, and the library takes connections from any thread.

    /// How long nothing is accepted after the process or the system had no descriptor or memory left.
    private static let shortagePause: Int32 = 100

    private let listening: Int32
    private let wake: Int32
    private let daemon: Daemon
    private let ended = Semaphore()

    /// Takes over the listening socket and starts.
    /// - Throws: `InboundError`; then the socket is closed.
    init(listening: Int32, daemon: Daemon) throws(InboundError) {
        (self.listening, self.daemon) = (listening, daemon)
        wake = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wake >= 0 else {
            // `deinit` runs also after this and closes the socket.
            throw InboundError(
                .start, "no descriptor is left to accept connections with", underlying: FileSystem.lastError)
        }
        SystemThread.start(name: "http-accept", stackBytes: 262_144) { [self] in
            run()
            ended.signal()
        }
    }

    deinit {
        close(listening)
        if wake >= 0 { close(wake) }
    }

    /// Ends accepting; blocks until the thread has ended.
    func stop() {
        eventfd_write(wake, 1)
        ended.wait()
    }

    private func run() {
        var isShort = false
        while true {
            var watched = [
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
                pollfd(fd: listening, events: Int16(POLLIN), revents: 0),
            ]
            // While descriptors are short the socket stays readable: looking at it would only spin.
            let count = nfds_t(isShort ? 1 : 2)
            _ = unsafe poll(&watched, count, isShort ? Self.shortagePause : -1)
            if watched[0].revents != 0 { return }
            isShort = !acceptAll()
        }
    }

    /// Takes all that wait; false when descriptors or memory ran out.
    private func acceptAll() -> Bool {
        while true {
            var peer = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = unsafe farbell_accept(listening, &peer, &size)
            if descriptor >= 0 {
                daemon.add(ConnectionLoop.Arrival(descriptor: descriptor, peer: peer, size: size))
                continue
            }
            switch errno {
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return false
            // The client was gone before it was accepted.
            case ECONNABORTED, EINTR, EPROTO: continue
            default: return true
            }
        }
    }
}
