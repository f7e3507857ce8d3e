import Base
import GatewayTestKit
import Glibc
import Testing

@testable import Inbound

/// A value that tests wait for.
final class Box<Value: Sendable>: Sendable {
    private let value: Locked<Value>
    init(_ value: Value) { self.value = Locked(value) }
    var get: Value { value.withLock { $0 } }
    func set(_ new: Value) { value.withLock { $0 = new } }
    func change(_ body: @Sendable (inout Value) -> Void) { value.withLock { body(&$0) } }
}

/// Waits until `condition` holds; records an issue when it does not within the deadline.
func eventually(
    _ what: Comment, seconds: Int = 20, at location: SourceLocation = #_sourceLocation,
    _ condition: @Sendable () -> Bool
) async {
    let time = SystemTime()
    let deadline = time.now + .seconds(seconds)
    while !condition() {
        guard time.now < deadline else {
            Issue.record(what, sourceLocation: location)
            return
        }
        try? await time.sleep(for: .milliseconds(2))
    }
}

/// A gate that handlers wait at.
final class TestGate: Sendable {
    private let signal = ShutdownSignal()
    let arrivals = Box(0)
    func open() { signal.raise() }
    func pass() async {
        arrivals.change { $0 += 1 }
        await signal.wait()
    }
}

/// Streams that the route `/stream` made, and why they closed.
final class StreamLog: Sendable {
    let streams = Box<[EventStream]>([])
    let reasons = Box<[EventStream.CloseReason]>([])
    let drained = Box(0)
    private let time: any TimeSource

    init(time: any TimeSource = SystemTime()) { self.time = time }

    func make(limits: StreamLimits = StreamLimits()) -> EventStream {
        let stream = EventStream(
            limits: limits, time: time, onDrain: { self.drained.change { $0 += 1 } },
            onClose: { reason in self.reasons.change { $0.append(reason) } })
        streams.change { $0.append(stream) }
        return stream
    }
}

/// Runs a server around `body` on a free port, then shuts it down and waits for its end.
func withServer(
    _ router: Router, address: String = "127.0.0.1", tls: TLSFiles? = nil, log: Log = Log(sink: NullLogSink()),
    time: any TimeSource = SystemTime(), limits change: (inout ServerLimits) -> Void = { _ in },
    _ body: @escaping @Sendable (UInt16, Server) async throws -> Void
) async throws {
    var limits = ServerLimits()
    limits.stream.tick = .milliseconds(20)
    limits.drainTimeout = .seconds(2)
    change(&limits)
    let server = try Server(
        ServerConfiguration(address: address, tls: tls, limits: limits, threads: 2), handler: router, log: log,
        time: time)
    try server.listen()
    let port = try #require(server.port)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await server.run() }
        do {
            try await body(port, server)
        } catch {
            server.beginShutdown()
            throw error
        }
        server.beginShutdown()
        try await group.waitForAll()
    }
    #expect(server.statistics.activeRequests == 0)
    #expect(server.statistics.streams == 0)
    #expect(server.statistics.connections == 0)
}

/// Runs a program and returns its exit status.
func runProgram(_ arguments: [String]) throws -> Int32 {
    var process = pid_t()
    var pointers: [UnsafeMutablePointer<CChar>?] = unsafe []
    for argument in arguments { unsafe pointers.append(strdup(argument)) }
    unsafe pointers.append(nil)
    defer { for index in unsafe pointers.indices { unsafe free(pointers[index]) } }
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    unsafe posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    guard unsafe posix_spawnp(&process, arguments[0], &actions, nil, &pointers, environ) == 0 else {
        throw WireError("cannot start \(arguments[0])")
    }
    var status: Int32 = 0
    while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
    return status >> 8 & 0xFF
}

/// A folder of its own for one test, removed afterwards.
func withFolder<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    var template = Array("/tmp/inbound-tests.XXXXXX".utf8CString)
    guard unsafe mkdtemp(&template) != nil else { throw WireError("mkdtemp: \(FileSystem.lastError)") }
    let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { _ = try? runProgram(["rm", "-r", folder]) }
    return try await body(folder)
}
