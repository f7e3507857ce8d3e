import Base
import Gateway
import GatewayTestKit
import Outbound
import SMTPPush
import Testing

@Suite("e-mail: configuration and addresses") struct SMTPConfigurationTests {
    private static let minimal = #"{"url":"smtps://mail.example.org","from":"farbell@example.org"}"#

    private func adapter(_ text: String, folder: String = ".") throws -> any PushAdapter {
        try SMTPPlugin().adapter(
            text, folder: folder, http: HTTPClient(), time: SystemTime(), environment: ["PASSWORD": "hush"])
    }

    @Test("the example configuration is read")
    func exampleConfiguration() throws {
        let folder = try TemporaryFolder()
        try folder.write("secret\n", to: "smtp.password")
        let adapter = try adapter(SMTPPlugin().example("mail").serialized, folder: folder.path)
        #expect(adapter.concurrency == SMTPPlugin.defaultConcurrency)
        #expect(!adapter.canClear)
    }

    @Test(
        "good configurations",
        arguments: [
            minimal, #"{"url":"smtp://mail.example.org:2525","from":"a@b.example","startTLS":"required"}"#,
            #"{"url":"smtp://localhost:2525","from":"a@localhost"}"#,
            #"{"url":"smtp://[::1]:25","from":"a@b.example"}"#,
            #"{"url":"smtp://relay.example","from":"a@b.example","startTLS":"none","allowPlaintext":true}"#,
            #"{"url":"smtps://m.example","from":"a@b.example","username":"a","password":{"env":"PASSWORD"}}"#,
        ])
    func good(text: String) throws {
        #expect(throws: Never.self) { try adapter(text) }
    }

    @Test(
        "faults of the configuration are named",
        arguments: [
            (#"{"from":"a@b.example"}"#, "url"), (#"{"url":"smtps://m.example"}"#, "from"),
            (#"{"url":"http://m.example","from":"a@b.example"}"#, "smtps, smtp"),
            (#"{"url":"smtp://m.example/path","from":"a@b.example"}"#, "no path"),
            (#"{"url":"smtp://u:p@m.example","from":"a@b.example"}"#, "must not contain a user name"),
            (#"{"url":"smtps://m.example","from":"Bob <a@b.example>"}"#, "expected an e-mail address"),
            (#"{"url":"smtps://m.example","from":"a@b.example\r\nBcc: x@y.example"}"#, "expected an e-mail address"),
            (#"{"url":"smtps://m.example","from":"a@b.example","username":"a"}"#, "needs a 'password'"),
            (#"{"url":"smtps://m.example","from":"a@b.example","password":{"env":"PASSWORD"}}"#, "needs a 'username'"),
            (#"{"url":"smtps://m.example","from":"a@b.example","password":"hush"}"#, "never as the value itself"),
            (#"{"url":"smtps://m.example","from":"a@b.example","startTLS":"required"}"#, "belongs to smtp://"),
            (#"{"url":"smtp://m.example","from":"a@b.example","startTLS":"none"}"#, "in the clear"),
            (#"{"url":"smtps://m.example","from":"a@b.example","clientName":"a b"}"#, "clientName"),
            (#"{"url":"smtps://m.example","from":"a@b.example","form":"x"}"#, "did you mean 'from'?"),
        ])
    func faults(text: String, message: String) throws {
        do {
            _ = try adapter(text)
            Issue.record("taken without a fault")
        } catch let error as ConfigError {
            #expect(error.description.contains(message), "\(error)")
            #expect(!error.description.contains("hush"))
        }
    }

    @Test(
        "MN-8 an address is an e-mail address and nothing more",
        arguments: [
            "a@b.example", "first.last+tag@sub.example.org", "o'neil@example.org", "a@localhost", "A_1-2=x@EXAMPLE.ORG",
        ])
    func goodAddress(address: String) throws {
        #expect(try adapter(Self.minimal).fault(in: .token(address)) == nil)
    }

    @Test(
        "what could end a header field or a command is no address",
        arguments: [
            "", "a", "@", "a@", "@b.example", "a b@c.example", "a@b.example\r\nBcc: c@d.example", "a@b.example\n",
            "a@b.example>", "<a@b.example>", "Bob <a@b.example>", "a@b.example,c@d.example", "a@b.example c@d.example",
            "a..b@c.example", ".a@b.example", "a.@b.example", "a@-b.example", "a@b..example", "a@b.example ",
            "a\u{0}@b.example", "\"a b\"@c.example", "ä@b.example", "a@bücher.example", "a@[127.0.0.1]",
            String(repeating: "a", count: 65) + "@b.example", "a@" + String(repeating: "b.", count: 130) + "example",
        ])
    func badAddress(address: String) async throws {
        let adapter = try adapter(Self.minimal)
        #expect(adapter.fault(in: .token(address)) != nil)
        // Nor is anything sent to one that got through: this server does not even exist.
        let report = await adapter.send(.sample(to: .token(address)))
        #expect(report == PushReport(.rejected, reason: "invalid_address", hop: .token))
    }

    @Test("a URL or a subscription is no address, and nothing can be taken back or sealed")
    func others() async throws {
        let adapter = try adapter(Self.minimal)
        #expect(adapter.fault(in: .url("mailto:a@b.example")) != nil)
        let clear = await adapter.send(.sample(to: .token("a@b.example"), clear: ["n1"]))
        #expect(clear == PushReport(.rejected, reason: "cannot_clear", hop: .payload))
        let keys = Device.Encryption(publicKey: [4], secret: [1])
        let sealed = await adapter.send(.sample(to: .token("a@b.example"), encryption: keys))
        #expect(sealed == PushReport(.rejected, reason: "cannot_seal", hop: .payload))
    }
}
