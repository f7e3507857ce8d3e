import Base
import Glibc
import Testing

@Suite struct LogTests {
    private func record(
        _ level: LogLevel = .info, _ fields: LogFields = [:], message: String = "It happened."
    ) -> LogRecord {
        let sink = RecordingLogSink()
        Log(sink: sink, level: .trace, time: FixedTime()).write(level, fields)
        return sink.records[0]
    }

    @Test("golden: a JSON line and a text line")
    func golden() {
        let fields: LogFields = [
            "account": "alice", "waitMilliseconds": .milliseconds(.seconds(2)), "idleSeconds": .seconds(.seconds(9)),
            "ratio": .number(0.5), "ok": true, "tags": .strings(["a", "b c"]), "at": .timestamp(Timestamp(seconds: 0)),
            "n": .count(3), "text": "two words", "empty": "",
        ]
        #expect(
            LogFormat.json.line(record(.warning, fields))
                == #"{"time":"2026-11-21T00:00:00.000Z","level":"warning","event":"test.event","message":"It happened.","#
                + #""account":"alice","waitMilliseconds":2000,"idleSeconds":9,"ratio":0.5,"ok":true,"tags":["a","b c"],"#
                + #""at":"1970-01-01T00:00:00.000Z","n":3,"text":"two words","empty":""}"#)
        #expect(
            LogFormat.text.line(record(.warning, fields))
                == "2026-11-21T00:00:00.000Z WARNING test.event It happened. account=alice waitMilliseconds=2000 "
                + #"idleSeconds=9 ratio=0.5 ok=true tags=["a","b c"] at=1970-01-01T00:00:00.000Z n=3 text="two words" empty="""#
        )
    }

    @Test("secrets never show; personal text shows at debug and below only", arguments: LogLevel.allCases)
    func redaction(_ level: LogLevel) {
        let record = record(level, ["token": .secret(Secret("hunter2")), "subject": .personal("Dear Bob")])
        for format in LogFormat.allCases {
            let line = format.line(record)
            #expect(!line.contains("hunter2"))
            #expect(line.contains("<secret>"))
            #expect(line.contains("Dear Bob") == (level <= .debug))
            #expect(line.contains("<redacted>") == (level >= .info))
        }
    }

    @Test("nothing prints a secret, not even a mirror")
    func secrets() {
        let secret = Secret("hunter2")
        struct Holder { let secret: Secret }
        var dumped = ""
        dump(secret, to: &dumped)
        dump(Holder(secret: secret), to: &dumped)
        dump([secret], to: &dumped)
        dump(LogFields(dictionaryLiteral: ("a", .secret(secret))), to: &dumped)
        let texts = [
            dumped, "\(secret)", String(describing: secret), String(reflecting: secret), "\(Holder(secret: secret))",
            "\([secret: secret])", "\(Optional(secret) as Any)", "\(LogValue.secret(secret))",
        ]
        for text in texts {
            #expect(!text.contains("hunter2"))
            #expect(!text.contains("104"))
            #expect(text.contains("<secret>"))
        }
        #expect(Mirror(reflecting: secret).children.isEmpty)
        #expect(secret.exposed == "hunter2")
        #expect(secret == Secret(bytes: Array("hunter2".utf8)))
        #expect(secret != Secret("hunter3") && secret != Secret("hunter") && !secret.isEmpty && Secret("").isEmpty)
    }

    @Test("a record is one line whatever it holds")
    func oneLine() throws {
        let nasty = "a\nb\r\u{85}\u{2028}\u{2029}\u{0}\u{1B}[31m\u{9B}\"\\\u{7F}\u{B}\u{C}"
        let record = record(.info, ["text": .string(nasty), "list": .strings([nasty]), "infinite": .number(.infinity)])
        for format in LogFormat.allCases {
            let line = format.line(record)
            let breaks = line.unicodeScalars.filter { scalar in
                scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || (0x2028...0x2029).contains(scalar.value)
            }
            #expect(breaks.isEmpty)
        }
        let json = try JSONParser.parse(LogFormat.json.line(record))
        #expect(json["text"]?.string == nasty)
        #expect(json["infinite"] == .null)
    }

    @Test("a field named like a part of the line replaces nothing")
    func reservedNames() throws {
        let json = try JSONParser.parse(LogFormat.json.line(record(.info, ["message": "m-1", "time": 5, "x": 1])))
        #expect(json["message"] == "It happened.")
        #expect(json["message_"] == "m-1")
        #expect(json["time_"] == 5)
        #expect(json["x"] == 1)
    }

    @Test("a long text is cut between characters")
    func cuts() throws {
        for padding in 0..<3 {
            let text = String(repeating: "x", count: padding) + String(repeating: "€", count: 5000)
            let json = try JSONParser.parse(
                LogFormat.json.line(record(.debug, ["a": .string(text), "b": .personal(text)])))
            for name in ["a", "b"] {
                let cut = try #require(json[name]?.string)
                #expect(
                    (LogFormat.textLimit...LogFormat.textLimit + 3).contains(
                        cut.utf8.count + (LogFormat.textLimit - padding) % 3))
                #expect(cut.hasSuffix("€…"))
                #expect(text.hasPrefix(cut.dropLast()))
            }
        }
    }

    @Test("the level decides, fields below it are not even made, and with() adds fields")
    func levels() {
        let sink = RecordingLogSink()
        let log = Log(sink: sink, level: .info, time: FixedTime()).with(["a": 1]).with(["b": 2])
        var made = 0
        func fields() -> LogFields {
            made += 1
            return ["c": 3]
        }
        log.debug("test.debug", "Not shown.", fields())
        #expect(made == 0)
        log.info("test.info", "Shown.", fields())
        #expect(made == 1)
        #expect(sink.records.map(\.fields) == [["a": 1, "b": 2, "c": 3]])
        #expect(sink.records(of: "test.info").count == 1)
        #expect(sink.records(of: "test.debug").isEmpty)
        #expect(LogLevel.allCases.sorted() == [.trace, .debug, .info, .warning, .error])
        #expect(sink.records[0].fields["b"] == 2)
        #expect(sink.records[0].fields["z"] == nil)
    }

    @Test("the recording sink keeps the newest")
    func recordingLimit() {
        let sink = RecordingLogSink(limit: 2)
        let log = Log(sink: sink)
        for number in 1...3 { log.info("test.n", "N.", ["n": .count(number)]) }
        #expect(sink.records.map { $0.fields["n"] } == [2, 3])
    }

    @Test("lines of many threads arrive whole")
    func descriptor() async throws {
        let pipe = Pipe()
        let log = Log(sink: FileDescriptorLogSink(descriptor: pipe.writer, format: .json))
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<50 {
                group.addTask {
                    log.info("test.n", "N.", ["n": .count(number), "pad": .string(String(repeating: "x", count: 500))])
                }
            }
        }
        let lines = pipe.readAvailable().split(separator: 0x0A)
        let numbers = try lines.map { try JSONParser.parse(Array($0))["n"]?.integer }
        #expect(Set(numbers) == Set((0..<50).map { Int64($0) }))
        #expect(lines.count == 50)
    }

    @Test("lines of a batch are written at its end; a warning, somebody else's line or too many bytes end the wait")
    func together() throws {
        let pipe = Pipe()
        let log = Log(sink: FileDescriptorLogSink(descriptor: pipe.writer, format: .json))
        func arrived() throws -> [Int64?] {
            try pipe.readAvailable().split(separator: 0x0A).map { try JSONParser.parse(Array($0))["n"]?.integer }
        }
        var seen: [[Int64?]] = []
        try Self.batch {
            log.info("test.n", "N.", ["n": 1])
            log.info("test.n", "N.", ["n": 2])
            seen.append(try arrived())
            log.warning("test.n", "N.", ["n": 3])
            seen.append(try arrived())
            log.info("test.n", "N.", ["n": 4])
            let isDone = Locked(false)
            SystemThread.start(name: "other") {
                log.info("test.n", "N.", ["n": 5])
                isDone.withLock { $0 = true }
            }
            while !isDone.withLock({ $0 }) { sched_yield() }
            seen.append(try arrived())
            log.info("test.n", "N.", ["n": 6])
            log.info("test.n", "N.", ["n": 7])
        }
        seen.append(try arrived())
        #expect(seen == [[], [1, 2, 3], [4, 5], [6, 7]])
    }

    @Test("no more lines wait for one another than 64 KiB")
    func togetherLimit() throws {
        let folder = TemporaryFolder()
        let descriptor = unsafe open(folder.file("log"), O_CREAT | O_WRONLY, 0o600)
        defer { close(descriptor) }
        let log = Log(sink: FileDescriptorLogSink(descriptor: descriptor, format: .json))
        var sizes: [Int] = []
        Batch.run {
            for _ in 0..<9 {
                log.info("test.n", "N.", ["pad": .string(String(repeating: "x", count: 8000))])
                sizes.append(FileSystem.contents(of: folder.file("log"), limit: 1 << 20)?.count ?? -1)
            }
        }
        #expect(sizes.prefix(8).allSatisfy { $0 == 0 })
        #expect(sizes.last ?? 0 > 9 * 8000)
    }

    @Test("a reader that has gone away, or a closed descriptor, stops nothing")
    func goneReader() {
        let pipe = Pipe()
        let log = Log(sink: FileDescriptorLogSink(descriptor: pipe.writer))
        pipe.closeReader()
        log.info("test.n", "Into a broken pipe.")
        Log(sink: FileDescriptorLogSink(descriptor: -1)).info("test.n", "Into nowhere.")
    }

    @Test("a full pipe that does not block drops lines, and the next line is whole again")
    func fullPipe() throws {
        let pipe = Pipe()
        pipe.fill()
        let sink = FileDescriptorLogSink(descriptor: pipe.writer, format: .text)
        // Room for the first half of the line only: what is left cannot be written.
        let filled = pipe.read(count: 4096).count
        #expect(filled == 4096)
        sink.write(record(.info, ["pad": .string(String(repeating: "y", count: 6000))]))
        _ = pipe.readAvailable()
        sink.write(record(.info, ["n": 1]))
        let text = String(decoding: pipe.readAvailable(), as: UTF8.self)
        #expect(text == "\n" + LogFormat.text.line(record(.info, ["n": 1])) + "\n")
    }
}

