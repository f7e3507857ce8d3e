package import Outbound

/// The daemon's client in tests.
package enum OutboundClient {
    /// A running client for the time of a test.
    package static func during<Result: Sendable>(
        _ body: @escaping @Sendable (HTTPClient) async throws -> Result
    ) async throws -> Result {
        let client = try HTTPClient()
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                try await client.run()
                return nil
            }
            group.addTask { try await body(client) }
            defer { client.beginShutdown() }
            while let next = try await group.next() {
                if let result = next {
                    group.cancelAll()
                    return result
                }
            }
            throw CancellationError()
        }
    }
}
