internal import Base

/// Objects of the library's that only one thread may use at a time and that take longer to make than to use. Who
/// needs one takes a spare one, or makes it, and lays it back.
final class Spares<Spare: Sendable>: Sendable {
    /// How many lie ready at most: more threads than that do not work at a time.
    static var limit: Int { 16 }

    private let spares = Locked<[Spare]>([])

    /// What `body` returns. An object with which it threw is not used again: nobody knows its state.
    /// - Parameter make: a new object, where none lies ready.
    /// - Throws: what `make` and `body` throw.
    func using<Result>(
        make: () throws(CryptographyError) -> Spare, _ body: (Spare) throws(CryptographyError) -> Result
    ) throws(CryptographyError) -> Result {
        let spare =
            if let ready = spares.withLock({ $0.popLast() }) { ready } else { try make() }
        let result = try body(spare)
        spares.withLock { if $0.count < Self.limit { $0.append(spare) } }
        return result
    }
}
