package import Gateway

extension MonitorHost {
    /// Emits changes in batches of at most `MonitorBatch.changeLimit`. Only the last one brings the new cursor: after a
    /// crash between them the old one repeats what is known, and loses nothing.
    package func emit(_ changes: [MonitorBatch.Change], before: [UInt8], after: [UInt8]) async throws {
        var rest = changes[...]
        while rest.count > MonitorBatch.changeLimit {
            try await emit(MonitorBatch(changes: Array(rest.prefix(MonitorBatch.changeLimit)), cursor: before))
            rest = rest.dropFirst(MonitorBatch.changeLimit)
        }
        try await emit(MonitorBatch(changes: Array(rest), cursor: after))
    }
}

extension MonitorBatch {
    /// Changes of the largest batch.
    package static let changeLimit = 500
}
