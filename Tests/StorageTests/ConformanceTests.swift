import Base
import Gateway
import GatewayTestKit
import Storage
import Testing

@Suite("Both stores do what a store must do")
struct ConformanceTests {
    @Test("MN-4 PL-10 the embedded store", .timeLimit(.minutes(2)), arguments: StoreConformance.Check.allCases)
    func sqlite(check: StoreConformance.Check) async throws {
        let folder = try TemporaryFolder(inMemory: true)
        let count = Locked(0)
        let conformance = StoreConformance(
            make: {
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                return try await SQLiteStore.open(path: "\(folder.path)/\(number).db")
            },
            reopen: { store in
                let path = try #require(store as? SQLiteStore).path
                await store.close()
                return try await SQLiteStore.open(path: path)
            })
        try await conformance.run(check)
    }

    @Test("the model", .timeLimit(.minutes(2)), arguments: StoreConformance.Check.allCases)
    func memory(check: StoreConformance.Check) async throws {
        let conformance = StoreConformance(
            make: { InMemoryStore() },
            reopen: { store in
                let memory = try #require(store as? InMemoryStore)
                await memory.close()
                return memory.reopened()
            })
        try await conformance.run(check)
    }
}
