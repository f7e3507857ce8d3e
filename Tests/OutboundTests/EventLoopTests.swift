import Base
import Glibc
import Testing

@testable import Outbound

@Suite(.timeLimit(.minutes(1)))
struct EventLoopTests {
    private final class Reference: @unchecked Sendable {
        // Sendable: written once before other threads see it; weak references are atomic.
        weak var loop: EventLoop?
        init(_ loop: EventLoop) { self.loop = loop }
    }

    private final class Timer: LoopTimer, @unchecked Sendable {
        // Sendable: used on the loop's thread, except `fired`, which has its lock.
        let fired = Locked(0)
        override func fire() { fired.withLock { $0 += 1 } }
    }

    @Test("losing the client's last reference ends its thread, with mail connections open")
    func ends() async throws {
        let peer = try await Peer("mail_peer.py")
        var client: HTTPClient? = try HTTPClient()
        let reference = Reference(try #require(client).loop)
        let connection = try await #require(client).connectMail(
            MailConnectionRequest(
                .imap, host: "localhost", port: peer.port, security: .none,
                login: .password(user: "ann", Secret("secret-pw"))))
        client = nil
        #expect(client == nil)
        let error = await #expect(throws: MailConnectionError.self) { try await connection.receive() }
        #expect(error?.code == .stopped)
        let stranded = try await eventually { reference.loop.map { !$0.post {} } ?? true }
        #expect(stranded)
    }

    @Test("without a descriptor left there is an error and no client")
    func descriptorLimit() async {
        // In a process of its own: the limit is the whole process's.
        await #expect(processExitsWith: .success) {
            /// The lowest free number, and with it the number of descriptors that can still be had.
            func lowest() -> Int32 {
                let free = dup(0)
                close(free)
                return free
            }
            func allow(_ count: Int) throws {
                var limit = rlimit(rlim_cur: rlim_t(count), rlim_max: 4096)
                try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            }
            for left in 0..<2 {
                var isJudged = false
                // The test process's own threads may have one open while it is looked: then the round counts for nothing.
                for _ in 0..<20 where !isJudged {
                    let free = lowest()
                    try allow(Int(free) + left)
                    var failure: (any Error)?
                    do { _ = try HTTPClient() } catch { failure = error }
                    try allow(1024)
                    var next = lowest()
                    for _ in 0..<500 where next > free {
                        usleep(10_000)
                        next = lowest()
                    }
                    // What was opened before the fault is closed.
                    #expect(next <= free)
                    guard next == free else { continue }
                    let error = failure as? HTTPTransportError
                    #expect(error?.code == .overloaded && error?.surelyNotProcessed == true)
                    isJudged = true
                }
                #expect(isJudged)
            }
        }
    }

    @Test("orders run in order, also those posted before the stop, and none after it")
    func orders() async throws {
        let loop = try EventLoop(name: "test", time: SystemTime())
        let seen = Locked([Int]())
        for index in 0..<1000 { loop.post { seen.withLock { $0.append(index) } } }
        loop.stop()
        #expect(try await eventually { !loop.post {} })
        #expect(seen.withLock { $0 } == Array(0..<1000))
    }

    @Test("a timer fires once, after its deadline")
    func timer() async throws {
        let loop = try EventLoop(name: "test", time: SystemTime())
        let timer = Timer()
        loop.post {
            timer.deadline = loop.now + .milliseconds(20)
            loop.add(timer)
        }
        let start = ContinuousClock.now
        #expect(try await eventually { timer.fired.withLock { $0 } > 0 })
        #expect(ContinuousClock.now - start >= .milliseconds(19))
        let pending = Pending<Void>()
        try await pending.wait {
            loop.post { pending.settle(.success(())) }
        } onCancel: {
        }
        #expect(timer.fired.withLock { $0 } == 1)
        loop.stop()
    }
}
