import Base
import GatewayTestKit
import Glibc
import Testing

/// A write that fails ends the process with a word on why; what was accepted before is there when it starts again.
@Suite(.timeLimit(.minutes(2))) struct BrokenDiskTests {
    @Test("G1 a disk that is full", .enabled(if: geteuid() == 0, "mounting needs root")) func full() async throws {
        var folder: String?
        defer { if let folder { unsafe umount2(folder, Int32(MNT_DETACH)) } }
        let site: QueueSite
        do {
            site = try await QueueSite { data in
                guard unsafe mount("farbell", data, "tmpfs", 0, "size=2m") == 0 else { throw Unmountable() }
                folder = data
            }
        } catch is Unmountable {
            // In most containers even root may not.
            return print("skipped: no file system can be mounted here (\(FileSystem.lastError))")
        }
        try await site.gateway.start()
        let body = String(repeating: "x", count: 4000)
        let accepted = try await site.sendUntilRefused(body: body, limit: 2000)
        try await site.expectEnded(code: "full", accepted: accepted) {
            let place = try #require(folder)
            #expect(unsafe mount("farbell", place, "tmpfs", UInt(MS_REMOUNT), "size=64m") == 0)
        }
    }

    private struct Unmountable: Error {}

    /// Syncs fail while a file is there.
    private static let library = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <unistd.h>
        static int broken(void) { return access(getenv("BROKEN_WHILE"), F_OK) == 0; }
        int fdatasync(int fd) {
            if (broken()) { errno = EIO; return -1; }
            return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(fd);
        }
        int fsync(int fd) {
            if (broken()) { errno = EIO; return -1; }
            return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(fd);
        }
        """

    @Test("G1 a sync that fails with EIO", .enabled(if: FileSystem.exists("/usr/bin/cc"), "needs a C compiler"))
    func syncFails() async throws {
        let site = try await QueueSite()
        let folder = site.gateway.folder
        let (library, mark) = (folder.file("eio.so"), folder.file("broken"))
        let source = try folder.write(Self.library, to: "eio.c")
        let compiled = try await ChildProcess.run("/usr/bin/cc", ["-shared", "-fPIC", "-o", library, source, "-ldl"])
        try #require(compiled.exit == .code(0), "\(compiled.errors)")
        try await site.gateway.launch(variables: ["LD_PRELOAD": library, "BROKEN_WHILE": mark])
        try await site.gateway.waitUntilReady()
        let accepted = try await site.sendUntilRefused(body: "text", limit: 100) { number in
            if number == 50 { try folder.write("", to: "broken") }
        }
        #expect(accepted.count == 50, "nothing is accepted whose sync failed")
        try await site.expectEnded(code: "write_failed", accepted: accepted) { #expect(unsafe unlink(mark) == 0) }
    }
}
