/// What happens in conversations besides messages, for whoever carries them elsewhere.
package enum ConversationNews: Sendable, Hashable {
    /// `from` writes, or has stopped writing, something to `to`.
    case typing(from: QueueAddress, to: QueueAddress, TypingState)
    /// `by` has read everything of `of` up to an entry; `message` is the newest message that was, where it is known.
    case read(by: QueueAddress, of: QueueAddress, upTo: Int64, message: MessageKey?)
    /// An entry has a new text.
    case edited(HistoryEntry)
    /// An entry has lost its text.
    case withdrawn(HistoryEntry)
}

/// What somebody does at the keyboard (XEP-0085 knows both).
package enum TypingState: String, Sendable, CaseIterable {
    case composing
    case paused
}
