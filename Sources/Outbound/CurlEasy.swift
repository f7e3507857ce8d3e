internal import CCurl

/// A call of libcurl that failed; only ever seen by us, when an option is unknown or memory is short.
struct CurlFailure: Error, CustomStringConvertible {
    let code: CURLcode

    var description: String { CurlEasy.text(code) }
}

/// One easy handle, owned. Used on the loop's thread only.
@safe final class CurlEasy {
    let handle: UnsafeMutableRawPointer

    /// - Throws: `CurlFailure` when memory is short.
    init() throws {
        guard let handle = unsafe curl_easy_init() else { throw CurlFailure(code: CURLE_OUT_OF_MEMORY) }
        unsafe self.handle = handle
    }

    /// The handle's address: a key for tables.
    var identity: UInt { unsafe UInt(bitPattern: handle) }

    deinit { unsafe curl_easy_cleanup(handle) }

    func set(_ option: CURLoption, _ value: Int) throws {
        try Self.check(unsafe farbell_easy_set_long(handle, option, value))
    }

    func set(_ option: CURLoption, _ value: Bool) throws { try set(option, value ? 1 : 0) }

    /// libcurl keeps a copy. Nil resets the option.
    func set(_ option: CURLoption, _ value: String?) throws {
        guard let value else { return try Self.check(unsafe farbell_easy_set_string(handle, option, nil)) }
        try Self.check(unsafe value.withCString { unsafe farbell_easy_set_string(handle, option, $0) })
    }

    func setSize(_ option: CURLoption, _ value: Int) throws {
        try Self.check(unsafe farbell_easy_set_size(handle, option, curl_off_t(value)))
    }

    /// libcurl keeps the pointer: its target must outlive the transfer.
    @unsafe func setPointer(_ option: CURLoption, _ value: UnsafeRawPointer?) throws {
        try Self.check(unsafe farbell_easy_set_pointer(handle, option, value))
    }

    func long(_ info: CURLINFO) -> Int {
        var value = 0
        unsafe farbell_easy_get_long(handle, info, &value)
        return value
    }

    func string(_ info: CURLINFO) -> String? {
        var value: UnsafePointer<CChar>?
        unsafe farbell_easy_get_string(handle, info, &value)
        return unsafe value.map { unsafe String(cString: $0) }
    }

    /// What libcurl calls a code: a constant text without data of the transfer.
    static func text(_ code: CURLcode) -> String {
        unsafe curl_easy_strerror(code).map { unsafe String(cString: $0) } ?? "unknown"
    }

    static func check(_ code: CURLcode) throws {
        guard code == CURLE_OK else { throw CurlFailure(code: code) }
    }

    /// The host of a URL in lower case, without brackets; nil when there is none.
    static func host(of url: String) -> String? {
        part(of: url, CURLUPART_HOST)
    }

    /// The scheme of a URL in lower case.
    static func scheme(of url: String) -> String? {
        part(of: url, CURLUPART_SCHEME)
    }

    private static func part(of url: String, _ part: CURLUPart) -> String? {
        guard let parsed = unsafe curl_url() else { return nil }
        defer { unsafe curl_url_cleanup(parsed) }
        guard unsafe curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK else { return nil }
        var text: UnsafeMutablePointer<CChar>?
        guard unsafe curl_url_get(parsed, part, &text, 0) == CURLUE_OK, let text = unsafe text else { return nil }
        defer { unsafe curl_free(text) }
        let value = unsafe String(cString: text).lowercased()
        return value.hasPrefix("[") && value.hasSuffix("]") ? String(value.dropFirst().dropLast()) : value
    }
}

/// A list of texts for libcurl, which must outlive the transfer.
@safe final class CurlList {
    private(set) var start: UnsafeMutablePointer<curl_slist>?
    private var end: UnsafeMutablePointer<curl_slist>?

    deinit { unsafe curl_slist_free_all(start) }

    /// - Throws: `CurlFailure` when memory is short.
    func append(_ text: String) throws { try unsafe text.withCString { try unsafe append(cString: $0) } }

    /// - Parameter line: ends in a zero byte.
    /// - Throws: `CurlFailure` when memory is short.
    func append(_ line: [UInt8]) throws {
        try unsafe line.withUnsafeBytes { bytes in
            guard let start = bytes.baseAddress else { return }
            try unsafe append(cString: start.assumingMemoryBound(to: CChar.self))
        }
    }

    @unsafe private func append(cString text: UnsafePointer<CChar>) throws {
        // libcurl walks to the end of the list it is given: from the last item that is a short way.
        guard let longer = unsafe curl_slist_append(end ?? start, text) else {
            throw CurlFailure(code: CURLE_OUT_OF_MEMORY)
        }
        if unsafe start == nil { unsafe start = longer }
        unsafe end = end == nil ? longer : end?.pointee.next
    }
}
