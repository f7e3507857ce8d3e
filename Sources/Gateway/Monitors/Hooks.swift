/// Hands calls of servers to the monitors that take them, and their news to the intake.
package final class Hooks: Sendable {
    private let registrations: Registrations
    private let intake: Intake
    private let monitors: MonitorSupervisor

    package init(registrations: Registrations, intake: Intake, monitors: MonitorSupervisor) {
        (self.registrations, self.intake, self.monitors) = (registrations, intake, monitors)
    }

    /// A call for one app; returns when what it told is durable.
    /// - Throws: `InboundRefusal`, `GatewayError`, the store's failure.
    package func receive(_ call: InboundCall, app: AppID) async throws -> InboundAnswer {
        guard call.body.count <= InboundCall.bodyLimit else {
            throw InboundRefusal(.malformed, "the body is over \(InboundCall.bodyLimit) bytes")
        }
        guard let monitor = registrations.app(app)?.monitor as? any InboundMonitor else {
            // As for a wrong secret: nobody learns which apps there are.
            throw InboundRefusal(.unauthorized, "the caller is not known here")
        }
        let answer = try await monitor.receive(
            call, desk: Desk(app: app, registrations: registrations, intake: intake, monitors: monitors))
        if case .text(let text) = answer, text.utf8.count > InboundAnswer.textLimit {
            throw InboundRefusal(.malformed, "what is to be repeated is over \(InboundAnswer.textLimit) bytes")
        }
        return answer
    }

    private struct Desk: InboundDesk {
        let app: AppID
        let registrations: Registrations
        let intake: Intake
        let monitors: MonitorSupervisor

        func accept(_ batch: MonitorBatch, for account: AccountID) async throws {
            guard let registration = registrations.registration(of: account, app: app), registration.isWatched else {
                return
            }
            let taken: (news: Int, lag: Duration?)
            do {
                // Nothing is a baseline: what a server tells happens now.
                taken = try await intake.accept(
                    registration.id, revision: registration.credentialsRevision, batch, isBaseline: false,
                    username: nil)
            } catch is CancellationError {
                // The server stops, or the registration was changed in this moment.
                throw GatewayError(.init("unavailable", .unavailable), "try again in a moment", retryAfterSeconds: 1)
            }
            monitors.heard(registration.id, items: taken.news, lag: taken.lag)
        }
    }
}
