import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("a whole gateway")
struct SmokeTests {
    @Test("SG-3 SG-4 SG-8 a login starts monitoring, and news is pushed to a device whose client is not running")
    func ring() async throws {
        try await TestGateway.run { test in
            let phone = try await test.device()
            let registration = try await test.watched(phone)
            let key = try await test.news(registration, "1")
            let push = try await test.push.pushes.first { _ in true }
            #expect(push.device == phone.id)
            #expect(test.push.alerts.first?.message == key)
            #expect(test.decisions(key) == ["push no_connection"])
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
            try await test.restart()
            try await test.waitForWatching(registration.id)
            try await test.waitUntilIdle()
            #expect(test.push.pushes.count == 1)
        }
    }
}
