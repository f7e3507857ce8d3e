internal import Base
internal import GatewayTestKit
internal import Glibc

/// Whether what the queue promises holds when the gateway dies: see Documentation/Durability.md. Ends with 0 when
/// nothing was found, 1 when something was, 64 when it was asked in a wrong way, 70 when it broke off.
@main
struct FarbellProve {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments == ["--help"] {
            Output.say(ProofOptions.usage)
            exit(0)
        }
        do {
            exit(try await Proof(try ProofOptions(arguments)).run() ? 0 : 1)
        } catch let error as ProofError where error.isUsage {
            Output.say("\(error)\n\(ProofOptions.usage)")
            exit(64)
        } catch {
            Output.say("\(error)")
            exit(70)
        }
    }
}
