internal import CGMime

/// GMime's header functions over bytes and strings. None of them fails: what cannot be read is left out.
enum GMime {
    /// `g_mime_init` must run once before anything else; Swift runs this initialiser once, whichever
    /// thread is first.
    private static let initialized: Void = g_mime_init()

    /// To be called before any function of GMime's.
    static func prepare() { _ = initialized }

    /// The fields of a header block that ends with an empty line.
    static func fields(of block: [UInt8], limit: Int) -> [MailHeaders.Field] {
        _ = initialized
        // The stream copies the bytes.
        guard
            let stream = unsafe block.withUnsafeBufferPointer({ buffer in
                unsafe buffer.withMemoryRebound(to: CChar.self) {
                    unsafe g_mime_stream_mem_new_with_buffer($0.baseAddress, $0.count)
                }
            })
        else { return [] }
        defer { unsafe g_object_unref(stream) }
        // A part, not a message: that would decode its addresses and subject at once and at any length.
        guard let parser = unsafe g_mime_parser_new_with_stream(stream) else { return [] }
        defer { unsafe g_object_unref(parser) }
        guard let part = unsafe g_mime_parser_construct_part(parser, nil) else { return [] }
        defer { unsafe g_object_unref(part) }
        guard let headers = unsafe g_mime_object_get_header_list(part) else { return [] }
        let count = unsafe g_mime_header_list_get_count(headers)
        return (0..<min(count, Int32(limit))).compactMap { index in
            guard let header = unsafe g_mime_header_list_get_header_at(headers, index),
                let name = unsafe g_mime_header_get_name(header), let value = unsafe g_mime_header_get_raw_value(header)
            else { return nil }
            return unsafe MailHeaders.Field(
                name: String(cString: name).lowercased(),
                value: HeaderRepair.shortened(bytes(value), to: MailHeaders.valueLimit))
        }
    }

    /// The text of an unstructured field (RFC 2047).
    static func decodedText(_ value: [UInt8]) -> String {
        let decoded = unsafe withOptions(for: value) { options in
            unsafe taken(g_mime_utils_header_decode_text(options, cString(value)))
        }
        return HeaderRepair.restored(decoded ?? "")
    }

    /// Name and address of each mailbox; a group without members gives its name alone.
    static func addresses(_ value: [UInt8], limit: Int) -> [(name: String?, address: String?)] {
        unsafe withOptions(for: value) { options in
            guard let list = unsafe internet_address_list_parse(options, cString(value)) else { return [] }
            defer { unsafe g_object_unref(list) }
            var found: [(name: String?, address: String?)] = []
            unsafe collect(list, limit: limit, depth: 0, into: &found)
            return found
        }
    }

    /// How deep groups may stand in groups, which the grammar forbids altogether.
    private static let groupDepth = 4

    private static func collect(
        _ list: UnsafeMutablePointer<InternetAddressList>, limit: Int, depth: Int,
        into found: inout [(name: String?, address: String?)]
    ) {
        for index in 0..<(unsafe internet_address_list_length(list)) where found.count < limit {
            guard let address = unsafe internet_address_list_get_address(list, index) else { continue }
            let name = unsafe internet_address_get_name(address).map {
                HeaderRepair.restored(unsafe String(cString: $0))
            }
            if let members = unsafe cgmime_group_members(address) {
                let before = found.count
                if depth < groupDepth { unsafe collect(members, limit: limit, depth: depth + 1, into: &found) }
                if found.count == before { found.append((name, nil)) }
            } else {
                let proper = unsafe cgmime_mailbox_address(address).map { unsafe String(cString: $0) }
                found.append((name, proper))
            }
        }
    }

    /// Seconds since 1970 of a date (RFC 5322 section 3.3 and its obsolete forms).
    static func date(_ value: [UInt8]) -> Int64? {
        _ = initialized
        guard let date = unsafe g_mime_utils_header_decode_date(cString(value)) else { return nil }
        defer { unsafe g_date_time_unref(date) }
        return Int64(unsafe g_date_time_to_unix(date))
    }

    /// The message ids of a field, without angle brackets.
    static func references(_ value: [UInt8], limit: Int) -> [String] {
        _ = initialized
        guard let list = unsafe g_mime_references_parse(nil, cString(value)) else { return [] }
        defer { unsafe g_mime_references_free(list) }
        return (0..<min(unsafe g_mime_references_length(list), Int32(limit))).compactMap { index in
            unsafe g_mime_references_get_message_id(list, index).map { unsafe String(cString: $0) }
        }
    }

    // MARK: Character sets

    static func knows(charset: String) -> Bool {
        _ = initialized
        return unsafe cgmime_knows_charset(charset) == 1
    }

    /// A text of a character set as UTF-8; nil when the set is unknown.
    static func utf8(_ value: [UInt8], from charset: String) -> [UInt8]? {
        _ = initialized
        guard let text = unsafe cgmime_to_utf8(charset, cString(value)) else { return nil }
        defer { unsafe g_free(text) }
        return unsafe bytes(text)
    }

    // MARK: Memory

    /// Runs `body` with parser options whose character sets for unlabelled 8-bit text fit the value.
    private static func withOptions<Result>(for value: [UInt8], _ body: (OpaquePointer?) -> Result) -> Result {
        _ = initialized
        let options = unsafe g_mime_parser_options_new()
        defer { unsafe g_mime_parser_options_free(options) }
        unsafe g_mime_parser_options_set_allow_addresses_without_domain(options, 1)
        // GMime copies the names.
        let names = unsafe HeaderRepair.likelyCharsets(of: value).map { unsafe strdup($0) }
        defer { unsafe names.forEach { unsafe free($0) } }
        var list = unsafe names.map { unsafe UnsafePointer<CChar>($0) } + [nil]
        unsafe g_mime_parser_options_set_fallback_charsets(options, &list)
        return unsafe body(options)
    }

    /// A copy that ends with NUL; the values hold none before.
    private static func cString(_ value: [UInt8]) -> [CChar] { value.map { CChar(bitPattern: $0) } + [0] }

    private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        unsafe [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }

    /// A string of GMime's that we have to free.
    private static func taken(_ text: UnsafeMutablePointer<CChar>?) -> String? {
        guard let text = unsafe text else { return nil }
        defer { unsafe g_free(text) }
        return unsafe String(cString: text)
    }
}
