internal import Base
internal import GatewayTestKit
internal import Glibc

/// Runs one benchmark: `farbell-bench NAME [--option VALUE…]`. Without a name it lists them.
@main
struct FarbellBench {
    private static let benchmarks: [(name: String, purpose: String, options: Set<String>)] = [
        (
            "ring", "mail to push: own latency, memory and CPU of idle mailboxes, Dovecot; beside other watchers",
            RingBench.options
        ),
        ("queue", "messages through HTTP; beside other durable queues", QueueBench.options),
        (
            "launch", "from the tap to the app's window on real farms, Farbell's own share, and presence to decision",
            LaunchBench.options
        ),
        ("im", "people in conversation over streams; beside Prosody and ejabberd", ImBench.options),
        ("presence", "presence beats a second through HTTP, driven by wrk", PresenceBench.options),
        ("answers", "requests a second through the HTTP server alone, by kind of answer", AnswersBench.options),
        ("streams", "one event to each of many connected streams: time and memory", StreamsBench.options),
        ("routes", "processor time of the queue's routes, without connection and disk", RoutesBench.options),
        ("pushes", "pushes a second through the APNs adapter and the HTTP client", PushesBench.options),
        (
            "push",
            "from stored messages to the push services: rate, latency, a dead service beside; and other senders",
            PushBench.options
        ),
        (
            "monitors",
            "many mailboxes: memory, CPU, own latency, and the time to watch all after a restart; beside others",
            MonitorsBench.options
        ),
        ("push-peer", "the fake push services of 'push'", PushPeer.options),
        ("inbound-peer", "the server of 'answers' and 'streams'", InboundPeer.options),
    ]

    static func main() async {
        var arguments = Array(CommandLine.arguments.dropFirst())
        guard !arguments.isEmpty else {
            list(to: Report.print)
            exit(0)
        }
        let name = arguments.removeFirst()
        guard let benchmark = benchmarks.first(where: { $0.name == name }) else {
            Report.progress(
                "there is no benchmark '\(name)'" + Suggestion.text(for: name, among: benchmarks.map(\.name)))
            list(to: Report.progress)
            exit(64)
        }
        exit(await run(name, arguments, benchmark.options))
    }

    private static func run(_ name: String, _ arguments: [String], _ known: Set<String>) async -> Int32 {
        do {
            let options = try BenchOptions(arguments, known: known)
            _ = DescriptorLimit.raise()
            switch name {
            case "queue": return try await QueueBench(options).run() ? 0 : 1
            case "ring": return try await RingBench(options).run() ? 0 : 1
            case "im": return try await ImBench(options).run() ? 0 : 1
            case "launch": return try await LaunchBench(options).run() ? 0 : 1
            case "answers": return try await AnswersBench(options).run() ? 0 : 1
            case "streams": return try await StreamsBench(options).run() ? 0 : 1
            case "routes": return try await RoutesBench(options).run() ? 0 : 1
            case "pushes": return try await PushesBench(options).run() ? 0 : 1
            case "push": return try await PushBench(options).run() ? 0 : 1
            case "monitors": return try await MonitorsBench(options).run() ? 0 : 1
            case "push-peer": return try await PushPeer(options).run() ? 0 : 1
            case "inbound-peer": return try await InboundPeer(options).run() ? 0 : 1
            default: return try await PresenceBench(options).run() ? 0 : 1
            }
        } catch let error as BenchError {
            Report.progress("farbell-bench: \(error)")
            return error.isUsage ? 64 : 70
        } catch {
            Report.progress("farbell-bench: \(error)")
            return 70
        }
    }

    private static func list(to write: (String) -> Void) {
        write("usage: farbell-bench NAME [--quick] [--OPTION VALUE…]")
        for benchmark in benchmarks {
            write("  \(benchmark.name): \(benchmark.purpose)")
            write("    options: " + benchmark.options.sorted().map { "--\($0)" }.joined(separator: " "))
        }
    }
}
