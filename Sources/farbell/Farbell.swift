internal import Daemon
internal import FoundationEssentials
internal import Glibc

/// The program: blocks signals, hands the command line over, and ends with the command's status.
@main
struct Farbell {
    static func main() async {
        SignalWatcher.block()
        let environment = Environment(
            plugins: Plugins.all, variables: ProcessInfo.processInfo.environment,
            print: Terminal.print, complain: Terminal.complain)
        let status = await Commands(environment).run(Array(CommandLine.arguments.dropFirst()))
        exit(status)
    }
}
