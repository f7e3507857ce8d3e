internal import Base
package import Gateway

/// A program that carries pushes, for services nobody has written an adapter for.
package struct ExecAdapter: PushAdapter {
    /// Bytes of the longest token, URL, endpoint or key of an address.
    static let addressLimit = 4096

    private let runner: ExecRunner

    init(runner: ExecRunner) { self.runner = runner }

    package var concurrency: Int { ExecPlugin.defaultConcurrency }

    /// The program is told, and may do nothing about it.
    package var canClear: Bool { true }

    /// Whether the program runs now.
    package var isRunning: Bool { runner.isRunning }

    package func fault(in address: Channel.Address) -> String? {
        let texts =
            switch address {
            case .token(let token): [token]
            case .url(let url): [url]
            case .subscription(let endpoint, let p256dh, let auth): [endpoint, p256dh, auth]
            }
        for text in texts {
            if text.isEmpty || text.utf8.count > Self.addressLimit {
                return "an address has 1 to \(Self.addressLimit) bytes"
            }
            if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
                return "an address has no control characters"
            }
        }
        return nil
    }

    package func send(_ push: Push) async -> PushReport {
        guard fault(in: push.address) == nil else {
            return PushReport(.rejected, reason: "invalid_address", hop: .token)
        }
        do {
            guard let body = try ExecRequest.body(of: push) else {
                return PushReport(.rejected, reason: "payload_too_large")
            }
            return await runner.ask(body)
        } catch {
            return PushReport(.rejected, reason: "sealing_failed", hop: .payload)
        }
    }

    package func stop() async { await runner.stop() }
}
