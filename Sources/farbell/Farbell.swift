internal import Daemon
internal import FoundationEssentials

/// The program: hands the command line over, and ends with the command's status.
@main
struct Farbell {
    static func main() {
        Allocator.giveBackWhenIdle()
        ProgramMain.run {
            let environment = Environment(
                plugins: Plugins.all, variables: ProcessInfo.processInfo.environment,
                print: Terminal.print, complain: Terminal.complain)
            return await Commands(environment).run(Array(CommandLine.arguments.dropFirst()))
        }
    }
}
