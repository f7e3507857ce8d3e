import Base
import Glibc
import Testing

@testable import Inbound

@Suite struct StartFailureTests {
    @Test("a server whose library does not start closes the listening socket once")
    func libraryFails() async {
        // In a process of its own: the limit is the whole process's.
        await #expect(processExitsWith: .success) {
            var server: Server? = try Server(
                ServerConfiguration(address: "127.0.0.1", threads: 2), handler: Router(), log: Log(sink: NullLogSink()))
            try server?.listen()
            // The lowest free number: with a limit of this no further descriptor can be had.
            let free = dup(0)
            close(free)
            var limit = rlimit(rlim_cur: rlim_t(free), rlim_max: 4096)
            try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            var fault: InboundError.Code?
            do {
                try await server?.run()
            } catch let error as InboundError {
                fault = error.code
            }
            #expect(fault == .start)
            limit.rlim_cur = 1024
            try #require(unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
            let others = (0..<8).map { _ in dup(0) }
            server = nil
            #expect(server == nil)
            for other in others { #expect(fcntl(other, F_GETFD) >= 0, "\(other) was closed") }
            #expect(dup(0) < free, "the socket is closed with its server")
        }
    }
}
