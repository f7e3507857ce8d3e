import Base
import GatewayTestKit

/// curl as an independent HTTP client.
struct CurlAnswer {
    let status: Int
    let version: String
    let headers: [String: String]
    let body: String
    var reason: String { (try? JSONParser.parse(body))?["reason"]?.string ?? "" }

    static func send(
        _ url: String, ca: String, headers: [(String, String)], body: [UInt8], method: String = "POST",
        options: [String] = ["--http2"]
    ) async throws -> CurlAnswer {
        let folder = try TemporaryFolder()
        let file = try folder.write(body, to: "body")
        var arguments =
            ["-sS", "-i", "--max-time", "10", "--cacert", ca, "-X", method, "--data-binary", "@\(file)"] + options
        for (name, value) in headers { arguments += ["-H", value.isEmpty ? "\(name);" : "\(name): \(value)"] }
        let result = try await ChildProcess.run("curl", arguments + [url])
        withExtendedLifetime(folder) {}
        guard case .code(0) = result.exit else {
            throw PeerError(.process, "curl \(result.exit): \(result.errors.joined(separator: " "))")
        }
        let lines = result.output.map(\.trimmingSpace)
        let first = lines.first?.split(separator: " ") ?? []
        let end = lines.firstIndex(of: "") ?? lines.count
        var fields: [String: String] = [:]
        for line in lines[..<end].dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...]).trimmingSpace
        }
        return CurlAnswer(
            status: first.count > 1 ? Int(first[1]) ?? 0 : 0, version: first.first.map(String.init) ?? "",
            headers: fields, body: lines[end...].dropFirst().joined(separator: "\n"))
    }
}
