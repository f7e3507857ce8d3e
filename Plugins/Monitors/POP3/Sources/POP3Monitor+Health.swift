internal import Base

extension POP3Monitor {
    /// Every look is an answer. A server may want half an hour between log-ins (RFC 2449 section 6.5).
    var heardEvery: Duration? { max(settings.poll, .seconds(1800)) * 1.2 }
}
