internal import CJemalloc

/// The program's allocator is jemalloc: messages are made on one thread and let go on another all the time, where
/// the C library's waits for locks and joins pieces again (a push takes a quarter less of the processor).
enum Allocator {
    /// Has memory that has not been used for some seconds given back by a thread of the library's own. Without it an
    /// idle gateway would keep what a burst has taken (jemalloc(3), `background_thread`).
    static func giveBackWhenIdle() {
        var isOn = true
        // Where the library was built without it, memory is given back with later use.
        _ = unsafe mallctl("background_thread", nil, nil, &isOn, MemoryLayout<Bool>.size)
    }
}
