public import Glibc

/// A value that only one thread touches at a time.
///
/// A pthread mutex and not `Synchronization.Mutex`: under contention the latter makes Thread
/// Sanitizer report races that are none (Swift 6.3, Linux). Bodies must be short and must not
/// call out to code that could take the same lock: run the actions a body returns afterwards.
///
/// Public, as `Heap` is, and not `package` like everything else: of `package` declarations the compiler makes no
/// versions for the types of other modules, `@inlinable` or not (Swift 6.3). Every use would go through witness tables.
@safe public final class Locked<Value>: @unchecked Sendable {
    // Sendable: `value` is reached only between lock and unlock of `mutex`, whose address never changes.
    @usableFromInline let mutex: UnsafeMutablePointer<pthread_mutex_t>
    @usableFromInline var value: Value

    /// - Parameter value: what it is at first; nobody else may keep it.
    public init(_ value: sending Value) {
        self.value = value
        unsafe mutex = .allocate(capacity: 1)
        unsafe mutex.initialize(to: pthread_mutex_t())
        // Adaptive: who finds it locked looks again a few times before it sleeps. Bodies are short; to sleep and to
        // be woken costs more than they take.
        var attributes = pthread_mutexattr_t()
        unsafe pthread_mutexattr_init(&attributes)
        unsafe pthread_mutexattr_settype(&attributes, Int32(PTHREAD_MUTEX_ADAPTIVE_NP))
        let status = unsafe pthread_mutex_init(mutex, &attributes)
        unsafe pthread_mutexattr_destroy(&attributes)
        precondition(status == 0, "pthread_mutex_init failed")
    }

    deinit {
        unsafe pthread_mutex_destroy(mutex)
        unsafe mutex.deallocate()
    }

    /// Runs `body` with exclusive access to the value and returns what it returns.
    @inlinable
    public func withLock<Result: ~Copyable, Failure: Error>(
        _ body: (inout Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return try body(&value)
    }
}

/// A function as it is kept inside a generic container, such as `Locked<Callback<@Sendable () -> Void>?>`.
///
/// Bare, a function gets one more layer of adapter each time the container lends it as `inout`, and the layers
/// stay: every call is slower than the one before, until the stack is full. A struct is lent as it is.
package struct Callback<Function: Sendable>: Sendable {
    /// What to call.
    package let function: Function

    package init(_ function: Function) { self.function = function }
}
