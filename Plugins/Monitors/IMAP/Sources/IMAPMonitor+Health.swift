internal import Base

extension IMAPMonitor {
    /// Every `IDLE` ends with an answer, and so does every look where there is none; with room for the time between.
    var heardEvery: Duration? {
        max(settings.idle, settings.session.reconcile, settings.session.poll) + settings.session.commandTimeout
    }
}
