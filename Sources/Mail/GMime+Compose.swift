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
        guard let part = unsafe g_mime_text_part_new() else { return nil }
        defer { unsafe g_object_unref(part) }
        unsafe g_mime_text_part_set_charset(part, "utf-8")
        unsafe g_mime_text_part_set_text(part, draft.text)
        unsafe g_mime_message_set_mime_part(message, cgmime_object_of_text(part))
        // Seven bits, so that no server on the way has to convert anything.
        unsafe g_mime_object_encode(object, GMIME_ENCODING_CONSTRAINT_7BIT)
        let options = unsafe g_mime_format_options_new()
        defer { unsafe g_mime_format_options_free(options) }
        unsafe g_mime_format_options_set_newline_format(options, GMIME_NEWLINE_FORMAT_DOS)
        guard let text = unsafe g_mime_object_to_string(object, options) else { return nil }
        defer { unsafe g_free(text) }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }
}
