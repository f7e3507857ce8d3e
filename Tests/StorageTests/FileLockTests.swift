import Base
import GatewayTestKit
import Glibc
import Testing

@testable import Storage

@Suite struct FileLockTests {
    @Test("a lock that is refused closes its descriptor once")
    func refused() async throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/lock"
        // In a process of its own, where nobody else takes the number meanwhile.
        await #expect(processExitsWith: .success) { [path = path as String] in
            let held = try FileLock(path: path)
            let (isOver, lost) = (Locked(false), Locked(0))
            // Somebody who opens and closes files beside it, and finds them closed by others.
            SystemThread.start(name: "victim") {
                while !isOver.withLock({ $0 }) {
                    let mine = dup(0)
                    if close(mine) != 0 { lost.withLock { $0 += 1 } }
                }
                isOver.withLock { $0 = false }
            }
            for _ in 0..<20_000 { _ = try? FileLock(path: path) }
            isOver.withLock { $0 = true }
            while isOver.withLock({ $0 }) { await Task.yield() }
            #expect(lost.withLock { $0 } == 0)
            withExtendedLifetime(held) {}
        }
    }
}
