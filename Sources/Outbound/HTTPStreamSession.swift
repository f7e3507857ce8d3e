internal import Base
internal import CCurl

/// The loop's side of an answer that goes on: what has come and waits to be taken, and who waits for more. Pauses the
/// transfer when too much waits, so that a slow reader slows the server down and not our memory.
final class HTTPStreamSession: DeadlineWaiter, @unchecked Sendable {
    // Sendable: everything in it is touched on the loop's thread alone; others only pass the reference.

    /// Bytes that may wait; one chunk of libcurl's may exceed it where nothing waits.
    private let limit: Int
    /// Set once the transfer begins, which is before anybody waits for the body.
    private var deadlines: StreamDeadlines?
    private var waiting: [UInt8] = []
    private var receiver: Pending<[UInt8]?>?
    /// The entry among the deadlines: of the receiver, or of the answer's header before it is there.
    private var waitID: UInt64?
    private var ending: Result<Void, HTTPTransportError>?
    private(set) var hasHead = false
    private(set) var isPaused = false
    /// Takes the transfer off the wire; set while there is one.
    var onAbort: ((HTTPTransportError) -> Void)?
    /// Lets a paused transfer go on.
    var onResume: (() -> Void)?

    init(limit: Int) { self.limit = max(1, limit) }

    /// The transfer begins: its header must be there in time.
    func begin(until deadline: Moment, _ deadlines: StreamDeadlines) {
        self.deadlines = deadlines
        guard !hasHead, ending == nil, waitID == nil else { return }
        waitID = deadlines.insert(self, due: deadline)
    }

    /// The answer's header is there; from now on each `next` has its own time.
    func headArrived() {
        hasHead = true
        endWait()
    }

    /// Takes a chunk of the body; false where it must wait: the transfer pauses and delivers it again.
    @unsafe func take(_ chunk: UnsafeRawBufferPointer) -> Bool {
        if let receiver, receiver.isOpen {
            takeReceiver()
            if receiver.settle(.success(unsafe Array(chunk))) { return true }
        }
        guard waiting.isEmpty || waiting.count + chunk.count <= limit else {
            isPaused = true
            return false
        }
        unsafe waiting.append(contentsOf: chunk)
        return true
    }

    /// Nothing more comes. What has come may still be taken.
    func end(_ result: Result<Void, HTTPTransportError>) {
        guard ending == nil else { return }
        ending = result
        (onAbort, onResume) = (nil, nil)
        endWait()
        switch result {
        case .success: takeReceiver()?.settle(.success(nil))
        case .failure(let error): takeReceiver()?.settle(.failure(error))
        }
    }

    /// Ends the transfer, if it has not ended, and drops what waits.
    func close(_ error: HTTPTransportError) {
        waiting = []
        onAbort?(error)
        end(.failure(error))
    }

    func receive(_ pending: Pending<[UInt8]?>, until deadline: Moment) {
        // A cancelled receiver's place is free even before its order to leave has come.
        guard receiver.map({ !$0.isOpen }) ?? true else {
            let error = HTTPTransportError(.invalidRequest, "another call waits", surelyNotProcessed: false)
            pending.settle(.failure(error))
            return
        }
        takeReceiver()
        guard pending.isOpen else { return }
        guard waiting.isEmpty else {
            // Nobody's bytes are lost when the call is cancelled in this moment.
            if pending.settle(.success(waiting)) { waiting = [] }
            return resume()
        }
        switch ending {
        case .success: pending.settle(.success(nil))
        case .failure(let error): pending.settle(.failure(error))
        case nil:
            receiver = pending
            waitID = deadlines?.insert(self, due: deadline)
            resume()
        }
    }

    func cancelReceive() {
        if let receiver, !receiver.isOpen { takeReceiver() }
    }

    func deadlinePassed() {
        waitID = nil
        let text = hasHead ? "nothing came in time" : "no answer came in time"
        close(HTTPTransportError(.timeout, text, surelyNotProcessed: false))
    }

    private func resume() {
        guard isPaused else { return }
        isPaused = false
        onResume?()
    }

    private func endWait() {
        if let waitID { deadlines?.remove(waitID) }
        waitID = nil
    }

    /// Nobody receives any more.
    @discardableResult
    private func takeReceiver() -> Pending<[UInt8]?>? {
        guard let receiver else { return nil }
        endWait()
        self.receiver = nil
        return receiver
    }
}
