internal import Glibc

/// A program that we start and talk to in lines: what we write goes to its standard input, its standard output
/// and error come back line by line. One thread of the system's serves it, so nothing blocks a caller; a second
/// one waits for its end.
///
/// It runs without a shell, in a process group of its own, with the environment given and no other, and with no
/// descriptor of ours but the three. When it has ended, what is left of its group is killed.
package final class ChildProgram: Sendable {
    /// What to start.
    package struct Command: Sendable, Hashable {
        /// With a slash in it: no search path is looked at.
        package var path: String
        /// Without the program's own name.
        package var arguments: [String]
        /// All of it; nothing is inherited.
        package var environment: [String: String]
        /// nil for ours.
        package var folder: String?
        /// What the system lets it have, set as soon as it was started.
        package var limits = ResourceLimits()

        package init(
            _ path: String, _ arguments: [String] = [], environment: [String: String] = [:], folder: String? = nil
        ) {
            (self.path, self.arguments, self.environment, self.folder) = (path, arguments, environment, folder)
        }
    }

    /// Limits of the system's (setrlimit(2)) for the program and each of its children; nil for ours.
    package struct ResourceLimits: Sendable, Hashable {
        /// Of address space.
        package var memoryBytes: Int?
        package var openFiles: Int?
        /// Of processor time: a program above it is killed.
        package var processorSeconds: Int?

        package init(memoryBytes: Int? = nil, openFiles: Int? = nil, processorSeconds: Int? = nil) {
            (self.memoryBytes, self.openFiles, self.processorSeconds) = (memoryBytes, openFiles, processorSeconds)
        }
    }

    package struct Limits: Sendable, Hashable {
        /// Bytes of the longest line of its output; a longer one is the program's end.
        package var lineBytes = 65_536
        /// Bytes of the longest line of its standard error; the rest of a longer one is dropped.
        package var errorLineBytes = 1000
        /// Bytes that may wait to be read by it.
        package var waitingBytes = 1 << 20
        /// From `stop()` to SIGTERM, and from there to SIGKILL.
        package var grace: Duration = .seconds(2)

        package init() {}
    }

    /// How it ended.
    package enum Exit: Sendable, Hashable, CustomStringConvertible {
        case code(Int32)
        case signal(Int32)

        package var description: String {
            switch self {
            case .code(let code): "exit status \(code)"
            case .signal(let signal): "signal \(signal)"
            }
        }
    }

    package enum Event: Sendable, Hashable {
        /// A line of its standard output.
        case line([UInt8])
        /// A line of its standard error, perhaps cut.
        case errorLine([UInt8])
        /// A line of its output exceeded the limit: it is being killed.
        case lineTooLong
        /// The last event.
        case ended(Exit)
    }

    package let processID: Int32
    private let server: ProgramServer

    /// Starts the program. Blocks for as long as the system takes to start it: call it off the cooperative pool.
    /// - Parameter handler: called for each event, in order, on the program's thread; must be brief.
    /// - Throws: `ChildProgramError`.
    package init(
        _ command: Command, limits: Limits = Limits(), time: any TimeSource = SystemTime(),
        handler: @escaping @Sendable (Event) -> Void
    ) throws(ChildProgramError) {
        let spawned = try ProgramSpawn.start(command)
        processID = spawned.processID
        server = ProgramServer(spawned, limits: limits, time: time, handler: handler)
        server.start()
    }

    /// Losing the last reference is a `stop()`.
    deinit { server.stop() }

    /// Writes a line; its end is added. Lines are written in the order of the calls.
    /// - Returns: false, without taking it, when too much is waiting or the program is ending.
    package func send(_ line: [UInt8]) -> Bool { server.send(line + [0x0A]) }

    /// Closes the program's input behind what waits; nothing more is taken.
    package func finishInput() { server.finishInput() }

    /// Asks the program to end: its input is closed behind what waits, later SIGTERM and SIGKILL follow.
    package func stop() { server.stop() }

    /// Ends it at once, with its group.
    package func kill() { server.kill() }
}

/// Why a program could not be started.
package struct ChildProgramError: Error, Sendable, CustomStringConvertible {
    package let path: String
    /// What the system said.
    package let message: String

    package var description: String { "\(path) cannot be started: \(message)" }
}
