import Base
import GatewayTestKit
import Testing

/// Every push adapter, in a whole gateway and through the real HTTP client, against a strict fake of its service.
@Suite("push services and faults", .timeLimit(.minutes(5))) struct PushMatrixTests {
    @Test(
        "SG-13 MN-8 nothing lost, nothing twice without need, dead addresses and no others removed",
        arguments: Cell.all)
    func cell(_ cell: Cell) async throws {
        let problems = try await cell.run().problems
        #expect(problems.isEmpty, "\(cell.testDescription): \(problems.prefix(5).joined(separator: "; "))")
    }

    @Test("every push plugin there is stands in the matrix, and what it leaves out has its reason")
    func complete() throws {
        let root = FileSystem.folder(of: FileSystem.folder(of: FileSystem.folder(of: #filePath)))
        let folders = try Set(FolderNames.of("\(root)/Plugins/Push").map { $0.lowercased() })
        #expect(folders == Set(Service.allCases.map(\.rawValue)))
        for service in Service.allCases {
            let reasons = Fault.allCases.filter { service.notApplicable($0) != nil }
            let cells = Cell.all.filter { $0.service == service }
            #expect(cells.count == (Fault.allCases.count - reasons.count) * Interruption.allCases.count)
        }
        #expect(Cell.all.count == 3 * (Service.allCases.count * Fault.allCases.count - 8 - 4 * 3))
    }
}
