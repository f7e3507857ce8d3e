import Testing

@testable import Outbound

@Suite("Proof of a connection before it carries many requests") struct ConnectionProofTests {
    /// The macros do not take functions that change a value.
    private final class Subject {
        private var proof = ConnectionProof()

        func begin(_ id: UInt64, port: Int) -> Bool { proof.begin(id, port: port) }
        func finished(_ id: UInt64, isProof: Bool) -> [UInt64] { proof.finished(id, isProof: isProof) }
        func cancel(_ id: UInt64) { proof.cancel(id) }
    }

    @Test("one request goes first; a good answer lets the others through, also those to come")
    func success() {
        let proof = Subject()
        #expect(proof.begin(1, port: 9))
        #expect(!proof.begin(2, port: 9))
        #expect(!proof.begin(3, port: 9))
        #expect(proof.finished(1, isProof: true) == [2, 3])
        #expect(proof.begin(2, port: 9))
        #expect(proof.begin(3, port: 9))
        #expect(proof.finished(2, isProof: false) == [])
        #expect(proof.begin(4, port: 9))
    }

    @Test("another answer hands the one place on")
    func failure() {
        let proof = Subject()
        #expect(proof.begin(1, port: 9))
        #expect(!proof.begin(2, port: 9))
        #expect(!proof.begin(3, port: 9))
        #expect(proof.finished(1, isProof: false) == [2])
        #expect(proof.begin(2, port: 9))
        #expect(!proof.begin(4, port: 9))
        #expect(proof.finished(2, isProof: true) == [3, 4])
    }

    @Test("each connection is proven for itself, and a request that was moved proves the new one")
    func moved() {
        let proof = Subject()
        #expect(proof.begin(1, port: 9))
        #expect(proof.finished(1, isProof: true) == [])
        #expect(proof.begin(2, port: 9))
        #expect(proof.begin(2, port: 8))
        #expect(!proof.begin(3, port: 8))
        #expect(proof.begin(4, port: 9))
        #expect(proof.begin(2, port: 7))
        #expect(proof.begin(5, port: 8), "nobody proves the second one any more")
        #expect(proof.finished(2, isProof: true) == [3])
    }

    @Test("a parked request that was cancelled is not started")
    func cancelled() {
        let proof = Subject()
        #expect(proof.begin(1, port: 9))
        #expect(!proof.begin(2, port: 9))
        #expect(!proof.begin(3, port: 9))
        proof.cancel(2)
        #expect(proof.finished(1, isProof: false) == [3])
    }

    @Test("only so many connections are remembered")
    func limit() {
        let proof = Subject()
        for port in 0...ConnectionProof.kept {
            #expect(proof.begin(UInt64(port), port: port))
            _ = proof.finished(UInt64(port), isProof: true)
        }
        #expect(proof.begin(1000, port: 0))
        #expect(!proof.begin(1001, port: 0), "the first one must prove itself once more")
        #expect(proof.begin(1002, port: 1))
        #expect(proof.begin(1003, port: 1))
    }
}
