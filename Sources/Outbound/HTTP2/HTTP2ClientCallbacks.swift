internal import CNGHTTP2

/// nghttp2's callbacks, which find the `HTTP2Session` in the user data.
enum HTTP2ClientCallbacks {
    /// A client's session whose callbacks call `owner`, which must outlive it.
    /// - Throws: `HTTP2Session.Failure`.
    static func makeSession(for owner: HTTP2Session) throws -> OpaquePointer? {
        var callbacks: OpaquePointer?
        guard unsafe nghttp2_session_callbacks_new(&callbacks) == 0 else {
            throw HTTP2Session.Failure(code: NGHTTP2_ERR_NOMEM.rawValue)
        }
        defer { unsafe nghttp2_session_callbacks_del(callbacks) }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameLength, value, valueLength, _, user in
            guard let frame = unsafe frame, let session = unsafe HTTP2ClientCallbacks.session(user) else { return 0 }
            let isWanted = unsafe session.header(
                frame.pointee.hd.stream_id, UnsafeBufferPointer(start: name, count: nameLength),
                UnsafeBufferPointer(start: value, count: valueLength))
            // Ends the stream and not the connection.
            return isWanted ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, stream, bytes, count, user in
            unsafe HTTP2ClientCallbacks.session(user)?.data(stream, UnsafeBufferPointer(start: bytes, count: count))
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            guard let frame = unsafe frame, let session = unsafe HTTP2ClientCallbacks.session(user) else { return 0 }
            HTTP2ClientCallbacks.received(unsafe frame.pointee.hd, session)
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, stream, code, user in
            unsafe HTTP2ClientCallbacks.session(user)?.streamEnded(stream, code)
            return 0
        }
        var session: OpaquePointer?
        let code = unsafe nghttp2_session_client_new(
            &session, callbacks, Unmanaged.passUnretained(owner).toOpaque())
        guard code == 0 else { throw HTTP2Session.Failure(code: code) }
        return unsafe session
    }

    private static func received(_ frame: nghttp2_frame_hd, _ session: HTTP2Session) {
        switch UInt32(frame.type) {
        case NGHTTP2_HEADERS.rawValue, NGHTTP2_DATA.rawValue:
            if frame.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0 { session.endOfAnswer(frame.stream_id) }
        case NGHTTP2_SETTINGS.rawValue:
            if frame.flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) == 0 { session.settingsArrived() }
        case NGHTTP2_GOAWAY.rawValue: session.goAwayArrived()
        default: break
        }
    }

    /// Takes a request's body from its exchange piece by piece.
    static var body: nghttp2_data_provider {
        var provider = unsafe nghttp2_data_provider()
        unsafe provider.read_callback = { _, stream, buffer, length, flags, _, user in
            guard let flags = unsafe flags, let session = unsafe HTTP2ClientCallbacks.session(user) else { return 0 }
            let (count, isLast) = unsafe session.nextBody(
                stream, into: UnsafeMutableBufferPointer(start: buffer, count: length))
            if isLast { unsafe flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
            return count
        }
        return unsafe provider
    }

    private static func session(_ user: UnsafeMutableRawPointer?) -> HTTP2Session? {
        unsafe user.map { unsafe Unmanaged<HTTP2Session>.fromOpaque($0).takeUnretainedValue() }
    }
}
