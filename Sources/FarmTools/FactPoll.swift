package import Base
package import Gateway

/// Asks a farm again and again what it sees of those whose clients say that they are in front, and nobody else.
package struct FactPoll: Sendable {
    /// After its answer a fact counts for so many rounds; then the farm is lost and its last word forgotten.
    package static let rounds = 3

    private let farm: FarmID
    private let interval: Duration
    private let time: any TimeSource
    private let log: Log

    /// - Parameter interval: from one look to the next.
    package init(farm: FarmID, interval: Duration, time: any TimeSource, log: Log) {
        (self.farm, self.interval, self.time, self.log) = (farm, interval, time, log)
    }

    /// Looks until cancelled.
    /// - Parameter look: what the farm sees of each account's clients of an app; one left out is not known. Must end by
    ///   itself: nothing else is asked meanwhile.
    package func run(
        apps: Set<AppID>, facts: any FarmFacts,
        look: @Sendable (Set<FarmSubject>) async throws -> [FarmSubject: FarmFact.State]
    ) async throws {
        var failures = 0
        while true {
            try await time.sleep(for: interval)
            let subjects = facts.inFront(apps: apps)
            if subjects.isEmpty { continue }
            let seen = time.now
            do {
                let found = try await look(subjects)
                // A farm under load answers late, and as late again the next time.
                let lasts = (time.now - seen) + interval * Self.rounds
                for (subject, state) in found { facts.take(FarmFact(subject, state, seen: seen, lasts: lasts)) }
                if failures >= Self.rounds {
                    log.info(.farmBack, "The farm says again what it sees", ["farm": .id(farm)])
                }
                failures = 0
            } catch let error as CancellationError {
                throw error
            } catch {
                try Task.checkCancellation()
                failures += 1
                guard failures == Self.rounds else { continue }
                log.warning(
                    .farmLost, "The farm does not say what it sees; only what clients report counts until it does",
                    ["farm": .id(farm), "error": .string("\(error)".printable)])
            }
        }
    }
}
