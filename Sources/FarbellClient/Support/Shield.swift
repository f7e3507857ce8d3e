/// Runs `body` to its end although the caller is cancelled, and waits for it.
///
/// What is done with a message must reach the server even when the loop around it is being ended: else finished
/// work would be handed out again. The body itself must be bounded, for the caller waits.
func shielded<Result: Sendable>(_ body: @escaping @Sendable () async throws -> Result) async throws -> Result {
    try await Task { try await body() }.value
}
