import Testing

@testable import Outbound

@Suite struct RoundsTests {
    @Test("what an action causes is done after what was there before, by the one who has begun")
    func order() {
        var rounds = Rounds<Int>()
        var done: [Int] = []
        func perform(_ actions: [Int]) {
            guard rounds.add(actions) else { return }
            while let round = rounds.next() {
                for action in round {
                    done.append(action)
                    if action < 3 { perform([action + 10, action + 20]) }
                }
            }
        }
        perform([1, 2])
        #expect(done == [1, 2, 11, 21, 12, 22])
        perform([])
        perform([5])
        #expect(done == [1, 2, 11, 21, 12, 22, 5])
    }

    @Test("what is cleared is not done, and the next one begins anew")
    func clearing() {
        var rounds = Rounds<Int>()
        let (isFirst, round, isSecond) = (rounds.add([1]), rounds.next(), rounds.add([2]))
        #expect(isFirst && round == [1] && !isSecond)
        rounds.clear()
        let (end, isNew) = (rounds.next(), rounds.add([3]))
        #expect(end == nil && isNew)
    }
}
