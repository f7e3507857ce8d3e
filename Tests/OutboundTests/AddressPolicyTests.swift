import Testing

@testable import Outbound

@Suite
struct AddressPolicyTests {
    private func v6(_ head: [UInt8], _ tail: [UInt8] = []) -> [UInt8] {
        head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    @Test(
        "special IPv4 addresses are told from public ones",
        arguments: [
            ([8, 8, 8, 8], true), ([1, 1, 1, 1], true), ([172, 32, 0, 1], true), ([100, 128, 0, 1], true),
            ([198, 20, 0, 1], true), ([223, 255, 255, 255], true), ([192, 0, 1, 1], true),
            ([0, 0, 0, 0], false), ([10, 1, 2, 3], false), ([100, 64, 0, 1], false), ([100, 127, 255, 255], false),
            ([127, 0, 0, 1], false), ([169, 254, 169, 254], false), ([172, 16, 0, 1], false), ([172, 31, 9, 9], false),
            ([192, 0, 0, 8], false), ([192, 0, 2, 1], false), ([192, 168, 1, 1], false), ([198, 18, 0, 1], false),
            ([198, 19, 255, 255], false), ([198, 51, 100, 7], false), ([203, 0, 113, 7], false),
            ([224, 0, 0, 1], false),
            ([239, 1, 1, 1], false), ([240, 0, 0, 1], false), ([255, 255, 255, 255], false),
        ] as [([UInt8], Bool)])
    func v4(address: [UInt8], isPublic: Bool) {
        #expect(AddressPolicy.isPublic(v4: address) == isPublic)
        #expect(AddressPolicy.isPublic(v6: v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255], address)) == isPublic)
        #expect(AddressPolicy.isPublic(v6: v6([0, 0x64, 0xFF, 0x9B], address)) == isPublic)
    }

    @Test(
        "special IPv6 addresses are told from public ones",
        arguments: [
            ([0x2A, 0, 0x14, 0x50], true), ([0x26, 0x06], true), ([0x20, 0x01, 0x48, 0x60], true),
            ([0x3F, 0xFE], true),
            ([], false), ([0xFE, 0x80], false), ([0xFC, 0], false), ([0xFD, 0x12], false), ([0xFF, 0x02], false),
            ([0x20, 0x01, 0x0D, 0xB8], false), ([0x20, 0x01, 0, 0], false), ([0x20, 0x02, 10, 0, 0, 1], false),
            ([0x3F, 0xFF, 0x0F], false), ([0xFE, 0xC0], false), ([0x01], false), ([0x40], false),
        ] as [([UInt8], Bool)])
    func v6(prefix: [UInt8], isPublic: Bool) {
        #expect(AddressPolicy.isPublic(v6: v6(prefix, [1])) == isPublic)
    }
}
