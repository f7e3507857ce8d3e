package import Base

/// Why there is no access token, in the words of those who need one.
package protocol TokenFault: Sendable, Hashable {
    /// Whoever asked was cancelled: nobody's fault.
    static var cancelled: Self { get }
}

/// The access token of one credential, for all who need it: `AccessTokenCache` with tasks that wait.
package final class SharedTokens<Fault: TokenFault>: Sendable {
    /// What asking the authorization server came to.
    package enum Grant: Sendable, Hashable {
        case granted(Secret, life: Duration)
        /// What becomes of those who wanted the token.
        case failed(Fault)
        case cancelled
    }

    package enum Answer: Sendable, Hashable {
        case token(AccessToken)
        case failed(Fault)
    }

    /// Asks the authorization server; must end within about ten seconds.
    package typealias Fetch = @Sendable () async -> Grant

    private enum Turn: Sendable {
        case done(Answer)
        case fetch
    }

    private struct State {
        var cache: AccessTokenCache
        var tasks: [Int: CheckedContinuation<Turn, Never>] = [:]
        /// Turns that came before their task was ready for them.
        var early: [Int: Turn] = [:]
    }

    private let state: Locked<State>
    private let time: any TimeSource
    private let fetch: Fetch

    package init(
        renewing rule: AccessTokenCache.Renewal = .beforeItsEnd, time: any TimeSource, fetch: @escaping Fetch
    ) {
        state = Locked(State(cache: AccessTokenCache(renewing: rule)))
        (self.time, self.fetch) = (time, fetch)
    }

    /// The number of the token granted last; 0 before the first.
    package var lastGeneration: Int { state.withLock { $0.cache.lastGeneration } }

    /// How many wait for a token.
    package var waitingCount: Int { state.withLock { $0.cache.waiting.count } }

    /// The token to send with.
    package func token() async -> Answer {
        switch state.withLock({ $0.cache.enter(now: time.now) }) {
        case .use(let token): return .token(token)
        case .fetch: return await fetchForAll()
        case .wait(let number):
            switch await turn(of: number) {
            case .done(let answer): return answer
            case .fetch: return await fetchForAll()
            }
        }
    }

    /// The service refused a token.
    package func refused(_ token: AccessToken) { state.withLock { $0.cache.refused(token) } }

    private func fetchForAll() async -> Answer {
        let grant = await fetch()
        let now = time.now
        let (answer, turns) = state.withLock { state in
            let (result, failure): (AccessTokenCache.Result, Fault) =
                switch grant {
                case .granted(let secret, let life): (.granted(secret, life: life), Fault.cancelled)
                case .failed(let fault): (.failed, fault)
                case .cancelled: (.abandoned, Fault.cancelled)
                }
            let turns = state.cache.fetched(result, now: now).compactMap { action in
                let (number, turn): (Int, Turn) =
                    switch action {
                    case .give(let number, let token): (number, .done(.token(token)))
                    case .fail(let number): (number, .done(.failed(failure)))
                    case .fetch(let number): (number, .fetch)
                    }
                if let task = state.tasks.removeValue(forKey: number) { return (task, turn) }
                state.early[number] = turn
                return nil
            }
            // After an early renewal that failed the old token is still good.
            let answer = state.cache.usable(now: now).map(Answer.token) ?? .failed(failure)
            return (answer, turns)
        }
        for (task, turn) in turns { task.resume(returning: turn) }
        return answer
    }

    private func turn(of number: Int) async -> Turn {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let decided: Turn? = state.withLock { state in
                    if let early = state.early.removeValue(forKey: number) { return early }
                    if Task.isCancelled {
                        state.cache.giveUp(number)
                        return .done(.failed(Fault.cancelled))
                    }
                    state.tasks[number] = continuation
                    return nil
                }
                if let decided { continuation.resume(returning: decided) }
            }
        } onCancel: {
            let task = state.withLock { state in
                state.cache.giveUp(number)
                return state.tasks.removeValue(forKey: number)
            }
            task?.resume(returning: .done(.failed(Fault.cancelled)))
        }
    }
}
