internal import Base
internal import Gateway

/// The session table for people: drawn anew each second on a terminal, tabs between the columns elsewhere.
struct SessionsScreen: Sendable {
    private static let head = ["ACCOUNT", "APP", "DEVICE", "STATE", "LEASE", "FARM", "IN FRONT"]
    /// From one look to the next.
    private static let interval: Duration = .seconds(1)

    private let client: AdminClient
    private let environment: Environment

    init(_ client: AdminClient, _ environment: Environment) { (self.client, self.environment) = (client, environment) }

    /// Prints the table once.
    func printOnce() async throws {
        for row in [Self.head] + Self.rows(try await client.all("sessions")) {
            environment.print(row.joined(separator: "\t"))
        }
    }

    /// Draws the table again and again until cancelled. A gateway that does not answer is waited for, once it has.
    func follow() async throws {
        // The whole screen is cleared once; then each line overwrites the one before, so that nothing flickers.
        var text = "\u{1B}[2J" + Self.drawing(try await client.all("sessions"), environment.time.timestamp)
        while true {
            environment.print(text)
            try await environment.time.sleep(for: Self.interval)
            do {
                text = Self.drawing(try await client.all("sessions"), environment.time.timestamp)
            } catch let error as DaemonError where error.code == .unavailable || error.code == .temporary {
                text = Self.screen(["\(environment.time.timestamp)  \(error.message)"])
            }
        }
    }

    static func drawing(_ items: [JSON], _ now: Timestamp) -> String {
        let rows = rows(items)
        let front = rows.count { $0.last == "yes" }
        return screen(
            ["\(now)  \(rows.count) sessions, \(front) in front; Ctrl-C ends", ""] + aligned([head] + rows))
    }

    /// Lines from the top of the screen; what stood there before is gone.
    private static func screen(_ lines: [String]) -> String {
        "\u{1B}[H" + lines.map { "\($0)\u{1B}[K" }.joined(separator: "\n") + "\u{1B}[J"
    }

    private static func rows(_ items: [JSON]) -> [[String]] {
        items.map { item in
            ["account", "app", "device", "state"].map { (item[$0]?.string ?? "").printable } + [
                "\(item["leaseSeconds"]?.integer ?? 0) s", item["farm"]?.string ?? "",
                item["foreground"]?.bool == true ? "yes" : "no",
            ]
        }
    }

    private static func aligned(_ rows: [[String]]) -> [String] {
        let widths = head.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
        }
    }
}
