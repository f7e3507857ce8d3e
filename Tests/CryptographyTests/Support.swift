import Base
import Cryptography
import Glibc

/// Why a helper program gave no answer.
struct HelperFailure: Error, CustomStringConvertible {
    let description: String
}

/// Runs programs that check our work.
enum Helper {
    /// Runs a program to its end and returns what it wrote.
    /// - Throws: `HelperFailure` with its diagnostics when it cannot run or does not exit with 0.
    static func run(_ arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
        let folder = try TemporaryFolder()
        let (inputPath, outputPath, errorPath) = (folder.path("in"), folder.path("out"), folder.path("err"))
        guard FileSystem.writePrivate(input, to: inputPath) else { throw HelperFailure(description: "no input file") }
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let create = O_WRONLY | O_CREAT | O_TRUNC
        unsafe posix_spawn_file_actions_addopen(&actions, 0, inputPath, O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, outputPath, create, 0o600)
        unsafe posix_spawn_file_actions_addopen(&actions, 2, errorPath, create, 0o600)
        var list = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe list.forEach { unsafe free($0) } }
        var child = pid_t()
        let status = unsafe posix_spawnp(&child, arguments[0], &actions, nil, &list, environ)
        guard status == 0 else {
            throw HelperFailure(description: "\(arguments[0]) cannot be run: \(FileSystem.message(of: status))")
        }
        var result: Int32 = 0
        while unsafe waitpid(child, &result, 0) < 0 && errno == EINTR {}
        guard result == 0 else {
            let text = FileSystem.contents(of: errorPath, limit: 1 << 20) ?? []
            throw HelperFailure(description: "\(arguments[0]): \(String(decoding: text, as: UTF8.self))")
        }
        return FileSystem.contents(of: outputPath, limit: 1 << 20) ?? []
    }
}

/// The Python libraries that `Scripts/oracle/oracle.py` asks.
enum Oracle {
    static var root: String {
        // Tests/CryptographyTests/Support.swift lies three levels below the repository.
        FileSystem.folder(of: FileSystem.folder(of: FileSystem.folder(of: #filePath)))
    }

    static func ask(_ question: String, _ members: JSONObject = [:]) throws -> JSON {
        var asked: JSONObject = ["ask": .string(question)]
        asked.members += members.members
        return try JSONParser.parse(run("Scripts/oracle/oracle.py", asked))
    }

    /// Runs one of the repository's programs in Python; `input` is what it reads.
    static func run(_ program: String, _ input: JSONObject) throws -> [UInt8] {
        let python = "\(root)/.venv/bin/python"
        guard FileSystem.exists(python) else {
            throw HelperFailure(description: "no Python environment at \(python): run Scripts/oracle/setup first")
        }
        return try Helper.run([python, "\(root)/\(program)"], input: JSON.object(input).serializedBytes)
    }
}

/// A folder that is removed with its files at the end of a test.
final class TemporaryFolder {
    private let folder: String

    init() throws {
        var template = Array("/tmp/farbell-test-XXXXXX".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { throw HelperFailure(description: FileSystem.lastError) }
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        if let directory = unsafe opendir(folder) {
            while let entry = unsafe readdir(directory) {
                let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                unsafe unlink(path(name))
            }
            unsafe closedir(directory)
        }
        unsafe rmdir(folder)
    }

    func path(_ name: String) -> String { "\(folder)/\(name)" }

    func write(_ bytes: [UInt8], to name: String) throws -> String {
        guard FileSystem.writePrivate(bytes, to: path(name)) else {
            throw HelperFailure(description: FileSystem.lastError)
        }
        return path(name)
    }
}

/// The code of the error that `body` throws; nil if it throws none, or one of another type.
func code(of body: () throws -> Void) -> CryptographyError.Code? {
    do {
        try body()
        return nil
    } catch {
        return (error as? CryptographyError)?.code
    }
}
