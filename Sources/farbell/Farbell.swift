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
            print: { text in print(text) },
            complain: { text in unsafe fputs("\(text)\n", stderr) })
        let status = await Commands(environment).run(Array(CommandLine.arguments.dropFirst()))
        unsafe fflush(stdout)
        exit(status)
    }
}
