internal import Base
internal import Gateway

/// What a monitor's failure means to whoever set it up: what to do, and how the command ends.
struct MonitorAdvice {
    /// One sentence: what to look at.
    let cure: String
    /// One sentence: how it ended.
    let verdict: String
    let code: DaemonError.Code
    /// Trying again cannot help.
    let isFinal: Bool

    init(_ failure: MonitorFailure) {
        switch failure.code {
        case .authFailed:
            (verdict, code, isFinal) = ("the server refused the credentials; they were tried once", .permission, true)
            cure =
                "Check user name and password with another client. Some servers want an app password, or the address"
                + " as the user name; some refuse this way while the account is locked."
        case .authTemporary:
            (verdict, code, isFinal) = ("the server cannot check credentials now", .unavailable, false)
            cure = "The server's directory or its password check is in trouble: see the server's own log."
        case .throttled:
            (verdict, code, isFinal) = ("the server asks for a pause", .unavailable, false)
            cure =
                "Raise the server's limit of connections or log-ins for this machine's address, or lower"
                + " limits.monitorStartsPerSecond and limits.monitorConnects."
        case .network:
            (verdict, code, isFinal) = ("the server cannot be reached", .unavailable, false)
            cure = Self.cure(ofNetwork: failure.message.lowercased())
        case .sourceGone:
            (verdict, code, isFinal) = ("what is to be watched is not there", .configuration, true)
            cure =
                "Check the names in the monitor's configuration (mailbox, path, url), and that this user may read it."
        case .cursorInvalid:
            (verdict, code, isFinal) = ("the server accepts no position to go on from", .protocol, false)
            cure = "The source was made anew; the gateway starts from a new baseline by itself."
        case .protocolViolation:
            (verdict, code, isFinal) = ("the server does not speak as the protocol asks", .protocol, true)
            cure =
                "Is it the right kind of server at this address and port? Else keep the server's name and version"
                + " for a report."
        }
    }

    private static func cure(ofNetwork words: String) -> String {
        if ["certificate", "ssl", "tls"].contains(where: words.contains) {
            return "The certificate is not trusted or is for another name: use the name it was made for in 'url', or"
                + " name the roots in 'caFile'."
        }
        if ["resolve", "host name", "name resolution"].contains(where: words.contains) {
            return "The name is not known here: check the host in 'url', and this machine's DNS."
        }
        if ["allowhosts", "loopback", "private address"].contains(where: words.contains) {
            return "Private addresses are refused unless they are named in 'allowHosts'."
        }
        if ["timed out", "timeout", "in time"].contains(where: words.contains) {
            return "Nothing answers: check host and port in 'url', the firewall between, and whether the port expects"
                + " TLS from the first byte."
        }
        return "Check host and port in 'url', that the server runs, and the firewall between."
    }
}
