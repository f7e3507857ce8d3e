internal import Base
internal import Gateway
internal import Glibc

/// The header of a write-ahead log (sqlite.org/fileformat2.html, section 4.1). SQLite passes over a log whose
/// header is damaged, and with it over all that was accepted since the last checkpoint. It syncs the header before
/// it writes the first frame, so no crash leaves frames behind a header that is not valid.
struct LogHeader {
    static let bytes = 32
    /// The header and one frame: a shorter log holds nothing that was accepted.
    static let least = 32 + 24 + 4096

    /// Its eight numbers, first byte first.
    private let words: [UInt32]

    /// - Parameter bytes: at least the first 32 of the log.
    init(_ bytes: [UInt8]) { words = (0..<8).map { Self.word(bytes, $0) } }

    private static func word(_ bytes: [UInt8], _ index: Int) -> UInt32 {
        bytes[index * 4..<index * 4 + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Whether SQLite would read what follows.
    var isValid: Bool {
        let (magic, version, pageSize) = (words[0], words[1], words[2])
        guard magic & ~1 == 0x377F_0682, version == 3_007_000, pageSize == 4096 else { return false }
        var sums: (UInt32, UInt32) = (0, 0)
        for index in stride(from: 0, to: 6, by: 2) {
            // The magic's last bit says in which order of bytes the sums are made.
            let isBig = magic & 1 == 1
            let (first, second) = (words[index], words[index + 1])
            sums.0 &+= (isBig ? first : first.byteSwapped) &+ sums.1
            sums.1 &+= (isBig ? second : second.byteSwapped) &+ sums.0
        }
        return (words[6], words[7]) == sums
    }

    /// The first bytes of a file; fewer when it is shorter, nil when it cannot be read.
    static func start(of path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: Self.bytes)
        let count = unsafe bytes.withUnsafeMutableBytes { unsafe pread(descriptor, $0.baseAddress, $0.count, 0) }
        return count < 0 ? nil : Array(bytes.prefix(count))
    }
}
