package import Base
internal import Glibc

/// Turns the process's signals into values, on a thread of its own.
package enum SignalWatcher {
    package enum Signal: Sendable {
        case stop
        case reload
    }

    /// Blocks the signals in the calling thread and all it starts later: call first thing in `main`.
    package static func block() {
        var set = signals()
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// The signals as they come: SIGTERM and SIGINT stop, SIGHUP reloads.
    /// - Returns: what comes, where further ones can be put in, and what is raised by the first that stops.
    package static func watch() -> (
        stream: AsyncStream<Signal>, sink: AsyncStream<Signal>.Continuation, stop: ShutdownSignal
    ) {
        let (stream, sink) = AsyncStream<Signal>.makeStream(bufferingPolicy: .bufferingNewest(16))
        let stop = ShutdownSignal()
        SystemThread.start(name: "signals") {
            var set = signals()
            while true {
                var number: Int32 = 0
                guard unsafe sigwait(&set, &number) == 0 else { continue }
                sink.yield(number == SIGHUP ? .reload : .stop)
                if number != SIGHUP { stop.raise() }
            }
        }
        return (stream, sink, stop)
    }

    private static func signals() -> sigset_t {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP] { unsafe sigaddset(&set, number) }
        return set
    }
}
