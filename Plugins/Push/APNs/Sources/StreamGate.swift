internal import Base
internal import Gateway

/// Lets one push through until the first has succeeded: until then Apple allows a single stream on a
/// connection. An era ends when the credential is refused or the connection is lost; whoever waits at
/// that moment shares the verdict, so that a dead service costs one wait and not one for each push.
struct StreamGate: Sendable {
    /// A push's place: its era tells late answers of an older connection apart.
    struct Pass: Sendable, Hashable {
        fileprivate let era: Int
        fileprivate let isProbe: Bool
    }

    enum Entry: Sendable, Hashable {
        case proceed(Pass)
        /// Wait under this number.
        case wait(Int)
    }

    enum Action: Sendable, Hashable {
        case admit(Int, Pass)
        case refuse(Int)
    }

    /// What a push's end says about the connection.
    enum Result: Sendable, Hashable {
        case success
        /// Another answer: neither opens nor closes.
        case answer
        /// The credential was refused or the connection is gone.
        case broken
    }

    private var era = 0
    private var isOpen = false
    private var hasProbe = false
    private var nextNumber = 0
    private(set) var waiting: [Int] = []

    mutating func enter() -> Entry {
        if isOpen { return .proceed(Pass(era: era, isProbe: false)) }
        if !hasProbe {
            hasProbe = true
            return .proceed(Pass(era: era, isProbe: true))
        }
        nextNumber += 1
        waiting.append(nextNumber)
        return .wait(nextNumber)
    }

    /// Whether a push's era still lasts.
    func isCurrent(_ pass: Pass) -> Bool { pass.era == era }

    /// A push is over.
    mutating func leave(_ pass: Pass, _ result: Result) -> [Action] {
        guard pass.era == era else { return [] }
        switch result {
        case .success:
            isOpen = true
            hasProbe = false
            defer { waiting = [] }
            return waiting.map { .admit($0, Pass(era: era, isProbe: false)) }
        case .broken:
            era += 1
            (isOpen, hasProbe) = (false, false)
            defer { waiting = [] }
            return waiting.map { .refuse($0) }
        case .answer:
            guard pass.isProbe, !isOpen else { return [] }
            if waiting.isEmpty {
                hasProbe = false
                return []
            }
            return [.admit(waiting.removeFirst(), Pass(era: era, isProbe: true))]
        }
    }

    /// Somebody who waited was cancelled.
    mutating func giveUp(_ number: Int) { waiting.removeAll { $0 == number } }
}

/// `StreamGate` with tasks that wait.
final class StreamGateKeeper: Sendable {
    private struct State {
        var gate = StreamGate()
        var tasks: [Int: CheckedContinuation<StreamGate.Pass?, Never>] = [:]
        /// Actions that came before their task was ready for them.
        var early: [Int: StreamGate.Pass?] = [:]
        /// What ended the last era, for those who waited.
        var verdict = PushReport(.retry(after: nil, .service), reason: "stopped")

        /// The tasks that actions concern, with what they are to get.
        mutating func tasks(
            for actions: [StreamGate.Action]
        ) -> [(CheckedContinuation<StreamGate.Pass?, Never>, StreamGate.Pass?)] {
            actions.compactMap { action in
                let (number, pass): (Int, StreamGate.Pass?) =
                    switch action {
                    case .admit(let number, let pass): (number, pass)
                    case .refuse(let number): (number, nil)
                    }
                if let task = tasks.removeValue(forKey: number) { return (task, pass) }
                early[number] = .some(pass)
                return nil
            }
        }
    }

    private let state = Locked(State())

    /// The report to give to those who were refused.
    var verdict: PushReport { state.withLock { $0.verdict } }

    /// How many pushes stand in line.
    var waitingCount: Int { state.withLock { $0.gate.waiting.count } }

    /// Returns the pass; nil when the push must not be sent: see `verdict`.
    func enter() async -> StreamGate.Pass? {
        let entry = state.withLock { $0.gate.enter() }
        let number: Int
        switch entry {
        case .proceed(let pass): return pass
        case .wait(let place): number = place
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided: StreamGate.Pass?? = state.withLock { state in
                    if let early = state.early.removeValue(forKey: number) { return .some(early) }
                    if Task.isCancelled {
                        state.gate.giveUp(number)
                        return .some(nil)
                    }
                    state.tasks[number] = continuation
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            let task = state.withLock { state in
                state.gate.giveUp(number)
                return state.tasks.removeValue(forKey: number)
            }
            task?.resume(returning: nil)
        }
    }

    /// A push is over.
    /// - Returns: whether it ended an era: the first of those that find the credential refused or the service gone.
    func leave(_ pass: StreamGate.Pass, _ result: StreamGate.Result, _ report: PushReport) -> Bool {
        let (ended, resumed) = state.withLock { state in
            let ended = result == .broken && state.gate.isCurrent(pass)
            if ended { state.verdict = report }
            let actions = state.gate.leave(pass, result)
            return (ended, actions.isEmpty ? [] : state.tasks(for: actions))
        }
        for (task, pass) in resumed { task.resume(returning: pass) }
        return ended
    }
}
