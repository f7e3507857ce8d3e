internal import Base

/// What a monitor reports to.
final class SupervisedHost: MonitorHost {
    private let id: RegistrationID
    private let revision: Int64
    private let username: String?
    private let supervisor: MonitorSupervisor
    private let hasCursor: Locked<Bool>
    private let fields: LogFields

    init(_ registration: Registration, username: String?, _ supervisor: MonitorSupervisor, _ fields: LogFields) {
        (id, revision) = (registration.id, registration.credentialsRevision)
        (self.username, self.supervisor, self.fields) = (username, supervisor, fields)
        hasCursor = Locked(registration.cursor != nil)
    }

    func emit(_ batch: MonitorBatch) async throws {
        try Task.checkCancellation()
        let isBaseline = !hasCursor.withLock { $0 }
        let (news, lag) = try await supervisor.intake.accept(
            id, revision: revision, batch, isBaseline: isBaseline, username: username)
        hasCursor.withLock { $0 = true }
        heard(news, lag)
    }

    func watching() {
        supervisor.log.info(.monitorWatching, "A monitor would see news from now on", fields)
        heard()
        supervisor.step { $0.watching(id, now: supervisor.time.now, at: supervisor.time.timestamp) }
        supervisor.registrations.proved(id, revision: revision)
    }

    func replaced(_ field: String, with value: Secret) async throws {
        try await supervisor.registrations.replace(field, with: value, of: id, revision: revision)
    }

    func heard() { heard(0, nil) }

    private func heard(_ news: Int, _ lag: Duration?) {
        supervisor.heard(id, items: news, lag: lag, fields)
    }
}
