import Base
import Testing

@Suite struct HTTPTests {
    @Test("fields compare without case, keep their order and can repeat")
    func fields() {
        var fields: HTTPFields = ["Content-Type": "a", "X-Id": "1"]
        fields.append("x-id", "2")
        #expect(fields["content-type"] == "a")
        #expect(fields["X-ID"] == "1")
        #expect(fields.values(of: "x-Id") == ["1", "2"])
        fields["X-id"] = "3"
        #expect(fields.fields.map(\.value) == ["a", "3"])
        fields["content-TYPE"] = nil
        #expect(fields["Content-Type"] == nil)
        // Only letters have case: these differ in the same bit.
        #expect(HTTPFields(dictionaryLiteral: ("@[", "x"))["`{"] == nil)
    }

    @Test(
        "Retry-After as seconds or a date, within bounds",
        arguments: [
            ("120", 120), (" 5 ", 5), ("-3", 0), ("0", 0), ("99999999999999", 2_592_000), ("soon", nil), ("", nil),
            ("Sun, 06 Nov 1994 08:49:47 GMT", 10), ("Sun, 06 Nov 1994 08:49:07 GMT", 0),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 2_592_000), ("1.5", nil),
        ] as [(String, Int?)])
    func retryAfter(_ value: String, _ seconds: Int?) {
        let response = HTTPResponse(status: 429, headers: ["retry-after": value])
        let now = Timestamp(seconds: 784_111_777)
        #expect(response.retryAfter(now: now) == seconds.map { .seconds($0) })
    }

    @Test("no Retry-After is no pause")
    func noRetryAfter() { #expect(HTTPResponse(status: 503).retryAfter(now: Timestamp(seconds: 0)) == nil) }

    @Test("a date is read in the preferred form")
    func dates() {
        #expect(HTTPDate.parse("Sun, 06 Nov 1994 08:49:37 GMT") == Timestamp("1994-11-06T08:49:37Z"))
        let refused = [
            "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Now 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 32 Nov 1994 08:49:37 GMT",
        ]
        for text in refused { #expect(HTTPDate.parse(text) == nil, "\(text)") }
    }

    @Test("printing a request or an answer shows no credential, URL or body")
    func redaction() {
        let request = HTTPRequest(
            "POST", "https://push.example/hunter2", headers: ["Authorization": "Bearer hunter2"],
            body: Array("hunter2".utf8))
        let response = HTTPResponse(status: 200, headers: ["Set-Cookie": "hunter2"], body: Array("hunter2".utf8))
        var dumped = ""
        dump(request, to: &dumped)
        dump(response, to: &dumped)
        dump(request.headers, to: &dumped)
        let texts = [dumped, "\(request)", "\(response)", String(reflecting: request), String(reflecting: response)]
        for text in texts {
            #expect(!text.contains("hunter2"))
            #expect(!text.contains("104, 117, 110"))
        }
        #expect("\(request)" == "POST [Authorization], 7 bytes")
    }

    @Test("an error says its stable code")
    func errors() {
        let error = HTTPTransportError(.responseTooLarge, "over 10 bytes", surelyNotProcessed: false)
        #expect("\(error)" == "response_too_large: over 10 bytes")
    }
}