extension LogTests {
    /// A batch whose body may throw.
    private static func batch(_ body: () throws -> Void) throws {
        var result = Result<Void, any Error>.success(())
        Batch.run { result = Result(catching: body) }
        try result.get()
    }
}

extension Log {
    /// One record at any level.
    fileprivate func write(_ level: LogLevel, _ fields: LogFields) {
        switch level {
        case .trace: trace("test.event", "It happened.", fields)
        case .debug: debug("test.event", "It happened.", fields)
        case .info: info("test.event", "It happened.", fields)
        case .warning: warning("test.event", "It happened.", fields)
        case .error: error("test.event", "It happened.", fields)
        }
    }
}

/// A clock that stands still.
private struct FixedTime: TimeSource {
    var now: Moment { Moment(nanoseconds: 0) }
    var timestamp: Timestamp { Timestamp(milliseconds: 1_795_219_200_000) }
    func sleep(until moment: Moment) async throws { try await Task.sleep(for: .seconds(3600)) }
}

/// A pipe whose both ends do not block.
private final class Pipe {
    let writer: Int32
    private var reader: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        let status = unsafe pipe(&ends)
        precondition(status == 0, FileSystem.lastError)
        (reader, writer) = (ends[0], ends[1])
        for end in ends { precondition(fcntl(end, F_SETFL, O_NONBLOCK) == 0) }
    }

    deinit {
        closeReader()
        close(writer)
    }

    func closeReader() {
        if reader >= 0 { close(reader) }
        reader = -1
    }

    /// Writes until nothing more goes in.
    func fill() {
        let block = [UInt8](repeating: 0x78, count: 4096)
        while unsafe block.withUnsafeBytes({ unsafe write(writer, $0.baseAddress, $0.count) }) > 0 {}
    }

    func read(count: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let got = unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(reader, $0.baseAddress, $0.count) }
        return Array(bytes.prefix(max(0, got)))
    }

    func readAvailable() -> [UInt8] {
        var all: [UInt8] = []
        while true {
            let chunk = read(count: 65_536)
            if chunk.isEmpty { return all }
            all += chunk
        }
    }
}
