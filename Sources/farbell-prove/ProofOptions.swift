internal import Base

/// Why a proof did not run to its end.
struct ProofError: Error, CustomStringConvertible {
    let description: String
    var isUsage = false
    init(_ description: String, isUsage: Bool = false) { (self.description, self.isUsage) = (description, isUsage) }
}

/// How the gateway dies.
enum Death: String, CaseIterable {
    /// SIGKILL at a random moment.
    case kill
    /// SIGKILL at a place of the writer's: before the first statement, before the sync, before the answer.
    case failpoint
    /// The machine stands still and what is on the medium goes on elsewhere.
    case powercut
}

struct ProofOptions {
    static let usage = """
        usage: prove-queue [--rounds N] [--seed S] [--mode kill|failpoint|powercut|all] [--milliseconds N] [--keep]
          --rounds        how often the gateway dies (200)
          --seed          the same seed draws the same load and the same moments; the machine's timing stays its own
          --mode          how it dies (all that are possible here)
          --milliseconds  at most so long does it live each time (1200)
          --keep          keep the data folder also when nothing is wrong
        """

    var rounds = 200
    var seed = UInt64.random(in: 0...999_999)
    var deaths = Death.allCases
    var isAll = true
    var lifeMilliseconds = 1200
    var keeps = false

    /// - Throws: `ProofError` (usage).
    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--keep" {
                keeps = true
                continue
            }
            guard let value = rest.popFirst() else { throw ProofError("\(argument) needs a value", isUsage: true) }
            switch (argument, Int(value)) {
            case ("--rounds", let number?) where number > 0: rounds = number
            case ("--seed", let number?) where number >= 0: seed = UInt64(number)
            case ("--milliseconds", let number?) where number >= 50: lifeMilliseconds = number
            case ("--mode", _):
                guard value == "all" || Death(rawValue: value) != nil else {
                    let known = ["all"] + Death.allCases.map(\.rawValue)
                    throw ProofError(
                        "unknown mode '\(value)'" + Suggestion.text(for: value, among: known), isUsage: true)
                }
                isAll = value == "all"
                deaths = Death(rawValue: value).map { [$0] } ?? Death.allCases
            default: throw ProofError("what is '\(argument) \(value)'?", isUsage: true)
            }
        }
    }
}
