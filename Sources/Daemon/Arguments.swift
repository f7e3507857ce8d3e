internal import Base

/// A command line, taken apart: words, options with a value, and flags.
struct Arguments: Sendable {
    private(set) var words: [String] = []
    private var options: [String: String] = [:]
    private var flags: Set<String> = []

    /// - Parameters:
    ///   - valued: options that take a value, as `--name VALUE` or `--name=VALUE`.
    ///   - known: options that take none.
    /// - Throws: `DaemonError` (usage) with a suggestion.
    init(_ arguments: some Sequence<String>, valued: Set<String>, flags known: Set<String>) throws(DaemonError) {
        var rest = Array(arguments)[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.count > 2 else {
                words.append(argument)
                continue
            }
            let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                .map(String.init)
            let name = parts[0]
            if known.contains(name), parts.count == 1 {
                flags.insert(name)
            } else if valued.contains(name) {
                guard let value = parts.count == 2 ? parts[1] : rest.popFirst() else {
                    throw DaemonError(.usage, "the option --\(name) needs a value")
                }
                options[name] = value
            } else {
                throw DaemonError(
                    .usage, "unknown option --\(name)" + Suggestion.text(for: name, among: valued.union(known)))
            }
        }
    }

    subscript(_ name: String) -> String? { options[name] }
    func has(_ flag: String) -> Bool { flags.contains(flag) }
}
