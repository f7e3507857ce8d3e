import Base
import Gateway
import Testing

@testable import Daemon

@Suite struct PushVerdictTests {
    @Test("every step can be the one that fails, and has a cure", arguments: PushHop.allCases)
    func steps(hop: PushHop) {
        for outcome in ["retry", "rejected", "gone", "credential"] {
            let verdict = PushVerdict([
                "outcome": .string(outcome), "hop": .string(hop.rawValue), "reason": "why", "milliseconds": 12,
            ])
            #expect(verdict.lines.first == "\(outcome): why (12 ms)")
            #expect(verdict.lines.filter { $0.hasPrefix("  FAIL  ") }.count == 1)
            #expect(verdict.lines.count == 1 + PushVerdict.way.count + 2)
            #expect(verdict.lines.allSatisfy { $0.count <= 140 })
            #expect(verdict.error?.code == (outcome == "retry" ? .temporary : .unavailable))
        }
        #expect(Set(PushVerdict.way) == Set(PushHop.allCases) && PushVerdict.way.count == PushHop.allCases.count)
    }

    @Test("an answer without a step is told in one line")
    func unknown() {
        let verdict = PushVerdict(["outcome": "retry", "status": 503, "milliseconds": 7])
        #expect(verdict.lines == ["retry: 503 (7 ms)"])
        #expect(verdict.error?.code == .temporary)
        let delivered = PushVerdict(["outcome": "delivered", "status": 200, "milliseconds": 7])
        #expect(delivered.lines.count == 8 && delivered.error == nil)
    }
}
