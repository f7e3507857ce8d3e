package import Base
package import GatewayTestKit
package import MailMonitoring

/// Connections whose deadlines pass by the test's clock, and not by the client's.
package struct ManualDeadlines: MailConnector {
    private let connector: any MailConnector
    private let time: ManualTime

    package init(connector: any MailConnector, time: ManualTime) { (self.connector, self.time) = (connector, time) }

    package func connect(_ login: MailLogin) async throws -> any MailStream {
        Stream(stream: try await connector.connect(login), time: time)
    }

    private struct Stream: MailStream {
        let stream: any MailStream
        let time: ManualTime

        func send(_ bytes: [UInt8]) async throws { try await stream.send(bytes) }
        func close() { stream.close() }

        func receive(until deadline: Moment) async throws -> [UInt8]? {
            try await time.receive(until: deadline) { try await stream.receive(until: .distantFuture) }
        }
    }
}

extension ManualTime {
    /// Waits for bytes until a moment of this clock: nil when it came first.
    package func receive(
        until deadline: Moment, _ next: @escaping @Sendable () async throws -> [UInt8]?
    ) async throws -> [UInt8]? {
        try await withThrowingTaskGroup(of: [UInt8]?.self) { group in
            group.addTask { try await next() }
            group.addTask {
                try await self.sleep(until: deadline)
                return nil
            }
            var bytes: [UInt8]?
            var failure: (any Error)?
            while let result = await group.nextResult() {
                switch result {
                case .success(let taken): bytes = taken ?? bytes
                // The one that lost the race is cancelled.
                case .failure(is CancellationError): break
                case .failure(let error): failure = error
                }
                group.cancelAll()
            }
            if let failure { throw failure }
            try Task.checkCancellation()
            return bytes
        }
    }
}
