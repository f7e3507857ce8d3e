internal import Glibc

/// Puts off, to the end of a run of work on one thread, what is cheaper done in one go: waking others.
///
/// A thread that answers fifty requests, one after the other, and wakes their connections' thread with each,
/// makes the two take turns on the processors fifty times.
package enum Batch {
    private final class Pending {
        var works: [() -> Void] = []
    }

    private static let key: pthread_key_t = {
        var key = pthread_key_t()
        let status = unsafe pthread_key_create(&key, nil)
        precondition(status == 0, "pthread_key_create failed")
        return key
    }()

    /// Runs `body`, and then what it put off on this thread, in the order in which it did. A run inside a run is a
    /// part of it.
    package static func run(_ body: () -> Void) {
        guard unsafe pthread_getspecific(key) == nil else { return body() }
        let pending = Pending()
        // Held by this frame as long as the thread knows of it.
        unsafe pthread_setspecific(key, Unmanaged.passUnretained(pending).toOpaque())
        withExtendedLifetime(pending) {
            body()
            pthread_setspecific(key, nil)
        }
        for work in pending.works { work() }
    }

    /// Whether this thread is in a run.
    package static var isRunning: Bool { unsafe pthread_getspecific(key) != nil }

    /// Runs `work` at the end of this thread's run, or at once when there is none.
    package static func afterwards(_ work: @escaping () -> Void) {
        guard let pointer = unsafe pthread_getspecific(key) else { return work() }
        unsafe Unmanaged<Pending>.fromOpaque(pointer).takeUnretainedValue().works.append(work)
    }
}
