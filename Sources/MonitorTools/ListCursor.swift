package import Base
internal import Gateway

/// Where watching a list goes on: feeds and lists of things to do, which have no cursor of their own.
///
/// Keys cannot all be kept, so these are 64-bit hashes of the keys seen last. Which pass out of memory first are those
/// that have not been in the list for the longest time.
package struct ListCursor: Sendable, Hashable {
    /// Hashes kept: 8 bytes each before base64.
    package static let knownLimit = 2_000
    /// Announced items whose fate is still followed; the oldest go first.
    package static let openLimit = 100
    /// Bytes of the longest key.
    package static let keyLimit = 150

    /// Hashes of keys, those seen longest ago first.
    package var known: [UInt64] = []
    /// Keys of announced items that were neither read nor gone since.
    package var open: [String] = []
    /// When the list was last compared and something had changed.
    package var time: Timestamp

    package init(time: Timestamp) { self.time = time }

    /// A key of at most `keyLimit` bytes for whatever a source calls an item.
    package static func key(_ identifier: String) -> String {
        let isPlain = identifier.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
        if isPlain, (1...keyLimit).contains(identifier.utf8.count) { return identifier }
        var text = ""
        for scalar in identifier.unicodeScalars where scalar.value >= 0x20 && scalar.value != 0x7F {
            if text.utf8.count + 4 > keyLimit - 17 { break }
            text.unicodeScalars.append(scalar)
        }
        return text + "#" + String(hash(identifier), radix: 16)
    }

    /// FNV-1a, 64 bits: only tells the items of one list apart.
    package static func hash(_ text: String) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash
    }

    // MARK: Stored form

    private static let version: Int64 = 1

    /// Reads the stored form; nil when it is none of ours.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count <= MonitorBatch.cursorLimit, let json = try? JSONParser.parse(bytes),
            json["v"]?.integer == Self.version, let time = json["time"]?.integer, let open = json["open"]?.array,
            let known = json["known"]?.string.flatMap({ [UInt8](base64URL: $0) }), known.count % 8 == 0
        else { return nil }
        self.init(time: Timestamp(milliseconds: time))
        self.open = open.compactMap(\.string)
        guard self.open.count == open.count, open.count <= Self.openLimit, known.count / 8 <= Self.knownLimit else {
            return nil
        }
        self.known = stride(from: 0, to: known.count, by: 8).map { start in
            known[start..<start + 8].reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    /// At most some 52 KB: 22 KB of hashes, and 100 keys that may need escapes.
    package var encoded: [UInt8] {
        let hashes = known.flatMap { hash in (0..<8).map { UInt8(truncatingIfNeeded: hash >> (56 - 8 * $0)) } }
        return JSON.object([
            "v": .integer(Self.version), "time": .integer(time.milliseconds), "known": .string(hashes.base64URL),
            "open": .strings(open),
        ]).serializedBytes
    }
}
