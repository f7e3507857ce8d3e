package import Base
internal import Glibc

/// Asking the person at the terminal.
package enum Terminal {
    /// Whether a person looks at standard output.
    package static var isInteractive: Bool { isatty(STDOUT_FILENO) == 1 }

    /// Reads a password: asked twice without echo where standard input is a terminal, else one line of it.
    /// - Throws: `DaemonError` when there is none or the two differ.
    package static func password(_ prompt: String, confirm: Bool = true) throws -> Secret {
        guard isatty(STDIN_FILENO) == 1 else {
            guard let line = readLine(strippingNewline: true), !line.isEmpty else {
                throw DaemonError(.usage, "no password: give it as one line of standard input")
            }
            return Secret(line)
        }
        let first = try hidden(prompt)
        if confirm, try hidden("Again: ") != first {
            throw DaemonError(.usage, "the two passwords differ; nothing was changed")
        }
        return first
    }

    /// Reads one answer: from the terminal, without echo where it is secret, else one line of standard input.
    /// - Returns: nil at the end of the input.
    /// - Throws: `CancellationError` when the task was cancelled meanwhile.
    package static func answer(_ prompt: String, isSecret: Bool) throws -> Secret? {
        guard isatty(STDIN_FILENO) == 1 else { return readLine(strippingNewline: true).map { Secret($0) } }
        write(prompt)
        return try withEcho(!isSecret) {
            // Signals are blocked in all threads: whoever waits for them cancels this task.
            var ready = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            while unsafe poll(&ready, 1, 100) <= 0 { try Task.checkCancellation() }
            return readLine(strippingNewline: true).map { Secret($0) }
        }
    }

    private static func withEcho<Result>(_ isOn: Bool, _ body: () throws -> Result) rethrows -> Result {
        guard !isOn else { return try body() }
        var settings = termios()
        unsafe tcgetattr(STDIN_FILENO, &settings)
        var silent = settings
        silent.c_lflag &= ~tcflag_t(ECHO)
        unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            unsafe tcsetattr(STDIN_FILENO, TCSAFLUSH, &settings)
            write("\n")
        }
        return try body()
    }

    private static func hidden(_ prompt: String) throws -> Secret {
        write(prompt)
        guard let line = withEcho(false, { readLine(strippingNewline: true) }), !line.isEmpty else {
            throw DaemonError(.usage, "no password was given")
        }
        return Secret(line)
    }

    /// Writes a line to standard output, at once.
    package static func print(_ line: String) { write("\(line)\n", to: STDOUT_FILENO) }
    /// Writes a line to standard error, which a redirected output does not swallow.
    package static func complain(_ line: String) { write("\(line)\n", to: STDERR_FILENO) }

    private static func write(_ text: String, to descriptor: Int32 = STDERR_FILENO) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno != EINTR { return }
            rest = rest.dropFirst(max(0, count))
        }
    }
}
