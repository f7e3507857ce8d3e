/// Awaits a body that does not see the cancellation of the task that calls: for what has to be done even then, such as
/// a farewell to a server. The body must end by a deadline of its own, because nothing else ends it.
package func uncancelled<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result {
    await Task { await body() }.value
}
