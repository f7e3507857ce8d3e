package import MonitorTools

// Settings for monitors of a strict fake on the loopback: what takes long elsewhere, takes moments here.
extension ServiceAddress {
    /// With a deadline of two seconds.
    package static func fake(_ url: String, caFile: String?) throws -> ServiceAddress {
        guard var address = ServiceAddress(url: url) else { throw FakeServiceError(url: url) }
        (address.caFile, address.timeout) = (caFile, .seconds(2))
        return address
    }
}

extension PolledChatSettings {
    /// With polls of 30 ms.
    package static func fake(_ url: String, caFile: String?, usesToken: Bool = false) throws -> PolledChatSettings {
        var settings = PolledChatSettings(address: try .fake(url, caFile: caFile))
        (settings.poll, settings.usesToken) = (.milliseconds(30), usesToken)
        return settings
    }
}

/// A fake's address is no URL.
package struct FakeServiceError: Error { let url: String }
