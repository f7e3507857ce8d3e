package import Base

/// The log of a gateway under test, over all its restarts.
package final class GatewayLog: Sendable {
    /// One line.
    package struct Line: Sendable {
        package let event: String
        package let json: JSON

        /// A field as text; numbers are written out.
        package subscript(_ field: String) -> String? {
            json[field].flatMap { $0.string ?? $0.integer.map(String.init) ?? $0.bool.map(String.init) }
        }
    }

    private struct State {
        var lines: [Line] = []
        var texts: [String] = []
        /// Lines that are no JSON: a crash's last words.
        var strays: [String] = []
        var source: ChildProcess?
        var taken = 0
    }

    private let state = Locked(State())

    /// From now on the lines come from this process; what the one before wrote is kept.
    func follow(_ process: ChildProcess) {
        refresh()
        state.withLock { state in
            state.source = process
            state.taken = 0
        }
    }

    private func refresh() {
        state.withLock { state in
            guard let texts = state.source?.errors, texts.count > state.taken else { return }
            for text in texts[state.taken...] {
                state.texts.append(text)
                if let json = try? JSONParser.parse(text), let event = json["event"]?.string {
                    state.lines.append(Line(event: event, json: json))
                } else if !text.isEmpty {
                    state.strays.append(text)
                }
            }
            state.taken = texts.count
        }
    }

    /// All lines so far.
    package var lines: [Line] {
        refresh()
        return state.withLock { $0.lines }
    }

    /// The lines of one event.
    package func lines(_ event: String, where fits: (Line) -> Bool = { _ in true }) -> [Line] {
        lines.filter { $0.event == event && fits($0) }
    }

    /// What was written on standard error and is no line of the log.
    package var strays: [String] {
        refresh()
        return state.withLock { $0.strays }
    }

    /// The lines as they were written.
    package var texts: [String] {
        refresh()
        return state.withLock { $0.texts }
    }

    /// Returns the first line of an event that fits, also among those already there.
    /// - Parameter after: how many lines of the event to pass over.
    /// - Throws: `DeadlineMissed` with the log's last lines.
    @discardableResult
    package func wait(
        for event: String, after: Int = 0, deadline: Duration = .seconds(30),
        where fits: (Line) -> Bool = { _ in true }
    ) async throws -> Line {
        do {
            return try await Eventually.value("", for: deadline) { lines(event, where: fits).dropFirst(after).first }
        } catch is DeadlineMissed {
            throw DeadlineMissed(
                what: "'\(event)' in the log, which ends:\n" + texts.suffix(25).joined(separator: "\n"),
                deadline: deadline)
        }
    }
}
