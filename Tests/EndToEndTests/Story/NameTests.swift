import Base
import GatewayTestKit
import Testing

/// Names of accounts in Unicode: whether "ü" is one character or a "u" with a mark, it is the same name.
@Suite(.timeLimit(.minutes(3))) struct NameTests {
    private static let composed = "j\u{FC}rgen"
    private static let decomposed = "ju\u{308}rgen"

    private static func segment(_ name: String) -> String {
        name.utf8.map { "%" + [$0].hexadecimal }.joined()
    }

    @Test(
        "an account is found, refused twice and ended for good by either form of its name",
        arguments: [(composed, decomposed), (decomposed, composed)])
    func forms(stored: String, sent: String) async throws {
        var options = Scenario.Options()
        options.hasMailServer = false
        options.users = [stored]
        try await Scenario.run(options) { world in
            #expect(Array(stored.utf8) != Array(sent.utf8))
            let admin = try world.administrator()
            let twice = try await admin("POST", "accounts", ["name": .string(sent)])
            #expect((twice.status, twice.json["code"]?.string) == (409, "account_exists"))
            let phone = try await world.phone(sent)
            // The queue of its own is found, too.
            let queue = try await phone.client.send(
                "GET", "/v1/messages?queue=\(Self.segment("account/\(sent)"))")
            #expect(queue.status == 200, "\(queue.text)")
            #expect(try await admin("GET", "accounts/\(Self.segment(sent))", nil).status == 200)
            #expect(
                try await admin("GET", "devices?account=\(Self.segment(sent))", nil).json["items"]?.array?.count == 1)

            try await world.gateway.stop()
            try await world.gateway.start()
            #expect(try await phone.client.send("GET", "/v1/devices").status == 200)
            #expect(try await admin("DELETE", "accounts/\(Self.segment(sent))", nil).status == 204)

            try await world.gateway.stop()
            try await world.gateway.start()
            let left = try await admin("GET", "accounts", nil).json["items"]?.array ?? []
            #expect(left == [])
            #expect(try await admin("POST", "accounts", ["name": .string(stored)]).status == 201)
        }
    }
}
