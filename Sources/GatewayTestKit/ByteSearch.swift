internal import Glibc

/// Finding a byte with the C library: in a debug build Swift's generic search takes seconds for the
/// megabytes that hostile peers send.
enum ByteSearch {
    /// Where `byte` stands first in `bytes[start..<end]`.
    static func index(of byte: UInt8, in bytes: [UInt8], from start: Int, to end: Int) -> Int? {
        guard start < end else { return nil }
        return unsafe bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress,
                let found = unsafe memchr(base + start, Int32(byte), end - start)
            else { return nil }
            return unsafe base.distance(to: UnsafeRawPointer(found))
        }
    }
}
