/// What a consumer does with a message it has locked.
public enum Settlement: Sendable, Hashable {
    /// The work is done: the message leaves the queue.
    case complete
    /// The message goes back to its place, for anyone; after `delay`, where one is given.
    case abandon(delay: Duration? = nil)
    /// The message is put aside until somebody receives it by its id.
    case `defer`
    /// The message cannot be worked on: it waits among the dead letters, with the reason.
    case deadLetter(reason: String? = nil)

    /// As the path and the batch call write it.
    var verb: String {
        switch self {
        case .complete: "complete"
        case .abandon: "abandon"
        case .defer: "defer"
        case .deadLetter: "dead-letter"
        }
    }

    var delaySeconds: Int? { if case .abandon(let delay) = self { delay?.wholeSecondsUp } else { nil } }
    var reason: String? { if case .deadLetter(let reason) = self { reason } else { nil } }
}
