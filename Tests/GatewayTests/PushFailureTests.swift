import Base
import Gateway
import Testing

@Suite("A push without an answer") struct PushFailureTests {
    private func report(
        _ code: HTTPTransportError.Code, early: Bool = false, blame: PushOutcome.Blame = .service
    ) -> PushReport {
        PushReport(transportError: HTTPTransportError(code, "no", surelyNotProcessed: early), blame: blame)
    }

    @Test(
        "every failure of the transport names its hop",
        arguments: [
            (HTTPTransportError.Code.nameResolution, PushHop.nameResolution, PushHop.nameResolution),
            (.connect, .tcp, .tcp), (.tls, .tls, .tls), (.clientCertificate, .credential, .credential),
            (.timeout, .tcp, .service), (.connectionLost, .tcp, .service), (.protocolError, .tls, .service),
            (.responseTooLarge, .service, .service), (.addressRefused, .token, .token),
            (.invalidRequest, .payload, .payload), (.overloaded, .service, .service), (.stopped, .service, .service),
        ])
    func hops(code: HTTPTransportError.Code, before: PushHop, after: PushHop) {
        #expect(report(code, early: true).hop == before)
        #expect(report(code, early: false).hop == after)
        #expect(report(code).reason == code.rawValue)
        #expect(report(code).status == nil)
    }

    @Test(
        "what would fail again in the same way is not repeated, everything else is",
        arguments: [
            PushOutcome.Blame.device, .service,
        ])
    func outcomes(blame: PushOutcome.Blame) {
        for code in HTTPTransportError.Code.allCases {
            let expected: PushOutcome =
                switch code {
                case .invalidRequest, .addressRefused: .rejected
                case .clientCertificate: .credential
                case .stopped: .retry(after: nil, .device)
                default: .retry(after: nil, blame)
                }
            #expect(report(code, blame: blame).outcome == expected, "\(code)")
        }
    }

    @Test("a URL that cannot be asked is the address of the device that brought it")
    func address() {
        #expect(report(.invalidRequest, blame: .device).hop == .token)
    }

    @Test("a cancelled push is nobody's fault")
    func cancelled() {
        let report = PushReport(transportError: CancellationError(), blame: .service)
        #expect(report == PushReport(.retry(after: nil, .device), reason: "cancelled", hop: .service))
    }
}
