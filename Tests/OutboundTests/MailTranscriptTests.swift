import Testing

@testable import Outbound

@Suite
struct MailTranscriptTests {
    private func transcript(_ lines: [String]) -> MailTranscript {
        var transcript = MailTranscript()
        for line in lines { transcript.append(Array("\(line)\r\n".utf8)) }
        return transcript
    }

    @Test(
        "a failed login is classified by the server's code, then by its words",
        arguments: [
            ("A002 NO [AUTHENTICATIONFAILED] wrong", .loginRefused), ("A002 NO [authorizationfailed] x", .loginRefused),
            ("A002 NO [EXPIRED] x", .loginRefused), ("A002 NO LOGIN failed.", .loginRefused),
            ("A003 NO", .loginRefused),
            ("A002 NO [UNAVAILABLE] x", .loginTemporary), ("A002 NO [LIMIT] x", .loginTemporary),
            ("A002 NO [INUSE] x", .loginTemporary), ("A002 NO [CONTACTADMIN] x", .loginTemporary),
            ("A002 NO [ALERT] Too many simultaneous connections. (Failure)", .loginTemporary),
            ("A002 NO [ALERT] Invalid credentials (Failure)", .loginRefused),
            ("A002 NO [PRIVACYREQUIRED] x", .loginUnsupported), ("* BYE overloaded", .loginTemporary),
            ("-ERR [AUTH] no", .loginRefused), ("-ERR no", .loginRefused), ("-ERR [IN-USE] x", .loginTemporary),
            ("-ERR [SYS/TEMP] x", .loginTemporary), ("-ERR [LOGIN-DELAY] x", .loginTemporary),
            ("535 5.7.8 bad", .loginRefused), ("454 4.7.0 later", .loginTemporary),
            ("A001 OK done", .loginUnsupported), ("", .loginUnsupported),
        ] as [(String, MailConnectionError.Code)])
    func classification(line: String, code: MailConnectionError.Code) {
        #expect(transcript(["* OK ready", line]).loginFailure == code)
    }

    @Test("what is shown is bounded and holds neither controls nor the credential")
    func shown() {
        var transcript = transcript(["A002 NO \u{1B}[31mbad\u{202E} hunter2\u{7} \(String(repeating: "x", count: 900))"]
        )
        let text = transcript.shown(hiding: ["hunter2"])
        #expect(text.hasPrefix("A002 NO [31mbad *** xxx"))
        #expect(text.count == MailTranscript.textLimit)
        for index in 0..<20 { transcript.append(Array("line \(index)".utf8)) }
        #expect(transcript.lines.count == MailTranscript.lineLimit)
    }
}
