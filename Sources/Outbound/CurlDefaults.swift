internal import CCurl

extension CurlEasy {
    /// The roots libcurl was built to trust.
    private static let systemRoots: String? = {
        guard let info = unsafe curl_version_info(CURLVERSION_SEVENTH), let file = unsafe info.pointee.cainfo else {
            return nil
        }
        return unsafe String(cString: file)
    }()

    /// What holds for every connection of ours, HTTP or mail.
    /// - Parameter caFile: PEM file with the trusted roots; nil for the system's.
    func setConnectionDefaults(caFile: String?, _ liveness: Liveness) throws {
        try set(CURLOPT_NOSIGNAL, true)
        try set(CURLOPT_NOPROGRESS, true)
        // Otherwise ending a transfer that waits for a name would stop the whole loop until the resolver answers.
        try set(CURLOPT_QUICK_EXIT, true)
        try set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
        // A file and no directory: only then does libcurl share the parsed roots among the connections of a
        // multi handle (840 kB each without).
        try set(CURLOPT_CAPATH, nil)
        try set(CURLOPT_CAINFO, caFile ?? Self.systemRoots)
        try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        try set(CURLOPT_TCP_NODELAY, true)
        try set(CURLOPT_TCP_KEEPALIVE, true)
        try set(CURLOPT_TCP_KEEPIDLE, liveness.keepaliveIdle)
        try set(CURLOPT_TCP_KEEPINTVL, liveness.keepaliveInterval)
    }
}
