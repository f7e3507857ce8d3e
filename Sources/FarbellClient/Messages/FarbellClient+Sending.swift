internal import Foundation

extension FarbellClient {
    private struct SendRequest: Encodable {
        private enum Key: String, CodingKey { case to }

        let message: OutgoingMessage
        let to: [Recipient]

        func encode(to encoder: any Encoder) throws {
            try message.encode(to: encoder)
            var object = encoder.container(keyedBy: Key.self)
            try object.encode(to, forKey: .to)
        }
    }

    private struct SendAnswer: Decodable {
        let messages: [SentMessage]
    }

    /// Sends a message; returns when the gateway has it on disk. After a broken connection it is sent again with
    /// the same id: the recipient gets one.
    /// - Parameter recipients: 1 to 100.
    /// - Returns: one message for each recipient; a tag may stand for several.
    @discardableResult
    public func send(_ message: OutgoingMessage, to recipients: [Recipient]) async throws -> [SentMessage] {
        let call = try Call("POST", "messages").with(SendRequest(message: message, to: recipients))
        return try await wire.call(call, as: SendAnswer.self).messages
    }

    /// Sends a text to one recipient.
    @discardableResult
    public func send(to recipient: Recipient, _ body: String, subject: String? = nil) async throws -> [SentMessage] {
        try await send(OutgoingMessage(body, subject: subject), to: [recipient])
    }

    /// Answers a message: the answer goes to whoever sent it, with the same correlation (TT-7).
    /// - Parameter id: the message that is answered.
    @discardableResult
    public func reply(to id: String, _ message: OutgoingMessage) async throws -> [SentMessage] {
        let call = try Call("POST", "messages", id, "reply").with(message)
        return try await wire.call(call, as: SendAnswer.self).messages
    }

    /// Answers a message with a text.
    @discardableResult
    public func reply(to id: String, _ body: String) async throws -> [SentMessage] {
        try await reply(to: id, OutgoingMessage(body))
    }

    /// Says that a person has read a message: its notification goes from the account's other devices.
    public func read(_ id: String) async throws { try await wire.perform(Call("POST", "messages", id, "read")) }

    /// What became of a message, for its sender and its recipient (TT-6).
    public func trace(_ id: String) async throws -> MessageTrace { try await wire.call(Call("GET", "messages", id)) }
}
