extension Push {
    /// What an adapter says where it may say nothing of the message: one phrase in the device's language.
    package var hint: String { SummaryWords(locale: locale).hint }
}
