internal import Base

extension PushReport {
    /// What becomes of a push whose request got no answer: one rule for all adapters that send over HTTP.
    ///
    /// Everything is worth another attempt but what would fail in the same way again: a request that cannot be
    /// sent, an address we may not connect to, and a client certificate of ours that cannot be used. Whether the
    /// service has acted on the push may be unknown, so a repeat needs the same id.
    /// - Parameters:
    ///   - error: what `HTTPTransport.send` threw.
    ///   - blame: whose trouble it is: `.service` where the configuration names the server, so that it counts
    ///     towards the lane's breaker; `.device` where the device brought the URL.
    package init(transportError error: any Error, blame: PushOutcome.Blame) {
        guard let error = error as? HTTPTransportError else {
            // The task was cancelled: nobody's fault.
            self.init(.retry(after: nil, .device), reason: "cancelled", hop: .service)
            return
        }
        let outcome: PushOutcome =
            switch error.code {
            case .invalidRequest, .addressRefused: .rejected
            case .clientCertificate: .credential
            // We are going down, and the service has nothing to do with it.
            case .stopped: .retry(after: nil, .device)
            default: .retry(after: nil, blame)
            }
        self.init(outcome, reason: error.code.rawValue, hop: PushHop(transportError: error, blame: blame))
    }
}

extension PushHop {
    /// The step at which a request without an answer failed.
    init(transportError error: HTTPTransportError, blame: PushOutcome.Blame) {
        self =
            switch error.code {
            case .nameResolution: .nameResolution
            case .connect: .tcp
            case .tls: .tls
            // The server does not speak the version of HTTP we need, which TLS negotiates.
            case .protocolError: error.surelyNotProcessed ? .tls : .service
            // Before the request went out there was no connection for it.
            case .timeout, .connectionLost: error.surelyNotProcessed ? .tcp : .service
            case .clientCertificate: .credential
            case .addressRefused: .token
            case .invalidRequest: blame == .device ? .token : .payload
            case .responseTooLarge, .overloaded, .stopped: .service
            }
    }
}
