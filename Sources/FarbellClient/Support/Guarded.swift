internal import Foundation

/// A value that only one thread touches at a time. Bodies are short and call nothing that waits.
final class Guarded<Value>: @unchecked Sendable {
    // Sendable: `value` is reached only while `lock` is held.
    private let lock = NSLock()
    private var value: Value

    init(_ value: sending Value) { self.value = value }

    /// Runs `body` with exclusive access to the value and returns what it returns.
    func withLock<Result>(_ body: (inout Value) throws -> sending Result) rethrows -> sending Result {
        lock.lock()
        defer { lock.unlock() }
        return try body(&value)
    }
}
