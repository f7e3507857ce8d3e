internal import Base
internal import Glibc

// The demonstration's folder: configuration, mailbox, log.
extension Demo {
    func makeFolder() throws -> String {
        let base = environmentFolder()
        var template = Array("\(base)/farbell-demo-XXXXXX".utf8CString)
        let isMade = unsafe template.withUnsafeMutableBufferPointer { unsafe mkdtemp($0.baseAddress!) != nil }
        guard isMade else { throw DaemonError(.io, "cannot make a folder in \(base): \(FileSystem.lastError)") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func configuration(port: Int) -> String {
        """
        {
          "listen": {"address": "127.0.0.1", "port": \(port)},
          "data": {"sqlite": {"path": "farbell.sqlite"}},
          "keyFile": "farbell.key",
          "admin": {"tokenFile": "admin.token"},
          "log": {"format": "text", "statsSeconds": 0},
          "farms": {"portal": {"kind": "link", "url": "https://farm.example.org/start?app={app}&ticket={launch}"}},
          "apps": {"mail": {"name": "Mail", "farm": "portal", "monitor": {"kind": "maildir", "path": "mail/{username}"}}},
          "push": {"phone": {"kind": "webhook", "allowHosts": ["127.0.0.1"]}},
          "notify": {"ackSeconds": 1, "groupSeconds": 0}
        }
        """
    }

    func mailbox(_ folder: String) throws {
        for part in ["tmp", "new", "cur"] {
            guard FileSystem.createFolder("\(folder)/mail/alice/\(part)") else {
                throw DaemonError(.io, "cannot make the mailbox: \(FileSystem.lastError)")
            }
        }
    }

    /// Delivers as a mail server does: written in `tmp`, then renamed into `new`.
    func deliver(_ folder: String, from: String, subject: String, name: String) throws {
        let text =
            "From: \(from)\r\nTo: alice@example.org\r\nSubject: \(subject)\r\nMessage-ID: <\(name)@example.org>\r\n\r\nHello.\r\n"
        let (temporary, final) = ("\(folder)/mail/alice/tmp/\(name)", "\(folder)/mail/alice/new/\(name)")
        try write(text, to: temporary)
        guard unsafe rename(temporary, final) == 0 else {
            throw DaemonError(.io, "cannot deliver: \(FileSystem.lastError)")
        }
    }

    func write(_ text: String, to path: String) throws {
        guard FileSystem.writePrivate(Array(text.utf8), to: path, replacing: true) else {
            throw DaemonError(.io, "cannot write '\(path)': \(FileSystem.lastError)")
        }
    }

    func log(_ folder: String) throws -> [String] {
        guard let bytes = FileSystem.contents(of: "\(folder)/farbell.log", limit: 1 << 20) else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
    }

    /// A port nobody listens on now.
    func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe bind(descriptor, address, length) == 0 ? unsafe getsockname(descriptor, address, &length) : -1
            }
        }
        guard status == 0 else { throw DaemonError(.software, "there is no free port: \(FileSystem.lastError)") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private func environmentFolder() -> String {
        guard let folder = unsafe getenv("TMPDIR") else { return "/tmp" }
        return unsafe String(cString: folder)
    }

    /// Removes the folder and what is in it.
    func remove(_ folder: String) {
        guard let handle = unsafe opendir(folder) else { return }
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            let path = "\(folder)/\(name)"
            if unsafe unlink(path) != 0 { remove(path) }
        }
        unsafe closedir(handle)
        unsafe rmdir(folder)
    }
}
