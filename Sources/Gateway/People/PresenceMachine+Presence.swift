internal import Base

extension PresenceMachine {
    /// How an account is, by what is known of it.
    static func presence(
        _ person: Person, _ own: OwnStatus?, _ now: Moment, stored: () -> Timestamp?
    ) -> AccountPresence {
        func offline(_ lastSeen: @autoclosure () -> Timestamp?) -> AccountPresence {
            AccountPresence(.offline, lastSeen: own?.showsLastSeen == true ? lastSeen() : nil)
        }
        // Since then nobody is to know whether it is there.
        if let own, own.word == .invisible { return offline(own.since) }
        let counts = own?.fromSessions == true
        let isFront = counts && person.clients.values.contains { $0.state == .front }
        let isHidden =
            counts
            && person.clients.values.contains {
                $0.state == .hidden && (person.isConnected || now - $0.since < hiddenLasts)
            }
        guard person.isConnected || isFront || isHidden else { return offline(person.lastHere ?? stored()) }
        let text = own?.text
        switch own?.word ?? .online {
        case .busy: return AccountPresence(.busy, text: text)
        case .away: return AccountPresence(.away, text: text)
        case .lunch: return AccountPresence(.lunch, text: text)
        case .online, .invisible: break
        }
        let elsewhere = person.outside.values
        func said(_ state: AccountPresence.State) -> AccountPresence? {
            elsewhere.filter { $0.state == state }.min { ($0.text ?? "") < ($1.text ?? "") }
                .map { AccountPresence(state, text: $0.text ?? text) }
        }
        // Somebody who does not want to be disturbed says so on purpose; being away is often a client's guess.
        if let busy = said(.busy) { return busy }
        if isFront || (!person.devices.isEmpty && !isHidden) { return AccountPresence(.online, text: text) }
        if let online = said(.online) { return online }
        return said(.lunch) ?? said(.away) ?? AccountPresence(.away, text: text)
    }
}
