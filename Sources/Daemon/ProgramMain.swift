internal import Base
internal import Glibc

/// The main thread of the program.
package enum ProgramMain {
    /// Runs the program with its signals blocked in every thread, and ends the process with its status.
    ///
    /// An `async main` would not do: libdispatch lets the main thread wait with no signal blocked at all, so that
    /// SIGTERM would reach it there and end the process out of order.
    package static func run(_ body: @escaping @Sendable () async -> Int32) -> Never {
        SignalWatcher.block()
        let ended = Semaphore()
        let status = Locked<Int32>(0)
        Task.detached {
            let result = await body()
            status.withLock { $0 = result }
            ended.signal()
        }
        ended.wait()
        // Not `exit`: it would take the C libraries down (OpenSSL's tables among them) while threads of ours, such
        // as the one that closes the last connections, may still be in them.
        fflush(nil)
        _exit(status.withLock { $0 })
    }
}
