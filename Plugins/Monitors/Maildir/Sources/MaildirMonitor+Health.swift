internal import Base

extension MaildirMonitor {
    /// Every look is an answer.
    var heardEvery: Duration? { max(settings.poll, .seconds(60)) }
}
