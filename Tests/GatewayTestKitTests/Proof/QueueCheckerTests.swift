import GatewayTestKit
import Testing

/// Every kind of fault is found where it is, and nowhere else.
@Suite struct QueueCheckerTests {
    typealias Kind = QueueChecker.Fault.Kind
    private static let second: Int64 = 1_000_000_000

    /// Two messages of a group, sent, taken and completed as it should be; times in seconds.
    private static var good: QueueHistory {
        var history = QueueHistory()
        for (index, id) in ["m1", "m2"].enumerated() {
            let start = Int64(index * 10) * second
            history.puts.append(QueueHistory.Put("v\(index + 1)", .accepted(message: id), wantsReceipt: true))
            history.deliveries.append(delivery(id, "v\(index + 1)", Int64(index + 1), at: start, token: "t\(id)"))
            history.settlements.append(
                QueueHistory.Settlement(
                    message: id, token: "t\(id)", .complete, .taken(state: "done"), boot: 1, sent: start + second * 2,
                    answered: start + second * 3))
            history.receipts.append(QueueHistory.Receipt(message: id, state: "delivered", number: "r\(id)"))
            history.finals[id] = "done"
        }
        return history
    }

    private static func delivery(
        _ message: String, _ value: String, _ seq: Int64, at: Int64, token: String, delivery: Int = 1, boot: Int = 1
    ) -> QueueHistory.Delivery {
        QueueHistory.Delivery(
            message: message, value: value, seq: seq, group: "g", token: token, delivery: delivery, boot: boot,
            asked: at, received: at + second, lock: 5 * second)
    }

    private static func kinds(_ change: (inout QueueHistory) -> Void) -> Set<Kind> {
        var history = good
        change(&history)
        return Set(QueueChecker(history).faults().map(\.kind))
    }

