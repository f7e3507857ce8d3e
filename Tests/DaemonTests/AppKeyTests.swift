import Base
import GatewayTestKit
import Testing

/// The keys that web applications call with, in the configuration and from the command line.
@Suite(.timeLimit(.minutes(1))) struct AppKeyTests {
    private static let good = String(repeating: "k", count: 32)

    private func gateway(_ apps: JSON) throws -> GatewayProcess {
        let gateway = try GatewayProcess()
        try gateway.configure(["apps": apps])
        return gateway
    }

    @Test("a key must be long, given as a secret, and no other app's")
    func faults() async throws {
        let gateway = try gateway([
            "short": ["key": ["file": "short.key"]], "plain": ["key": .string(Self.good)],
            "one": ["key": ["file": "one.key"]], "two": ["key": ["file": "two.key"]],
        ])
        try gateway.folder.write(String(repeating: "k", count: 31), to: "short.key")
        for name in ["one", "two"] { try gateway.folder.write("\(Self.good)\n", to: "\(name).key") }
        let check = try await gateway.run("check")
        #expect(check.exit == .code(1))
        let said = check.errors.joined(separator: "\n")
        #expect(said.contains("apps.short.key: the key has fewer than 32 characters"))
        #expect(said.contains("apps.plain.key: a secret is given as"))
        #expect(said.contains("'one' and 'two' have the same key"))
        #expect(!said.contains(Self.good))
    }

    @Test("a key file that is not there yet is no fault; 'app key' makes it, readable by its owner only")
    func making() async throws {
        let gateway = try gateway([
            "shop": ["key": ["file": "keys/shop.key"]], "desk": ["name": "Desk"], "env": ["key": ["env": "NONE"]],
        ])
        #expect(try await gateway.run("app", "key", "desk").exit == .code(78))
        try gateway.configure(["apps": ["shop": ["key": ["file": "keys/shop.key"]], "desk": ["name": "Desk"]]])
        #expect(try await gateway.run("check").exit == .code(0))
        let made = try await gateway.run("app", "key", "shop")
        #expect(made.exit == .code(0) && made.output.count == 1)
        let file = gateway.folder.file("keys/shop.key")
        #expect(FileSystem.contents(of: file, limit: 100) == Array("\(made.output[0])\n".utf8))
        let mode = try await ChildProcess.run("stat", ["-c", "%a", file])
        #expect(mode.output == ["600"])
        #expect(try await gateway.run("app", "key", "shop").exit == .code(65))
        #expect(FileSystem.contents(of: file, limit: 100) == Array("\(made.output[0])\n".utf8))
        let desk = try await gateway.run("app", "key", "desk")
        #expect(desk.exit == .code(78) && desk.errors.joined().contains("apps.desk.key names no file"))
        #expect(try await gateway.run("app", "kye", "shop").exit == .code(64))
    }
}
