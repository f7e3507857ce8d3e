internal import Base
internal import CMicroHTTPD
internal import Glibc

/// Carries a stream over a socket taken from the library: the way without TLS.
///
/// Who sends to a sleeping stream writes to the socket itself, without a change of thread, unless there are
/// too many of them (`StreamSenders`); when the kernel takes no more, the watching thread goes on. Thousands of
/// quiet streams so cost the library nothing.
final class SocketCarrier: EventStream.Carrier {
    private struct State {
        /// nil once closed.
        var descriptor: Int32?
        /// What was taken from the stream and not yet by the kernel.
        var rest: ArraySlice<UInt8>
        /// The kernel takes no more: who is told that it does goes on pumping.
        var isBlocked = false
        /// The descriptor's event came: it must be watched anew.
        var isUnwatched = false
        /// The end is in `rest` or sent.
        var isEnding = false
    }

    private let stream: EventStream
    private let id: UInt64
    private let table: StreamTable
    private let isChunked: Bool
    private let state: Locked<State>
    private let onFinish: @Sendable () -> Void

    /// Bytes taken from the stream at a time: a client that takes less in the stall time-out is dropped.
    private static let pieceBytes = 8192

    private init(
        _ stream: EventStream, id: UInt64, descriptor: Int32, head: [UInt8], isChunked: Bool, table: StreamTable,
        onFinish: @escaping @Sendable () -> Void
    ) {
        (self.stream, self.id, self.table) = (stream, id, table)
        (self.isChunked, self.onFinish) = (isChunked, onFinish)
        state = Locked(State(descriptor: descriptor, rest: head[...]))
    }

    /// Takes the descriptor over and begins to send; false, with the descriptor left alone, when there are
    /// too many streams.
    /// - Parameters:
    ///   - head: status line and headers.
    ///   - isChunked: whether the body is in chunks, or else ends with the connection (HTTP/1.0).
    static func start(
        _ stream: EventStream, descriptor: Int32, head: [UInt8], isChunked: Bool, table: StreamTable,
        onFinish: @escaping @Sendable () -> Void
    ) -> Bool {
        let id = table.makeID()
        let carrier = SocketCarrier(
            stream, id: id, descriptor: descriptor, head: head, isChunked: isChunked, table: table,
            onFinish: onFinish)
        guard table.insert(stream, carrier, id: id) else { return false }
        stream.attach(carrier)
        table.prepare(descriptor, id: id)
        carrier.run(carrier.flush())
        return true
    }

    func wake() {}

    func cut() {
        state.withLock { state in
            if let descriptor = state.descriptor { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
    }

    func event(hungUp: Bool) {
        let wasBlocked = state.withLock { state in
            defer { state.isBlocked = false }
            state.isUnwatched = true
            return state.isBlocked
        }
        if hungUp { stream.connectionLost() }
        if wasBlocked { run(flush()) }
    }

    func pump() { table.senders.send(self) }

    /// Goes on after the stream was woken: all from before has gone out.
    func proceed() { run(.done) }

    private enum Flush {
        case done
        case blocked
        case failed
        /// All has gone out, and nothing comes after it.
        case ended
    }

    /// Moves bytes from the stream to the kernel until either has no more. Only one thread is ever in here:
    /// who woke the sleeping stream, or who was told that the blocked socket takes bytes again.
    private func run(_ first: Flush) {
        var outcome = first
        while true {
            switch outcome {
            case .blocked: return
            case .ended: return finish()
            case .failed: stream.connectionLost()
            case .done: break
            }
            switch stream.take(Self.pieceBytes, sleep: watchAgain) {
            case .sleep: return
            case .bytes(let bytes): outcome = flush(isChunked ? Self.chunk(bytes) : bytes)
            case .end: outcome = flush(isChunked ? Array("0\r\n\r\n".utf8) : [], isEnding: true)
            case .abort: return finish()
            }
        }
    }

    private func flush() -> Flush { state.withLock { flush(&$0) } }

    private func flush(_ bytes: [UInt8], isEnding: Bool = false) -> Flush {
        state.withLock { state in
            state.rest = bytes[...]
            state.isEnding = isEnding
            return flush(&state)
        }
    }

    private func flush(_ state: inout State) -> Flush {
        guard let descriptor = state.descriptor else { return .failed }
        while !state.rest.isEmpty {
            let count = unsafe state.rest.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count == state.rest.count { break }
            if count > 0 {
                state.rest = state.rest.dropFirst(count)
            } else if count < 0 && errno == EAGAIN {
                state.isBlocked = true
                state.isUnwatched = false
                table.watch(descriptor, id: id, for: .writable)
                return .blocked
            } else if errno != EINTR {
                state.rest = []
                return .failed
            }
        }
        // Gives the memory back.
        state.rest = []
        return state.isEnding ? .ended : .done
    }

    /// Runs under the stream's lock, before another thread may pump.
    private func watchAgain() {
        state.withLock { state in
            guard state.isUnwatched, let descriptor = state.descriptor else { return }
            state.isUnwatched = false
            table.watch(descriptor, id: id, for: .hangUp)
        }
    }

    private func finish() {
        let descriptor = state.withLock { state in
            defer { state.descriptor = nil }
            return state.descriptor
        }
        guard let descriptor else { return }
        table.remove(id: id, descriptor: descriptor)
        stream.detach()
        close(descriptor)
        onFinish()
    }

    /// RFC 9112 section 7.1.
    private static func chunk(_ bytes: [UInt8]) -> [UInt8] {
        var framed: [UInt8] = []
        framed.reserveCapacity(bytes.count + 8)
        var shift = (Int.bitWidth - max(1, bytes.count).leadingZeroBitCount - 1) / 4 * 4
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: bytes.count >> shift & 15)
            framed.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            shift -= 4
        }
        framed.append(13)
        framed.append(10)
        framed.append(contentsOf: bytes)
        framed.append(13)
        framed.append(10)
        return framed
    }
}
