package import Base
internal import Gateway

/// Where a monitor's service is: the keys `url`, `caFile`, `allowPlaintext` and `requestSeconds`, which the monitors of
/// HTTP services have in common.
package struct ServiceAddress: Sendable {
    /// Without a slash at the end.
    package let url: String
    /// `host:port`, for the start rate.
    package let upstream: String
    package var caFile: String?
    /// From a request to the end of its answer; what a long poll may take is added.
    package var timeout: Duration = .seconds(30)

    /// - Parameter url: an `http` or `https` URL. Nil when it is none.
    package init?(url: String) {
        guard let address = try? WebAddress(url) else { return nil }
        self.url = url.hasSuffix("/") ? String(url.dropLast()) : url
        upstream = "\(address.host):\(address.port ?? (address.isSecure ? 443 : 80))"
    }

    /// Reads the keys; nil after a fault that leaves no server to ask.
    package init?(_ reader: ConfigReader) {
        let url = reader.url("url", schemes: ["https", "http"])
        let caFile = reader.optionalFile("caFile")
        let allowsPlaintext = reader.bool("allowPlaintext", default: false)
        let timeout = reader.seconds("requestSeconds", in: 5...300, default: 30)
        guard reader.has("url"), let address = try? WebAddress(url), let place = ServiceAddress(url: url) else {
            if reader.has("url"), !url.isEmpty {
                reader.report("url", "expected https://host, with an optional :port and path")
            }
            return nil
        }
        if !address.isSecure && !allowsPlaintext && !Self.isLoopback(address.host) {
            reader.report(
                "url", "passwords would cross the network in the clear; set \"allowPlaintext\":true if that is meant")
        }
        self = place
        (self.caFile, self.timeout) = (caFile, timeout)
    }

    /// Calls to the service.
    /// - Parameter pool: whose connections to use: calls that hang must not be in the way of others.
    package func calls(pool: String, _ transport: any HTTPTransport, _ time: any TimeSource) -> MonitorHTTP {
        var http = MonitorHTTP(base: url, pool: pool, transport: transport, time: time)
        (http.caFile, http.timeout) = (caFile, timeout)
        return http
    }

    private static func isLoopback(_ host: String) -> Bool {
        let numbers = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return host == "localhost" || host == "[::1]"
            || (numbers.count == 4 && numbers[0] == 127 && numbers.allSatisfy { $0 != nil })
    }
}
