#if DEBUG
    internal import Base
    internal import Gateway
    internal import Glibc

    /// Ends the process, as a power cut would end it, at a place of the writer's: `FARBELL_FAILPOINT=sync:137` sends
    /// SIGKILL when the writer comes by `sync` for the 137th time. Only builds for tests have it.
    enum KillPoint {
        static let variable = "FARBELL_FAILPOINT"

        /// - Returns: nil when the text names no failpoint and number.
        static func parse(_ text: String) -> (point: Writer.Failpoint, pass: Int)? {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let pass = Int(parts[1]), pass > 0,
                let point = Writer.Failpoint.allCases.first(where: { "\($0)" == parts[0] })
            else { return nil }
            return (point, pass)
        }

        /// `FARBELL_COPY_PAGES=16` has pages of the log copied in such small lots, so that a death finds the keeper at it.
        static let copyVariable = "FARBELL_COPY_PAGES"

        /// The options with what the environment asks for.
        static func applied(to options: SQLiteStore.Options) throws(StoreError) -> SQLiteStore.Options {
            var options = options
            if options.failpoint == nil { options.failpoint = try fromEnvironment() }
            if let value = unsafe getenv(copyVariable), let pages = unsafe Int(String(cString: value)), pages > 0 {
                options.checkpoints = CheckpointPlan.Policy(
                    copyPages: pages, finishPages: 4 * pages, finishRest: 2 * pages, restartPages: 65_536)
            }
            return options
        }

        /// What the process's environment asks for.
        /// - Throws: `StoreError` for a text that says nothing: a proof that never dies would prove nothing.
        static func fromEnvironment() throws(StoreError) -> (@Sendable (Writer.Failpoint) throws(StoreError) -> Void)? {
            guard let value = unsafe getenv(variable) else { return nil }
            let text = unsafe String(cString: value)
            guard let (point, pass) = parse(text) else {
                throw StoreError(.unavailable, "\(variable) is no failpoint and number", context: ["value": text])
            }
            let passes = Locked(0)
            return { reached throws(StoreError) in
                guard reached == point else { return }
                let count = passes.withLock { passes in
                    passes += 1
                    return passes
                }
                if count == pass { kill(getpid(), SIGKILL) }
            }
        }
    }
#endif
