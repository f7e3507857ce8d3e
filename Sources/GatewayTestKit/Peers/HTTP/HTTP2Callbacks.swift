internal import CNGHTTP2

/// nghttp2's callbacks, which find the `HTTP2Server` in the user data.
enum HTTP2Callbacks {
    /// A server session whose callbacks call `server`, which must outlive it.
    /// - Parameter resetLimit: see `HTTPPeer.Options`.
    static func makeSession(
        for server: HTTP2Server, resetLimit: (burst: Int, perSecond: Int)?
    ) -> OpaquePointer? {
        var callbacks: OpaquePointer?
        unsafe nghttp2_session_callbacks_new(&callbacks)
        defer { unsafe nghttp2_session_callbacks_del(callbacks) }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame, let server = unsafe HTTP2Callbacks.owner(user) else { return 0 }
            // Trailers begin with headers, too.
            if unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
                unsafe server.beginStream(frame.pointee.hd.stream_id)
            }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameLength, value, valueLength, _, user in
            guard let frame = unsafe frame, let server = unsafe HTTP2Callbacks.owner(user) else { return 0 }
            unsafe server.header(
                frame.pointee.hd.stream_id, UnsafeBufferPointer(start: name, count: nameLength),
                UnsafeBufferPointer(start: value, count: valueLength))
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) { _, _, id, bytes, count, user in
            unsafe HTTP2Callbacks.owner(user)?.data(id, UnsafeBufferPointer(start: bytes, count: count))
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame, let server = unsafe HTTP2Callbacks.owner(user) else { return 0 }
            let header = unsafe frame.pointee.hd
            let isRequest =
                header.type == UInt8(NGHTTP2_HEADERS.rawValue) || header.type == UInt8(NGHTTP2_DATA.rawValue)
            if isRequest, header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 {
                server.endOfRequest(header.stream_id)
            }
            if header.type == UInt8(NGHTTP2_RST_STREAM.rawValue) { server.resetReceived() }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, _, user in
            unsafe HTTP2Callbacks.owner(user)?.streamEnded(id)
            return 0
        }
        var option: OpaquePointer?
        unsafe nghttp2_option_new(&option)
        defer { unsafe nghttp2_option_del(option) }
        let limit = resetLimit ?? (burst: .max, perSecond: .max)
        unsafe nghttp2_option_set_stream_reset_rate_limit(option, UInt64(limit.burst), UInt64(limit.perSecond))
        var session: OpaquePointer?
        unsafe nghttp2_session_server_new2(
            &session, callbacks, Unmanaged.passUnretained(server).toOpaque(), option)
        return unsafe session
    }

    /// Takes an answer's body from the server piece by piece.
    static var dataProvider: nghttp2_data_provider {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = { _, id, buffer, length, flags, _, user in
            guard let flags = unsafe flags, let server = unsafe HTTP2Callbacks.owner(user) else { return 0 }
            let (count, last) = unsafe server.nextData(
                id, into: UnsafeMutableBufferPointer(start: buffer, count: length))
            if last { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
            return count
        }
        return unsafe provider
    }

    private static func owner(_ user: UnsafeMutableRawPointer?) -> HTTP2Server? {
        unsafe user.map { unsafe Unmanaged<HTTP2Server>.fromOpaque($0).takeUnretainedValue() }
    }
}
