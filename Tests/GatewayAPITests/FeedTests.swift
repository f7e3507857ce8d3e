import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("the feed for Remote Desktop clients", .timeLimit(.minutes(2))) struct FeedTests {
    private func get(_ api: TestAPI, _ path: String, _ headers: HTTPFields = [:]) async throws -> Reply {
        try await api.call("GET", path, basic: ("alice", TestAPI.password), headers: headers)
    }

    /// What the clients' parser expects, read by another XML library.
    private func check(_ reply: Reply, _ schema: String) async throws {
        let root = FileSystem.folder(of: FileSystem.folder(of: FileSystem.folder(of: #filePath)))
        let result = try await ChildProcess.run(
            "python3", ["\(root)/Scripts/oracle/rdweb_feed.py", schema], input: reply.text)
        #expect(result.exit == .code(0), "\(schema): \(result.output) \(result.errors)")
    }

    @Test("SG-11 the account's apps stand in it, each with its file; nobody sees it without a password")
    func feed() async throws {
        try await TestAPI.run { api in
            _ = try await api.device()
            api.test.farm.file.withLock { $0 = Array("full address:s:a".utf8) }
            let old = try await get(api, "/RDWeb/Feed/webfeed.aspx")
            #expect(old.contentType == "text/xml; charset=utf-8" && old.text.contains(#"SchemaVersion="1.1""#))
            let new = try await get(
                api, "/RDWeb/Feed/webfeed.aspx",
                ["Accept": "application/x-msts-radc+xml; radc_schema_version=2.0"])
            #expect(new.contentType == "application/x-msts-radc+xml" && new.text.contains(#"SchemaVersion="2.0""#))
            for (reply, schema) in [(old, "1.1"), (new, "2.0")] { try await check(reply, schema) }
            let url = "https://farbell.example/RDWeb/Feed/apps/mail.rdp"
            #expect(new.text.contains(#"<ResourceFile FileExtension=".rdp" URL="\#(url)"/>"#))
            #expect(!new.text.contains("Talk"), "it has no farm")
            let file = try await get(api, "/RDWeb/Feed/apps/mail.rdp")
            #expect(file.contentType == "application/x-rdp" && file.text == "full address:s:a")
            for path in ["/RDWeb/Feed/apps/none.rdp", "/RDWeb/Feed/apps/mail"] {
                #expect(try await get(api, path).status == 404, "\(path)")
            }
            #expect(try await api.call("GET", "/RDWeb/Feed/webfeed.aspx").status == 401)
            api.test.farm.file.withLock { $0 = nil }
            #expect(!(try await get(api, "/RDWeb/Feed/webfeed.aspx")).text.contains("<Resource "))
        }
    }
}
