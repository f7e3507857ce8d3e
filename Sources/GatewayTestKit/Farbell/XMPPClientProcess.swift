package import Base

/// A real XMPP client (slixmpp), as `Scripts/xmpp.d/client.py` drives it.
package final class XMPPClientProcess: Sendable {
    private static let python = "/usr/bin/python3"
    private static let library = "/usr/lib/python3/dist-packages/slixmpp/__init__.py"
    private static var script: String {
        "/" + #filePath.split(separator: "/").dropLast(4).joined(separator: "/") + "/Scripts/xmpp.d/client.py"
    }

    /// Whether this machine can run it.
    package static var isAvailable: Bool { FileSystem.exists(python) && FileSystem.exists(library) }

    private let child: ChildProcess

    /// Logs in and is available.
    /// - Parameter sendsReceipts: whether the client answers requests for receipts (XEP-0184).
    /// - Throws: `PeerError`, `DeadlineMissed`.
    package init(_ address: String, password: String, port: Int, sendsReceipts: Bool = true) async throws {
        child = try await ChildProcess(
            Self.python, [Self.script, address, password, "\(port)"] + (sendsReceipts ? [] : ["no-receipts"]))
        try await wait("ready", for: .seconds(60))
    }

    deinit { child.terminate() }

    /// What it has heard so far.
    package var events: [JSON] { child.output.compactMap { try? JSONParser.parse($0) } }

    /// How many events there are, for `wait` with `after`.
    package var count: Int { events.count }

    /// Tells it to do something.
    /// - Throws: `PeerError`.
    package func order(_ what: String, _ fields: JSON = [:]) throws {
        var object: JSONObject = ["do": .string(what)]
        for member in fields.object?.members ?? [] { object.append(member.key, member.value) }
        try child.write(JSON.object(object).serialized + "\n")
    }

    /// Returns the first event of a kind that fits.
    /// - Throws: `DeadlineMissed`.
    @discardableResult
    package func wait(
        _ event: String, after: Int = 0, for deadline: Duration = .seconds(30),
        where fits: @escaping @Sendable (JSON) -> Bool = { _ in true }
    ) async throws -> JSON {
        try await Eventually.value("\(event), not only \(events) \(child.errors.suffix(5))", for: deadline) {
            self.events.dropFirst(after).first { $0["event"]?.string == event && fits($0) }
        }
    }

    /// Ends it, which makes it unavailable.
    /// - Throws: `DeadlineMissed`.
    package func quit() async throws {
        try order("quit")
        try await child.waitForExit(deadline: .seconds(20))
    }
}
