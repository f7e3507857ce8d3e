internal import Base
internal import CGMime

extension GMime {
    /// The bytes of a message whose parts have been checked; nil when memory is short.
    static func message(_ draft: MailDraft) -> [UInt8]? {
        prepare()
        guard let message = unsafe g_mime_message_new(1) else { return nil }
        defer { unsafe g_object_unref(message) }
        unsafe g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_FROM, draft.from.name, draft.from.address)
        unsafe g_mime_message_add_mailbox(message, GMIME_ADDRESS_TYPE_TO, draft.to.name, draft.to.address)
        unsafe g_mime_message_set_subject(message, draft.subject, "utf-8")
        if let date = unsafe g_date_time_new_from_unix_utc(Int(draft.date.seconds)) {
            unsafe g_mime_message_set_date(message, date)
            unsafe g_date_time_unref(date)
        }
        unsafe g_mime_message_set_message_id(message, draft.messageID)
        let object = unsafe cgmime_object_of_message(message)
        if let parent = draft.references.last {
            let all = draft.references.map { "<\($0)>" }.joined(separator: " ")
            unsafe g_mime_object_append_header(object, "In-Reply-To", "<\(parent)>", nil)
            unsafe g_mime_object_append_header(object, "References", all, nil)
        }
        for field in draft.fields { unsafe g_mime_object_append_header(object, field.name, field.value, nil) }
        guard let part = unsafe textPart(Array(draft.text.utf8)) else { return nil }
        defer { unsafe g_object_unref(part) }
        unsafe g_mime_message_set_mime_part(message, cgmime_object_of_part(part))
        let options = unsafe g_mime_format_options_new()
        defer { unsafe g_mime_format_options_free(options) }
        unsafe g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS)
        guard let text = unsafe g_mime_object_to_string(object, options) else { return nil }
        defer { unsafe g_free(text) }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }

    /// A part of plain text in UTF-8, in an encoding of seven bits and short lines, so that no server on the way
    /// has to convert anything. Not a `GMimeTextPart`, which chooses an older character set where one will do.
    private static func textPart(_ text: [UInt8]) -> UnsafeMutablePointer<GMimePart>? {
        // The stream copies the bytes.
        let stream = unsafe text.withUnsafeBufferPointer { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) {
                unsafe g_mime_stream_mem_new_with_buffer($0.baseAddress, $0.count)
            }
        }
        guard let stream = unsafe stream else { return nil }
        defer { unsafe g_object_unref(stream) }
        guard let content = unsafe g_mime_data_wrapper_new_with_stream(stream, GMIME_CONTENT_ENCODING_DEFAULT),
            let part = unsafe g_mime_part_new_with_type("text", "plain")
        else { return nil }
        defer { unsafe g_object_unref(content) }
        unsafe g_mime_object_set_content_type_parameter(cgmime_object_of_part(part), "charset", "utf-8")
        unsafe g_mime_part_set_content(part, content)
        // For long lines it is quoted-printable, which `g_mime_object_encode` would not see to.
        unsafe g_mime_part_set_content_encoding(
            part, g_mime_part_get_best_content_encoding(part, GMIME_ENCODING_CONSTRAINT_7BIT))
        return unsafe part
    }
}
