/// Actions that cause further ones, done one after the other: whoever adds some while others are being done leaves
/// them to the one who does. A list instead of recursion, which thousands of failing requests would take too deep.
struct Rounds<Action> {
    private var waiting: [Action] = []
    private var isRunning = false

    /// Adds actions.
    /// - Returns: whether the caller is the one to do them, by asking `next()` until there is nothing more.
    mutating func add(_ actions: [Action]) -> Bool {
        waiting += actions
        guard !isRunning, !waiting.isEmpty else { return false }
        isRunning = true
        return true
    }

    /// What is to be done next; nil when all is done.
    mutating func next() -> [Action]? {
        guard !waiting.isEmpty else {
            isRunning = false
            return nil
        }
        defer { waiting = [] }
        return waiting
    }

    /// Forgets what is not done yet.
    mutating func clear() { waiting = [] }
}