    @Test("a good history has no faults, and none that only may be wrong is held against anybody") func good() {
        #expect(Self.kinds { _ in } == [])
        // A sending without an answer may have come to nothing, or to a message.
        #expect(Self.kinds { $0.puts.append(QueueHistory.Put("v9", .unknown)) } == [])
        #expect(
            Self.kinds {
                $0.puts[0].answer = .unknown
                $0.puts.append($0.puts[0])
            } == [])
        // A completion without an answer may have taken effect.
        #expect(
            Self.kinds {
                $0.settlements[0].answer = .unknown
                $0.settlements[0].answered = .max
            } == [])
        // A lock that has ended, or one of an earlier life, is another's afterwards.
        #expect(
            Self.kinds {
                $0.settlements.remove(at: 0)
                $0.deliveries.insert(
                    Self.delivery("m1", "v1", 1, at: 5 * Self.second, token: "again", delivery: 2), at: 1)
                $0.settlements.append(
                    QueueHistory.Settlement(
                        message: "m1", token: "again", .complete, .taken(state: "done"), boot: 1, sent: 7 * Self.second,
                        answered: 8 * Self.second))
            } == [])
        #expect(
            Self.kinds {
                $0.settlements[0].answer = .unknown
                $0.deliveries.append(
                    Self.delivery("m1", "v1", 1, at: Self.second, token: "again", delivery: 2, boot: 2))
            } == [])
    }

    @Test("lost: unknown to the gateway, left over, expired without a limit, done without a consumer", arguments: 0..<5)
    func lost(how: Int) {
        let kinds = Self.kinds { history in
            switch how {
            case 0: history.finals["m2"] = nil
            case 1: history.finals["m2"] = "ready"
            case 2: history.finals["m2"] = "expired"
            case 3: history.settlements.remove(at: 1)
            default: history.settlements[1].answer = .lost
            }
        }
        #expect(kinds.contains(.lost))
        #expect(Self.kinds { $0.finals["m2"] = "dead" } == [])
        #expect(
            Self.kinds {
                $0.finals["m2"] = "expired"
                $0.puts[1].mayExpire = true
            } == [])
    }

    @Test("unexpected: never sent, or refused when it was") func unexpected() {
        #expect(Self.kinds { $0.puts[0].value = "other" }.contains(.unexpected))
        #expect(Self.kinds { $0.puts[0].answer = .refused } == [.unexpected])
    }

    @Test("stored twice: a value under two ids") func stored2() {
        #expect(Self.kinds { $0.puts.append(QueueHistory.Put("v1", .accepted(message: "m2"))) } == [.stored2])
    }

    @Test("settled twice, and handed over after it was done") func settled2() {
        let kinds = Self.kinds {
            $0.deliveries.append(Self.delivery("m1", "v1", 1, at: 20 * Self.second, token: "again", delivery: 2))
            $0.settlements.append(
                QueueHistory.Settlement(
                    message: "m1", token: "again", .complete, .taken(state: "done"), boot: 1, sent: 22 * Self.second,
                    answered: 23 * Self.second))
        }
        #expect(kinds == [.settled2, .resurrected])
    }

    @Test("a repeated completion that is answered otherwise") func repeated() {
        let kinds = Self.kinds {
            var again = $0.settlements[0]
            (again.sent, again.answered, again.boot, again.answer) = (30 * Self.second, 31 * Self.second, 2, .lost)
            $0.settlements.append(again)
        }
        #expect(kinds == [.repeated])
    }

    @Test("locks overlap, also where they were renewed") func overlap() {
        let before = Self.kinds {
            // Held from second 1 until it is settled in second 2.
            $0.deliveries[0].received = Self.second / 2
            $0.deliveries.insert(
                Self.delivery("m1", "v1", 1, at: Self.second / 2, token: "again", delivery: 2), at: 1)
        }
        #expect(before == [.overlap])
        let renewed = Self.kinds {
            $0.settlements[0].verb = .renew
            $0.settlements[0].lock = 6 * Self.second
            $0.settlements[0].answer = .taken(state: "locked")
            $0.deliveries.append(Self.delivery("m1", "v1", 1, at: 6 * Self.second, token: "again", delivery: 2))
            $0.settlements.append(
                QueueHistory.Settlement(
                    message: "m1", token: "again", .complete, .taken(state: "done"), boot: 1, sent: 9 * Self.second,
                    answered: 9 * Self.second))
        }
        #expect(renewed == [.overlap])
    }

    @Test("a lock that is refused before its time is over") func revoked() {
        let kinds = Self.kinds {
            $0.settlements[0].verb = .abandon
            $0.settlements[0].answer = .lost
            $0.finals["m1"] = "dead"
        }
        #expect(kinds == [.revoked])
        // Afterwards it may be.
        let late = Self.kinds {
            $0.settlements[0].verb = .abandon
            $0.settlements[0].answer = .lost
            $0.settlements[0].answered = 6 * Self.second
            $0.finals["m1"] = "dead"
        }
        #expect(late == [])
    }

    @Test("a group out of order, among first hand-overs alone") func order() {
        #expect(
            Self.kinds {
                $0.deliveries[0].seq = 2
                $0.deliveries[1].seq = 1
            } == [.order])
        #expect(
            Self.kinds {
                $0.deliveries.append(
                    Self.delivery("m1", "v1", 1, at: 11 * Self.second, token: "again", delivery: 2))
                $0.settlements[0].answer = .unknown
            } == [])
    }

    @Test("a group of which two are held at once; one that was deferred is had out of turn") func group() {
        func hold(_ history: inout QueueHistory) {
            // Asked for and had while the first is held, which is settled in second 2.
            (history.deliveries[1].asked, history.deliveries[1].received) = (Self.second / 2, Self.second * 3 / 2)
            (history.settlements[1].sent, history.settlements[1].answered) = (Self.second * 3, Self.second * 4)
        }
        #expect(Self.kinds { hold(&$0) } == [.order])
        #expect(
            Self.kinds {
                hold(&$0)
                $0.deliveries[1].wasDeferred = true
            } == [])
        // The first may have been had by its id when the second was on its way; not when it was asked for later.
        #expect(
            Self.kinds {
                hold(&$0)
                $0.deliveries[0].wasDeferred = true
            } == [])
        #expect(
            Self.kinds {
                hold(&$0)
                $0.deliveries[0].wasDeferred = true
                $0.deliveries[1].asked = Self.second * 5 / 4
            } == [.order])
        #expect(
            Self.kinds {
                hold(&$0)
                $0.deliveries[1].boot = 2
            } == [])
    }

    @Test("a repeated hand-over that is counted as the first; one brought back begins anew") func uncounted() {
        func repeated(_ history: inout QueueHistory) {
            history.settlements[0].answer = .unknown
            history.deliveries.append(Self.delivery("m1", "v1", 1, at: 11 * Self.second, token: "again"))
        }
        #expect(Self.kinds { repeated(&$0) } == [.uncounted])
        #expect(
            Self.kinds {
                repeated(&$0)
                $0.redriven = ["m1"]
            } == [])
    }

    @Test("receipts: none, two, or one nobody asked for; the same one twice is one") func receipts() {
        #expect(Self.kinds { $0.receipts.remove(at: 0) } == [.receipts])
        #expect(
            Self.kinds { $0.receipts.append(QueueHistory.Receipt(message: "m1", state: "dead", number: "r9")) }
                == [.receipts])
        #expect(Self.kinds { $0.puts[0].wantsReceipt = false } == [.receipts])
        #expect(Self.kinds { $0.receipts.append($0.receipts[0]) } == [])
        #expect(
            Self.kinds { $0.receipts.append(QueueHistory.Receipt(message: "m1", state: "read", number: "r9")) } == [])
    }

    @Test("a message whose sending was not answered may expire before anybody knows its id: one each, and only that")
    func unseenReceipt() {
        func expired(_ history: inout QueueHistory, _ message: String) {
            history.puts.append(QueueHistory.Put("v9", .unknown, wantsReceipt: true, mayExpire: true))
            history.receipts.append(QueueHistory.Receipt(message: message, state: "expired", number: message))
        }
        #expect(Self.kinds { expired(&$0, "m9") } == [])
        #expect(
            Self.kinds {
                expired(&$0, "m9")
                expired(&$0, "m10")
            } == [.receipts])
        #expect(
            Self.kinds {
                expired(&$0, "m9")
                $0.puts[2].mayExpire = false
            } == [.receipts])
        #expect(
            Self.kinds {
                expired(&$0, "m9")
                $0.receipts[2].state = "dead"
            } == [.receipts])
    }

    @Test("the story of a message names everything that happened to it") func story() {
        var history = Self.good
        history.redriven = ["m1"]
        let story = history.story(of: "m1")
        for word in ["put v1", "got it", "complete with tm1", "receipt rm1", "redriven", "at the end: done"] {
            #expect(story.contains { $0.contains(word) }, "\(word) in \(story)")
        }
        #expect(!story.contains { $0.contains("m2") })
    }
}
