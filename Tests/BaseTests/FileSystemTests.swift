import Base
import Glibc
import Testing

@Suite struct FileSystemTests {
    private let folder = TemporaryFolder()

    @Test("a private file has the content and only its owner may read it")
    func writes() {
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(FileSystem.writePrivate(bytes, to: folder.file("key")))
        #expect(FileSystem.contents(of: folder.file("key"), limit: 200_000) == bytes)
        #expect(folder.mode("key") == 0o600)
        #expect(folder.names == ["key"])
    }

    @Test("an existing file is kept, or replaced when asked")
    func replaces() {
        #expect(FileSystem.writePrivate([1], to: folder.file("key")))
        #expect(!FileSystem.writePrivate([2], to: folder.file("key")))
        #expect(errno == EEXIST)
        #expect(FileSystem.contents(of: folder.file("key"), limit: 9) == [1])
        unsafe chmod(folder.file("key"), 0o644)
        #expect(FileSystem.writePrivate([3], to: folder.file("key"), replacing: true))
        #expect(FileSystem.contents(of: folder.file("key"), limit: 9) == [3])
        #expect(folder.mode("key") == 0o600)
        #expect(folder.names == ["key"])
    }

    @Test("of many that make the same file at once, one wins, and the file is one of theirs, whole")
    func races() async {
        let path = folder.file("key")
        let winners = await withTaskGroup(of: UInt8?.self) { group in
            for writer in UInt8(1)...8 {
                group.addTask {
                    FileSystem.writePrivate([UInt8](repeating: writer, count: 5000), to: path) ? writer : nil
                }
            }
            return await group.reduce(into: [UInt8]()) { if let winner = $1 { $0.append(winner) } }
        }
        #expect(winners.count == 1)
        #expect(FileSystem.contents(of: path, limit: 5000) == [UInt8](repeating: winners.first ?? 0, count: 5000))
        #expect(folder.names == ["key"])
    }

    @Test("failures say why and leave nothing behind")
    func failures() {
        #expect(!FileSystem.writePrivate([1], to: folder.file("missing/key")))
        #expect(FileSystem.lastError == FileSystem.message(of: ENOENT))
        #expect(FileSystem.contents(of: folder.file("missing"), limit: 9) == nil)
        #expect(errno == ENOENT)
        #expect(FileSystem.contents(of: folder.path, limit: 9) == nil)
        #expect(errno == EISDIR)
        #expect(FileSystem.writePrivate([1, 2, 3], to: folder.file("three")))
        #expect(FileSystem.contents(of: folder.file("three"), limit: 2) == nil)
        #expect(errno == EFBIG)
        #expect(FileSystem.contents(of: folder.file("three"), limit: 3) == [1, 2, 3])
    }

    @Test("folders are made with their parents; a file in the way is a failure")
    func folders() {
        let inner = folder.file("a/b")
        #expect(FileSystem.createFolder(inner))
        #expect(FileSystem.createFolder(inner))
        #expect(FileSystem.isFolder(inner))
        #expect(FileSystem.writePrivate([1], to: folder.file("file")))
        #expect(!FileSystem.createFolder(folder.file("file")))
        #expect(errno == ENOTDIR)
        #expect(!FileSystem.isFolder(folder.file("file")))
        #expect(FileSystem.exists(folder.file("file")) && !FileSystem.exists(folder.file("none")))
        unsafe rmdir(inner)
        unsafe rmdir(folder.file("a"))
    }

    @Test("the folder part of a path", arguments: [("a", "."), ("/a", "/"), ("a/b", "a"), ("/a/b/c", "/a/b")])
    func folderPart(_ path: String, _ part: String) { #expect(FileSystem.folder(of: path) == part) }

    @Test("free space is known for what exists")
    func freeSpace() {
        #expect(FileSystem.freeBytes(at: folder.path) ?? -1 >= 0)
        #expect(FileSystem.freeBytes(at: folder.file("none")) == nil)
    }
}
