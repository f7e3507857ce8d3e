internal import Base

/// The program's own cursor in an envelope of ours, by which another monitor's is told apart.
struct ExecCursor: Sendable, Hashable {
    private static let version: Int64 = 1

    /// nil while the program has given none.
    var text: String?

    init(text: String?) { self.text = text }

    /// Reads the stored form; nil when it is none of ours.
    init?(_ bytes: [UInt8]) {
        guard bytes.count <= 65_536, let json = try? JSONParser.parse(bytes), json["exec"]?.integer == Self.version
        else { return nil }
        text = json["cursor"]?.string
    }

    var encoded: [UInt8] {
        let object: JSONObject = ["exec": .integer(Self.version), "cursor": text.map { .string($0) } ?? .null]
        return JSON.object(object).serializedBytes
    }
}
