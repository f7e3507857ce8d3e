internal import Gateway

/// One submission that waits for the writer.
struct Submission: Sendable {
    let changes: [StoreChange]
    /// Set for one that must not be written: it is only answered in its turn.
    var failure: StoreError?
    let completion: @Sendable (Result<Void, StoreError>) -> Void

    /// Roughly what the submission takes in memory and in the log.
    var bytes: Int {
        changes.reduce(0) { sum, change in
            guard case .insertMessage(let message) = change else { return sum + 128 }
            return sum + message.body.count + 256
        }
    }
}

/// What waits for the writer thread, within limits.
struct WriteInbox {
    /// Submissions and bytes that may wait. Beyond them submissions are refused, in their turn.
    struct Limits: Sendable {
        var submissions = 65_536
        var bytes = 256 << 20
    }

    /// Submissions and bytes of one transaction: they bound how long the first one waits for the last.
    struct GroupLimits: Sendable {
        var submissions = 8192
        var bytes = 16 << 20
    }

    private let limits: Limits
    private let groupLimits: GroupLimits
    private var waiting: [Submission] = []
    /// Those before it were taken; they are removed in bulk.
    private var head = 0
    private var bytes = 0
    private(set) var isClosed = false

    init(limits: Limits = Limits(), groupLimits: GroupLimits = GroupLimits()) {
        (self.limits, self.groupLimits) = (limits, groupLimits)
    }

    var count: Int { waiting.count - head }
    var isEmpty: Bool { head == waiting.count }

    enum Admission: Equatable {
        /// The thread may be asleep: wake it.
        case wake
        /// It has work already.
        case queued
        /// The store is closed: answer at once.
        case closed
    }

    mutating func add(_ submission: Submission) -> Admission {
        if isClosed { return .closed }
        let wasEmpty = isEmpty
        let size = submission.bytes
        var submission = submission
        if waiting.count - head >= limits.submissions || (bytes + size > limits.bytes && !wasEmpty) {
            submission = Submission(
                changes: [],
                failure: StoreError(
                    .overloaded, "more is waiting to be written than the store takes",
                    context: ["waiting": "\(waiting.count - head)", "bytes": "\(bytes)"]),
                completion: submission.completion)
        }
        bytes += submission.bytes
        waiting.append(submission)
        return wasEmpty ? .wake : .queued
    }

    /// All that waits, up to the limits of a group; empty when nothing does.
    mutating func takeGroup() -> [Submission] {
        var (end, size) = (head, 0)
        while end < waiting.count, end - head < groupLimits.submissions {
            let next = waiting[end].bytes
            if end > head && size + next > groupLimits.bytes { break }
            size += next
            end += 1
        }
        bytes -= size
        defer {
            head = end
            if head == waiting.count {
                waiting.removeAll(keepingCapacity: waiting.count < 4096)
                head = 0
            } else if head > waiting.count / 2 {
                waiting.removeFirst(head)
                head = 0
            }
        }
        return Array(waiting[head..<end])
    }

    /// Takes nothing more.
    mutating func close() { isClosed = true }
}
