internal import Base

/// One folder of one user, in memory. On the loop's thread only.
final class IMAPMailbox {
    struct Message {
        let uid: UInt32
        var header: [UInt8]
        var flags: Set<String>
        let date: Timestamp
    }

    var messages: [Message] = []
    var uidValidity: UInt32 = 1
    var uidNext: UInt32 = 1
    /// Connections that have it selected.
    var sessions: [ObjectIdentifier: IMAPSession] = [:]
    var faults = IMAPFaults()
    /// Messages that arrive in the middle of the answer to the next FETCH.
    var arrivingDuringFetch: [(header: [UInt8], date: Timestamp)] = []
    /// Messages whose EXISTS goes out in one write with the next `+ idling`.
    var arrivingWithIdle: [(header: [UInt8], date: Timestamp)] = []

    func add(_ header: [UInt8], flags: Set<String> = [], date: Timestamp) -> UInt32 {
        let uid = uidNext
        uidNext += 1
        messages.append(Message(uid: uid, header: header, flags: flags, date: date))
        return uid
    }

    /// Where a UID stands; UIDs ascend.
    func index(of uid: UInt32) -> Int? {
        var low = 0
        var high = messages.count
        while low < high {
            let middle = (low + high) / 2
            if messages[middle].uid < uid { low = middle + 1 } else { high = middle }
        }
        return low < messages.count && messages[low].uid == uid ? low : nil
    }
}

/// How a mailbox, or every mailbox, misbehaves.
package struct IMAPFaults: Sendable {
    /// Idlers hear nothing of new messages until they send DONE.
    package var losesWakeUps = false
    /// Logins are refused with this answer, such as `NO [UNAVAILABLE] try later`.
    package var refusesLogin: String?
    /// SELECT and EXAMINE are refused with this answer.
    package var refusesSelect: String?
    /// Waits before it carries out each command.
    package var delay = Duration.zero
    /// Sends so many bytes at a time with a pause between.
    package var pieces: (bytes: Int, pause: Duration)?
    /// `UID FETCH` answers nothing but the tagged OK, as a server does that expunged meanwhile.
    package var fetchesNothing = false
    /// Takes commands and answers none.
    package var isSilent = false
    /// Answers commands with what is no IMAP.
    package var isNonsense = false

    package init() {}
}
