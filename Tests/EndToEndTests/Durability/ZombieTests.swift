import Base
import GatewayTestKit
import Testing

/// A consumer that stands still for longer than its lock holds, and then goes on as if nothing had happened.
@Suite(.timeLimit(.minutes(2)), .enabled(if: FileSystem.exists("/usr/bin/curl"), "needs curl")) struct ZombieTests {
    /// Takes a message, says so, waits for a word, completes it, and says how that was answered.
    private static let consumer = """
        call() {
            curl --silent --show-error --header "Authorization: Bearer $KEY" --header 'Content-Type: application/json' \\
                --write-out ' %{http_code}' --data "$2" "$URL$1"
        }
        got=$(call /v1/messages/receive '{"lockSeconds":1,"waitSeconds":20}')
        id=$(printf %s "$got" | sed -n 's/.*"messages":\\[{"id":"\\([^"]*\\)".*/\\1/p')
        token=$(printf %s "$got" | sed -n 's/.*"token":"\\([^"]*\\)".*/\\1/p')
        echo "got $id"
        while read -r word; do call "/v1/messages/$id/complete" "{\\"token\\":\\"$token\\"}"; echo; done
        """

    @Test("G3 G4 the late completion of a consumer that was stopped is refused; another's takes effect, once")
    func stopped() async throws {
        let site = try await QueueSite()
        try await site.gateway.start()
        let order: JSON = ["to": ["app": "store"], "body": "text"]
        let sent = try await site.call(site.shop, "POST", "/v1/messages", order)
        let id = try #require(sent.json["messages"]?[0]?["id"]?.string)
        let zombie = try await ChildProcess(
            "/usr/bin/env",
            ["KEY=\(site.store)", "URL=http://127.0.0.1:\(site.gateway.port)", "/bin/sh", "-c", Self.consumer])
        try await zombie.waitForLine("got it") { $0 == "got \(id)" }
        zombie.stop()

        let second = try await site.receive(["lockSeconds": 60, "waitSeconds": 30])
        #expect(second.map { $0["id"]?.string } == [id])
        #expect(second.first?["receipt"]?["delivery"]?.integer == 2)
        zombie.resume()
        try zombie.write("go\n")
        let refused = try await zombie.waitForLine("the answer") { $0.hasSuffix(" 409") }
        #expect(refused.contains("lock_lost"))

        let message = try #require(second.first)
        let done = try await site.settle(message, "complete")
        #expect(done.status == 200 && done.json["state"]?.string == "done")
        try zombie.write("go\n")
        try await Eventually.wait("the second answer") { zombie.output.count { $0.hasSuffix(" 409") } == 2 }
        zombie.closeInput()
        #expect(try await zombie.waitForExit() == .code(0))
        let trace = try await site.call(site.store, "GET", "/v1/messages/\(id)").json
        #expect(trace["state"]?.string == "done")
        #expect(trace["history"]?.array?.count { $0["state"]?.string == "done" } == 1)
        #expect(try await site.receive([:]).isEmpty)
        #expect(try await site.gateway.stop() == .code(0))
    }
}
