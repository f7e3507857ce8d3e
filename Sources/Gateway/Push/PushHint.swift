extension Push {
    /// Built in: what an operator writes may name the app.
    private static let templates = NotifyTemplates()

    /// What an adapter says where it may say nothing of the message: one phrase in the device's language.
    package var hint: String { Self.templates.words([locale]).hint("") }
}
