import GatewayTestKit

/// What happens to a service while pushes are under way to it.
enum Fault: String, Sendable, CaseIterable {
    /// Nothing: what a restart alone does.
    case nothing
    /// 429 with `Retry-After`, or the service's own word for it.
    case tooMany
    /// A burst of 503, or of the service's own word for it.
    case unavailable
    /// A device's address is dead from now on, in the service's own words, and since now where it says since when.
    case goneNew
    /// The same, but dead since before the device told us the address.
    case goneOld
    /// An address is dead that the device has replaced by another meanwhile; pushes are still under way to it.
    case goneReplaced
    /// GOAWAY with a push above its last stream, and another while pushes are under way.
    case goAway
    case refusedStream
    /// The limit of streams is cut to one.
    case streamLimit
    /// Two pushes are never answered.
    case hang
    /// Streams and connections that are reset, with the push lost.
    case resetBefore
    /// The same, with the push taken.
    case resetAfter
    /// Bytes that are no protocol, and an answer nobody can read.
    case garbage
    /// DATA frames without data before the answer's end.
    case emptyData

    /// How often we cannot know what became of the pushes under way at that moment: they are sent again, under the
    /// same ids.
    var doubts: Int {
        switch self {
        case .goAway, .hang, .resetAfter, .garbage: 2
        case .resetBefore: 4
        case .nothing, .tooMany, .unavailable, .goneNew, .goneOld, .goneReplaced, .refusedStream, .streamLimit,
            .emptyData:
            0
        }
    }

    /// What a service that speaks HTTP does to the next pushes; the gone are not scripted.
    func script(_ words: BusyWords) -> [HTTPFault] {
        let delayed = HTTPFault.delay(milliseconds: 5)
        return switch self {
        case .nothing, .goneNew, .goneOld, .goneReplaced: []
        case .tooMany: [words.tooMany, .accept, words.tooMany]
        case .unavailable: Array(repeating: words.unavailable, count: 12)
        case .goAway:
            [.goAway(afterStreams: 0), .accept, .accept, .accept, .delayed(.milliseconds(5), .goAway(afterStreams: 4))]
        case .refusedStream: [.refuseStream, .accept, .refuseStream, .refuseStream]
        case .streamLimit: [.streamLimit(1)]
        case .hang: [.hang, .accept, .hang]
        case .resetBefore: [delayed, .reset, delayed, .accept, .dropConnection]
        case .resetAfter: [delayed, .acceptThenReset, delayed, .accept, .acceptThenDrop]
        case .garbage: [delayed, .garbage, delayed, .garbageBody(500)]
        case .emptyData: [.emptyDataFrame, .emptyDataFrame, .afterEmptyData(words.unavailable), .emptyDataFrame]
        }
    }
}

/// How one service says that it has no time for us.
struct BusyWords: Sendable {
    var tooMany = HTTPFault.status(429, retryAfter: "30")
    var unavailable = HTTPFault.status(503)
}

/// What becomes of the gateway while pushes are under way.
enum Interruption: String, Sendable, CaseIterable {
    case none
    /// It stops in order, and a new one starts on the same store.
    case restart
    /// It ends where it stands, and a new one starts on what the store had been given.
    case crash
}

/// All kinds of push service there are.
enum Service: String, Sendable, CaseIterable {
    case apns, exec, fcm, gotify, ntfy, smtp, unifiedpush, webhook, webpush, wns

    /// Why a fault cannot happen to the service; nil when it can, and is tried.
    func notApplicable(_ fault: Fault) -> String? {
        switch (self, fault) {
        case (.apns, .goneOld), (.exec, .goneOld): nil
        case (_, .goneOld): "says that an address is dead, and not since when"
        case (.ntfy, .goneReplaced): "has topics, which do not die"
        case (.wns, .goAway), (.wns, .refusedStream), (.wns, .streamLimit), (.wns, .emptyData):
            "speaks HTTP/1.1 only, without streams or frames"
        case (.smtp, .goAway), (.smtp, .refusedStream), (.smtp, .streamLimit), (.smtp, .emptyData):
            "speaks SMTP: one message on one connection, without streams or frames"
        case (.exec, .goAway), (.exec, .refusedStream), (.exec, .streamLimit), (.exec, .emptyData):
            "is a program that reads and writes lines, without streams or frames"
        default: nil
        }
    }
}
