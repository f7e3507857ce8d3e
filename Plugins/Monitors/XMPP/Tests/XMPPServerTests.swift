import Base
import Gateway
import GatewayTestKit
import MonitorTestKit
import Outbound
import Testing
import XML

@testable import XMPPMonitor

/// What servers and their users send that means harm, or is simply odd.
@Suite(.timeLimit(.minutes(3))) struct XMPPServerTests {
    private func withSubject(
        _ body: @escaping @Sendable (XMPPSubject, RecordingMonitorHost) async throws -> Void
    ) async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try XMPPSubject(client, authority: authority)
            let host = RecordingMonitorHost()
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching()
                try await body(subject, host)
            }
            #expect(subject.server.violations.all.isEmpty)
        }
    }

    private func chat(_ attributes: String, _ content: String) -> String {
        "<message xmlns='jabber:client' to='alice@localhost' type='chat' \(attributes)>\(content)</message>"
    }

    @Test("own messages, notes to oneself, rooms, errors, chat states, receipts and corrections never ring")
    func quiet() async throws {
        try await withSubject { subject, host in
            for message in [
                "<message xmlns='jabber:client' from='alice@localhost/p' to='b@x' id='1'><body>own</body></message>",
                "<message xmlns='jabber:client' from='alice@localhost/p' to='alice@localhost' id='2'><body>n</body></message>",
                "<message xmlns='jabber:client' from='room@m/b' to='alice@localhost' type='groupchat'><body>r</body></message>",
                "<message xmlns='jabber:client' from='b@x/p' to='alice@localhost' type='error'><body>e</body></message>",
                chat("from='b@x/p' id='3'", "<composing xmlns='http://jabber.org/protocol/chatstates'/>"),
                chat("from='b@x/p' id='4'", "<received xmlns='urn:xmpp:receipts' id='x'/>"),
                chat("from='b@x/p' id='5'", "<body>again</body><replace xmlns='urn:xmpp:message-correct:0' id='0'/>"),
                chat("from='b@x/p' id='6'", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"),
                chat("from='b@x/p' id='7'", "<body/>"),
            ] { try await subject.server.deliver(message) }
            try await subject.deliver(TestNews("rings", id: "last"))
            try await host.waitForItems(1)
            #expect(host.rung.map(\.title) == ["rings"])
        }
    }

    @Test(
        "of an encrypted message only the sender is told",
        arguments: [
            "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", "<encrypted xmlns='urn:xmpp:omemo:2'/>",
            "<openpgp xmlns='urn:xmpp:openpgp:0'/>", "<x xmlns='jabber:x:encrypted'>abc</x>",
        ])
    func encrypted(mark: String) async throws {
        try await withSubject { subject, host in
            try await subject.server.deliver(
                chat("from='b@x/p' id='1'", "\(mark)<body>I sent you an OMEMO message</body>"))
            let item = try #require(try await host.waitForItems(1).first)
            #expect(item.sender == "b@x" && item.title == nil && item.preview == nil && item.threadKey == "b@x")
        }
    }

    @Test("a marker reads all before it in its chat; a reply reads the whole chat; others' markers read nothing")
    func markers() async throws {
        try await withSubject { subject, host in
            for id in ["1", "2", "3"] {
                try await subject.server.deliver(chat("from='b@x/p' id='\(id)'", "<body>t</body>"))
            }
            try await subject.server.deliver(chat("from='c@x/p' id='1'", "<body>t</body>"))
            try await host.waitForItems(4)
            let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='2'/>"
            // Not kept by the archive: only the copy tells it.
            try await subject.server.tell(chat("from='c@x/p'", marker))
            try await subject.server.tell(
                "<message xmlns='jabber:client' from='alice@localhost/p' to='b@x'>\(marker)</message>")
            try await Eventually.wait("seen, not \(host.seen)") { host.seen.count == 2 }
            try await subject.server.deliver(
                "<message xmlns='jabber:client' from='alice@localhost/p' to='b@x' id='9'><body>yes</body></message>")
            try await Eventually.wait("seen, not \(host.seen)") { host.seen.count == 3 }
            #expect(host.seen == ["b@x/1", "b@x/2", "b@x/3"])
        }
    }

    @Test("forged copies, archives and retractions by others change nothing")
    func forged() async throws {
        try await withSubject { subject, host in
            try await subject.server.deliver(chat("from='b@x/p' id='1'", "<body>t</body>"))
            try await host.waitForItems(1)
            let inner =
                "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@localhost/p' to='b@x'>"
                + "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message></forwarded>"
            try await subject.server.tell(chat("from='evil@x/p'", "<sent xmlns='urn:xmpp:carbons:2'>\(inner)</sent>"))
            try await subject.server.tell(
                chat("from='evil@x/p'", "<result xmlns='urn:xmpp:mam:2' id='a99' queryid='f3'>\(inner)</result>"))
            try await subject.server.deliver(
                chat("from='evil@x/p' id='e'", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>"))
            try await subject.server.deliver(chat("from='b@x/p' id='2'", "<body>u</body>"))
            try await host.waitForItems(2)
            #expect(host.seen.isEmpty)
            #expect(!host.gone.contains("b@x/1"))
        }
    }

    @Test("odd messages of others neither end the stream nor silence the monitor: deep, wide, huge, many names")
    func odd() async throws {
        try await withSubject { subject, host in
            let deep = String(repeating: "<a>", count: 60) + String(repeating: "</a>", count: 60)
            let wide = String(repeating: "<b/>", count: 30_000)
            let names = (0..<20_000).map { "<n\($0)/>" }.joined()
            let attributes = (0..<100).map { " a\($0)='1'" }.joined()
            for (number, content) in [deep, wide, names, "<c\(attributes)/>"].enumerated() {
                try await subject.server.deliver(
                    chat("from='b@x/p' id='\(number)'", "<body>t\(number)</body><x xmlns='urn:x'>\(content)</x>"))
            }
            let long = String(repeating: "i", count: 200_000)
            try await subject.server.deliver(chat("from='b@x/p' id='\(long)'", "<body>long id</body>"))
            try await host.waitForItems(5, deadline: .seconds(30))
            #expect(host.rung.map(\.title) == ["t0", "t1", "t2", "t3", "long id"])
            #expect(host.failures.isEmpty && host.rung.allSatisfy { $0.key.utf8.count < 600 })
        }
    }

    @Test("an archive that has forgotten the cursor is asked by time")
    func forgotten() async throws {
        let authority = try TestCertificateAuthority()
        try await OutboundClient.during { client in
            let subject = try XMPPSubject(client, authority: authority)
            let host = RecordingMonitorHost()
            try await subject.deliver(TestNews("old", id: "old"))
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForWatching()
            }
            try await subject.server.forgetArchive()
            try await subject.deliver(TestNews("new", id: "new"))
            try await MonitorRun.during(subject.monitor, credentials: subject.credentials, host: host) {
                try await host.waitForItems(1)
            }
            #expect(host.rung.map(\.title) == ["new"] && host.failures.isEmpty)
            #expect(subject.server.queries.all.contains { $0.hasPrefix("start:") })
        }
    }

    @Test(
        "a stream that is not one ends in a typed failure",
        arguments: [
            "<!DOCTYPE a [<!ENTITY x 'y'>]>", "</stream:stream>", "<a></b>", "\u{1}",
            "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
        ])
    func hostile(text: String) async throws {
        try await withSubject { subject, host in
            try await subject.server.inject(text)
            let failure = try #require(try await host.waitForFailures().first)
            #expect(failure.code == .protocolViolation || failure.code == .network)
            try await subject.deliver(TestNews("after", id: "after"))
            try await host.waitForItems(1)
        }
    }

    @Test("a stanza without end is cut off")
    func endless() async throws {
        try await withSubject { subject, host in
            try await subject.server.inject("<message><body>" + String(repeating: "x", count: 3 << 20))
            let failure = try #require(try await host.waitForFailures().first)
            #expect(failure.code == .protocolViolation && !failure.message.contains("xxx"))
        }
    }

    @Test("a cursor keeps to its bounds and is read again")
    func cursor() throws {
        var cursor = XMPPCursor(last: "l", time: Timestamp(seconds: 5))
        for number in 0..<1000 {
            cursor.follow(chat: "\"\(number % 3)", id: String(repeating: "\"", count: number % 250))
        }
        #expect(cursor.encoded.count <= MonitorBatch.cursorLimit && cursor.open.count <= XMPPCursor.openLimit)
        #expect(XMPPCursor(cursor.encoded) == cursor)
    }
}
