internal import Base
internal import Outbound

extension HTTPClient {
    /// Runs the client for the time of `body`.
    func whileRunning<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await self.run()
                return nil
            }
            group.addTask { try await body() }
            defer {
                beginShutdown()
                group.cancelAll()
            }
            while let result = try await group.next() { if let result { return result } }
            throw CancellationError()
        }
    }
}
