import Base
import Testing

@testable import Outbound

@Suite("Whether the other end of an HTTP/2 connection still lives") struct HTTP2HeartbeatTests {
    private func moment(_ seconds: Int64) -> Moment { Moment(nanoseconds: seconds * 1_000_000_000) }

    @Test("after a silence it is asked once, and is dead when nothing comes in its time")
    func dead() {
        var heartbeat = HTTP2Heartbeat(silence: .seconds(15), patience: .seconds(10), now: moment(100))
        let verdicts = [100, 114, 115, 116, 124, 125].map { heartbeat.check(at: moment($0)) }
        #expect(
            verdicts == [
                .fine(until: moment(115)), .fine(until: moment(115)), .ask(until: moment(125)),
                .fine(until: moment(125)), .fine(until: moment(125)), .dead,
            ])
    }

    @Test("whatever comes is a sign of life")
    func alive() {
        var heartbeat = HTTP2Heartbeat(silence: .seconds(15), patience: .seconds(10), now: moment(100))
        let asked = heartbeat.check(at: moment(120))
        #expect(asked == .ask(until: moment(130)))
        heartbeat.alive(at: moment(129))
        let verdicts = [130, 143, 144, 153, 154].map { heartbeat.check(at: moment($0)) }
        #expect(
            verdicts == [
                .fine(until: moment(144)), .fine(until: moment(144)), .ask(until: moment(154)),
                .fine(until: moment(154)), .dead,
            ])
    }
}
