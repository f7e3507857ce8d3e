internal import Base
internal import GatewayTestKit
internal import Glibc

/// A small disk of its own for the data folder: an ext4 image on a loop device. A power cut leaves what had reached
/// the image; what the kernel still had in memory is gone.
struct Disk: Sendable {
    private static let megabytes = 512

    private let folder: String
    private let place: String
    private var count = 0
    private var image: String { "\(folder)/disk-\(count).img" }

    /// Makes the image and mounts it.
    /// - Parameters:
    ///   - folder: for the images.
    ///   - place: where to mount.
    /// - Throws: `ProofError` when this machine allows no mounts.
    init(folder: String, place: String) async throws {
        (self.folder, self.place) = (folder, place)
        guard geteuid() == 0 else { throw ProofError("a power cut needs root, for mounting a disk of its own") }
        try await Self.run("truncate", "--size=\(Self.megabytes)M", image)
        try await Self.run("mkfs.ext4", "-q", "-F", image)
        try await mount()
        // The folder of the file system's own repairs is none of the gateway's.
        try await Self.run("rmdir", "\(place)/lost+found")
    }

    private func mount() async throws { try await Self.run("mount", "-o", "loop", image, place) }

    /// What a power cut leaves takes the disk's place. Nothing may write to it: the gateway stands still.
    /// - Parameter dead: called when the image is copied, to end whoever still uses the disk.
    mutating func cutPower(_ dead: @Sendable () async throws -> Void) async throws {
        let (old, new) = (image, "\(folder)/disk-\(count + 1).img")
        // The kernel may write back while the image is copied; what is torn by that no disk would show.
        repeat {
            let before = Self.changed(old)
            try await Self.run("cp", "--sparse=always", old, new)
            if before == Self.changed(old) { break }
        } while true
        try await dead()
        try await Self.run("umount", place)
        _ = unsafe unlink(old)
        count += 1
        // Mounting replays the journal, as after a power cut.
        try await mount()
    }

    func unmount() async { try? await Self.run("umount", place) }

    private static func changed(_ path: String) -> Int64 {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return -1 }
        return Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    }

    private static func run(_ program: String, _ arguments: String...) async throws {
        let result = try await ChildProcess.run(program, arguments, deadline: .seconds(60))
        guard result.exit == .code(0) else {
            throw ProofError("\(program) \(arguments.joined(separator: " ")): \(result.errors.joined(separator: " "))")
        }
    }
}
