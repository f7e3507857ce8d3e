import Base
import GatewayTestKit
import Testing

/// Every push adapter, in a whole gateway and through the real client, against a strict fake of its service.
@Suite("push services and faults", .timeLimit(.minutes(10))) struct PushMatrixTests {
    @Test(
        "SG-13 MN-8 nothing lost, nothing twice without need, dead addresses and no others removed",
        arguments: Cell.all)
    func cell(_ cell: Cell) async throws {
        await Turns.shared.take()
        let result: Result<Evidence, any Error>
        do { result = .success(try await cell.run()) } catch { result = .failure(error) }
        await Turns.shared.giveBack()
        let problems = try result.get().problems
        #expect(problems.isEmpty, "\(cell.testDescription): \(problems.prefix(5).joined(separator: "; "))")
    }

    private static let tests = FileSystem.folder(of: #filePath)

    @Test("every push plugin there is stands in the matrix")
    func complete() throws {
        let root = FileSystem.folder(of: FileSystem.folder(of: Self.tests))
        let folders = try Set(FolderNames.of("\(root)/Plugins/Push").map { $0.lowercased() })
        #expect(folders == Set(Service.allCases.map(\.rawValue)))
    }

    @Test("the table says of every service and fault whether it is tried, and why not")
    func table() {
        let written = FileSystem.contents(of: "\(Self.tests)/README.md", limit: 65_536) ?? []
        #expect(String(decoding: written, as: UTF8.self).contains(Self.renderedTable), "\(Self.renderedTable)")
    }

    /// The faults as rows and the services as columns; the reasons below.
    private static var renderedTable: String {
        var reasons: [String] = []
        var lines = [
            "| fault | \(Service.allCases.map(\.rawValue).joined(separator: " | ")) |",
            "|---\(String(repeating: "|---", count: Service.allCases.count))|",
        ]
        for fault in Fault.allCases {
            let marks = Service.allCases.map { service -> String in
                guard let reason = service.notApplicable(fault) else { return "x" }
                if !reasons.contains(reason) { reasons.append(reason) }
                return "n/a \((reasons.firstIndex(of: reason) ?? 0) + 1)"
            }
            lines.append("| \(fault.rawValue) | \(marks.joined(separator: " | ")) |")
        }
        let notes = reasons.enumerated().map { "\($0 + 1). The service \($1)." }
        return (lines + [""] + notes).joined(separator: "\n") + "\n"
    }
}
