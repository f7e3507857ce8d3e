internal import Base
internal import Glibc
internal import Inbound

/// `inbound-peer`: our HTTP server with routes that do nothing, as a process of its own for the other
/// benchmarks to measure. Prints its port, and ends with its standard input.
struct InboundPeer: Sendable {
    static let options: Set<String> = ["threads"]

    private let threads: Int?

    /// - Throws: `BenchError` (usage).
    init(_ options: BenchOptions) throws {
        let number = try options.number("threads", 0, quick: 0)
        threads = number == 0 ? nil : number
    }

    func run() async throws -> Bool {
        let streams = Locked<[EventStream]>([])
        let hand = OtherHand()
        defer { hand.stop() }
        let server = try Server(
            ServerConfiguration(threads: threads), handler: routes(streams, hand), log: Log(sink: NullLogSink()))
        try server.listen()
        Report.print("port \(server.port ?? 0)")
        SystemThread.start(name: "input") {
            var byte: UInt8 = 0
            while unsafe read(STDIN_FILENO, &byte, 1) > 0 {}
            server.beginShutdown()
        }
        try await server.run()
        return true
    }

    private func routes(_ streams: Locked<[EventStream]>, _ hand: OtherHand) -> Router {
        var router = Router()
        router.addNow("POST", "/now") { .json(bytes: $0.body) }
        router.add("POST", "/later") { request in
            .later {
                await withCheckedContinuation { continuation in
                    hand.take { continuation.resume(returning: .json(bytes: request.body)) }
                }
            }
        }
        router.add("POST", "/when-done") { request in
            .whenDone { responder in
                hand.take { responder.answer(.json(bytes: request.body)) }
            }
        }
        router.addNow("GET", "/stream") { _ in
            let stream = EventStream()
            streams.withLock { $0.append(stream) }
            return .stream(stream)
        }
        // One event to each stream, out of one thread; its data is when the first began, in nanoseconds.
        router.addNow("POST", "/wake") { _ in
            let begin = MonotonicClock.nanoseconds
            let data = Array("\(begin)".utf8)
            for (number, stream) in streams.withLock({ $0 }).enumerated() {
                stream.send(id: UInt64(number), event: "message", data: data)
            }
            return .json(["nanoseconds": .integer(MonotonicClock.nanoseconds - begin)])
        }
        return router
    }
}

/// The clock that all processes of the machine share.
enum MonotonicClock {
    static var nanoseconds: Int64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Another thread that answers requests, as the store's writer does.
private final class OtherHand: Sendable {
    private struct State {
        var waiting: [@Sendable () -> Void] = []
        var isOver = false
    }

    private let state = Locked(State())
    private let wake = Semaphore()

    init() {
        let (state, wake) = (state, wake)
        SystemThread.start(name: "other-hand") {
            while true {
                wake.wait()
                let (work, isOver) = state.withLock { state in
                    defer { state.waiting = [] }
                    return (state.waiting, state.isOver)
                }
                for piece in work { piece() }
                if isOver { return }
            }
        }
    }

    func take(_ work: @escaping @Sendable () -> Void) {
        let isFirst = state.withLock { state in
            state.waiting.append(work)
            return state.waiting.count == 1
        }
        if isFirst { wake.signal() }
    }

    func stop() {
        state.withLock { $0.isOver = true }
        wake.signal()
    }
}
