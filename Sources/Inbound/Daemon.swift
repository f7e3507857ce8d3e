internal import Base
internal import Glibc

/// The threads that serve connections.
final class Daemon: Sendable {
    private let loops: [ConnectionLoop]

    /// - Throws: `InboundError` when the library does not start.
    init(_ core: ServerCore, threads: Int) throws(InboundError) {
        var loops: [ConnectionLoop] = []
        let connections = (core.limits.connections + threads - 1) / threads
        for number in 0..<threads {
            do throws(InboundError) {
                loops.append(try ConnectionLoop(core, number: number, connections: connections))
            } catch {
                for loop in loops { loop.stop() }
                throw error
            }
        }
        self.loops = loops
    }

    /// Gives a connection to the thread with the fewest. The library closes it, also when it has no room for it.
    func add(_ arrival: ConnectionLoop.Arrival) {
        let loads = loops.map(\.load)
        let next = loads.indices.min { loads[$0] < loads[$1] }
        loops[next ?? 0].add(arrival)
    }

    /// Closes all connections and ends the threads; blocks until that is done. No connection may be suspended.
    func stop() {
        for loop in loops { loop.stop() }
    }
}
