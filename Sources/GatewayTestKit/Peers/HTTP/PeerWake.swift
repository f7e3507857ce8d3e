internal import Base

/// Ends a reply's delay early: the request is then answered anew, as of a long poll for which there is news. May be
/// used from any thread; only the first `wake` counts.
package final class PeerWake: Sendable {
    private struct State {
        var isWoken = false
        var sleeper: Sleeper?
    }

    private final class Sleeper: @unchecked Sendable {
        // Sendable: the body is touched on its loop's thread alone.
        private let loop: EventLoop
        private let body: () -> Void

        init(_ loop: EventLoop, _ body: @escaping () -> Void) { (self.loop, self.body) = (loop, body) }

        func run() { loop.perform { [self] in body() } }
    }

    private let state = Locked(State())

    package init() {}

    package func wake() {
        let sleeper = state.withLock { state -> Sleeper? in
            guard !state.isWoken else { return nil }
            state.isWoken = true
            defer { state.sleeper = nil }
            return state.sleeper
        }
        sleeper?.run()
    }

    /// Runs `body` on the loop's thread when woken, even if that was before.
    fileprivate func arm(_ loop: EventLoop, _ body: @escaping () -> Void) {
        let sleeper = Sleeper(loop, body)
        let isLate = state.withLock { state in
            if !state.isWoken { state.sleeper = sleeper }
            return state.isWoken
        }
        if isLate { sleeper.run() }
    }
}

extension EventLoop {
    /// Runs `body` once: after a reply's delay, or when it is woken before. On the loop's thread.
    func hold(_ reply: PeerReply, _ body: @escaping (_ isWoken: Bool) -> Void) {
        var isOver = false
        func end(isWoken: Bool) {
            guard !isOver else { return }
            isOver = true
            body(isWoken)
        }
        after(reply.delay) { end(isWoken: false) }
        reply.wake?.arm(self) { end(isWoken: true) }
    }
}
