internal import CExpat

/// Reads XML as it arrives: push bytes, get events. For what a peer sends that may mean harm: document type
/// declarations are refused (so no entities but the five of XML), and everything has a limit.
///
/// Character sets: UTF-8, UTF-16, ISO-8859-1 and US-ASCII by expat; those of one or two bytes a character (the
/// windows and ISO-8859 families, KOI8, GBK, Big5, Shift JIS, EUC-KR) by iconv. Not stateful ones (ISO-2022).
///
/// Confined to one task: it is not Sendable. Not to be used again after it threw.
@safe package final class XMLReader {
    /// Bytes that expat gets at a time: how far past a limit it may read.
    static let chunkBytes = 16 << 10

    private let parser: OpaquePointer
    private var state: ReaderState
    /// Bytes pushed to expat.
    private var total = 0
    /// Where the token that expat has not finished began.
    private var settled = 0
    private var isStopped = false

    /// A reader for one document.
    /// - Parameter encoding: the character set when the transport knows it (HTTP's `charset`), which goes before
    ///   the declaration's; nil to go by the declaration.
    package convenience init(limits: XMLLimits, encoding: String? = nil) throws(XMLError) {
        try self.init(limits: limits, encoding: encoding, stopsAfterRoot: false)
    }

    init(limits: XMLLimits, encoding: String?, stopsAfterRoot: Bool) throws(XMLError) {
        // Namespace URIs hold no line end: expat refuses those that do.
        guard let parser = unsafe XML_ParserCreateNS(encoding, CChar(UInt8(ascii: "\n"))) else {
            throw XMLError(.libraryFailure, "no memory for an XML reader")
        }
        unsafe self.parser = parser
        state = ReaderState(limits: limits, stopsAfterRoot: stopsAfterRoot)
        installHandlers()
    }

    deinit { unsafe XML_ParserFree(parser) }

    /// Takes the next bytes, cut anywhere, and returns what they complete. What was complete in front of a fault in
    /// the same push is not returned: keep pushes small where it matters.
    package func push(_ bytes: some Sequence<UInt8>) throws(XMLError) -> [XMLEvent] {
        try push(Array(bytes)[...]).events
    }

    /// Says that no more bytes come.
    /// - Throws: `unfinished` when the root element has not ended.
    package func finish() throws(XMLError) -> [XMLEvent] {
        try parse([], isLast: true)
        return state.takeEvents()
    }

    /// The same as `push`, and how many of the bytes belong to this document.
    func push(_ bytes: ArraySlice<UInt8>) throws(XMLError) -> (events: [XMLEvent], used: Int) {
        let before = total
        var rest = bytes
        while !rest.isEmpty && state.rootEnd == nil {
            try parse(rest.prefix(Self.chunkBytes), isLast: false)
            rest = rest.dropFirst(Self.chunkBytes)
        }
        return (state.takeEvents(), (state.rootEnd ?? total) - before)
    }

    private func parse(_ chunk: ArraySlice<UInt8>, isLast: Bool) throws(XMLError) {
        guard !isStopped else { throw XMLError(.stopped, "the reader has stopped") }
        total += chunk.count
        let status = unsafe chunk.withUnsafeBytes { buffer in
            unsafe XML_Parse(
                parser, buffer.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(buffer.count), isLast ? 1 : 0)
        }
        if let fault = faultOfCall(failed: status == XML_STATUS_ERROR) {
            isStopped = true
            throw fault
        }
        if isLast { isStopped = true }
    }

    private func faultOfCall(failed: Bool) -> XMLError? {
        if let code = state.fault { return fault(code) }
        // Stopping at the root's end is a failure, too, in expat's eyes.
        if failed && state.rootEnd == nil { return libraryFault() }
        let index = Int(unsafe XML_GetCurrentByteIndex(parser))
        if index >= 0 { settled = index }
        return state.faultOfLength(total: total, settled: settled).map(fault)
    }

    private func fault(_ code: XMLError.Code) -> XMLError { XMLError(code, code.sentence, at: position) }

    private func libraryFault() -> XMLError {
        let code = unsafe XML_GetErrorCode(parser)
        let text = unsafe XML_ErrorString(code).map { unsafe String(cString: $0) } ?? "unknown error"
        return switch code {
        case XML_ERROR_NO_MEMORY: XMLError(.libraryFailure, text)
        case XML_ERROR_UNKNOWN_ENCODING, XML_ERROR_INCORRECT_ENCODING: XMLError(.unknownEncoding, text, at: position)
        case XML_ERROR_NO_ELEMENTS, XML_ERROR_UNCLOSED_TOKEN, XML_ERROR_UNCLOSED_CDATA_SECTION, XML_ERROR_PARTIAL_CHAR:
            XMLError(.unfinished, text, at: position)
        default: XMLError(.malformed, text, at: position)
        }
    }

    private var position: XMLError.Position {
        XMLError.Position(
            line: Int(unsafe XML_GetCurrentLineNumber(parser)),
            column: Int(unsafe XML_GetCurrentColumnNumber(parser)) + 1,
            byte: max(0, Int(unsafe XML_GetCurrentByteIndex(parser))))
    }

    // MARK: Callbacks. expat calls them only within XML_Parse, which `self` outlives.

    private func installHandlers() {
        unsafe XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
        unsafe XML_SetReturnNSTriplet(parser, 1)
        unsafe cexpat_report_at_once(parser)
        unsafe XML_SetElementHandler(
            parser, { unsafe XMLReader.of($0)?.started($1, $2) }, { data, _ in unsafe XMLReader.of(data)?.ended() })
        unsafe XML_SetCharacterDataHandler(parser) { data, text, count in
            guard let text = unsafe text else { return }
            let bytes = unsafe UnsafeRawBufferPointer(start: text, count: Int(count))
            unsafe XMLReader.of(data)?.handle { unsafe $0.text(String(decoding: bytes, as: UTF8.self), at: $1) }
        }
        unsafe XML_SetStartDoctypeDeclHandler(parser) { data, _, _, _, _ in
            unsafe XMLReader.of(data)?.handle { state, _ in state.fail(.doctypeRefused) }
        }
        unsafe XML_SetNamespaceDeclHandler(
            parser,
            { data, prefix, _ in
                guard let prefix = unsafe prefix else { return }
                let name = unsafe String(cString: prefix)
                unsafe XMLReader.of(data)?.handle { state, _ in state.prefix(name) }
            }, nil)
        unsafe XML_SetUnknownEncodingHandler(
            parser, { unsafe cexpat_unknown_encoding($0, $1, $2) }, nil)
    }

    private static func of(_ data: UnsafeMutableRawPointer?) -> XMLReader? {
        unsafe data.map { unsafe Unmanaged<XMLReader>.fromOpaque($0).takeUnretainedValue() }
    }

    /// Runs `body` unless something was refused already, and stops expat when it refuses.
    private func handle(_ body: (inout ReaderState, Int) -> Void) {
        guard !state.isOver else { return }
        body(&state, Int(unsafe XML_GetCurrentByteIndex(parser)))
        if state.isOver { unsafe XML_StopParser(parser, 0) }
    }

    private func started(_ name: UnsafePointer<CChar>?, _ list: UnsafeMutablePointer<UnsafePointer<CChar>?>?) {
        guard let name = unsafe name, let list = unsafe list else { return }
        handle { state, place in
            guard let name = state.name(unsafe String(cString: name)) else { return }
            var attributes: [XMLAttribute] = []
            var index = 0
            while let key = unsafe list[index], let value = unsafe list[index + 1] {
                guard attributes.count < state.limits.attributes else { return state.fail(.tooManyAttributes) }
                guard let key = state.name(unsafe String(cString: key)) else { return }
                attributes.append(XMLAttribute(key, unsafe String(cString: value)))
                index += 2
            }
            state.start(name, attributes, at: place)
        }
    }

    private func ended() {
        let width = Int(unsafe XML_GetCurrentByteCount(parser))
        handle { state, place in state.end(at: place + width) }
    }
}
