internal import Base

/// What Apple's documentation says about the headers and the payload of a push, without any state.
enum APNsRules {
    typealias Refusal = ProviderTokenCheck.Refusal

    static let payloadLimit = 4096
    private static let voipPayloadLimit = 5120

    private static let pushTypes: Set<String> = [
        "alert", "background", "voip", "liveactivity", "location", "widgets", "controls", "complication",
        "fileprovider",
        "pushtotalk", "mdm",
    ]

    /// The device token of `/3/device/<hex>`.
    static func device(of request: PeerRequest) throws(Refusal) -> String {
        guard request.path.hasPrefix("/3/device/") else { throw Refusal(status: 404, reason: "BadPath") }
        guard request.method == "POST" else { throw Refusal(status: 405, reason: "MethodNotAllowed") }
        let device = String(request.path.dropFirst(10))
        if device.isEmpty { throw bad("MissingDeviceToken") }
        guard device.utf8.count % 2 == 0, device.utf8.allSatisfy(isHexadecimal) else { throw bad("BadDeviceToken") }
        return device
    }

    /// Every rule for headers but those about the token and which topics exist.
    static func checkHeaders(_ headers: APNsHeaders) throws(Refusal) {
        if headers.hasDuplicates { throw bad("DuplicateHeaders") }
        if headers.isEncoded { throw bad("BadContentEncoding") }
        guard let type = headers.pushType, pushTypes.contains(type) else { throw bad("InvalidPushType") }
        let priority = headers.priority ?? "10"
        guard priority == "10" || priority == "5" || priority == "1", type != "background" || priority == "5" else {
            throw bad("BadPriority")
        }
        if let expiration = headers.expiration, !isNumber(expiration) { throw bad("BadExpirationDate") }
        if let id = headers.id, !isLowercaseUUID(id) { throw bad("BadMessageId") }
        if let collapse = headers.collapseID, !(1...64).contains(collapse.utf8.count) { throw bad("BadCollapseId") }
        guard let topic = headers.topic, !topic.isEmpty else { throw bad("MissingTopic") }
        if (type == "voip") != topic.hasSuffix(".voip") { throw bad("InvalidPushType") }
    }

    /// Size, JSON and whether the payload is of the type its header says. `BadPayload` for what is no JSON
    /// is this fake's own word; Apple documents none.
    static func payload(_ body: [UInt8], type: String?) throws(Refusal) -> JSON {
        if body.isEmpty { throw bad("PayloadEmpty") }
        if body.count > (type == "voip" ? voipPayloadLimit : payloadLimit) {
            throw Refusal(status: 413, reason: "PayloadTooLarge")
        }
        guard let json = try? JSONParser.parse(body), json.object != nil else { throw bad("BadPayload") }
        if type == "mdm" { return json }
        guard let aps = json["aps"], aps.object != nil else { throw bad("PayloadEmpty") }
        let visible = aps["alert"] != nil || aps["badge"] != nil || aps["sound"] != nil
        let silent = aps["content-available"]?.integer == 1
        switch type {
        case "alert": if !visible { throw bad("InvalidPushType") }
        case "background": if visible || !silent { throw bad("InvalidPushType") }
        default: break
        }
        return json
    }

    static func bad(_ reason: String) -> Refusal { Refusal(status: 400, reason: reason) }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
            || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte)
    }

    static func isNumber(_ text: String) -> Bool {
        (1...19).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    static func isLowercaseUUID(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        guard bytes.count == 36 else { return false }
        for (index, byte) in bytes.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                if byte != UInt8(ascii: "-") { return false }
            } else if !isHexadecimal(byte) || (UInt8(ascii: "A")...UInt8(ascii: "F")).contains(byte) {
                return false
            }
        }
        return true
    }
}

/// The headers Apple defines, found in one pass.
struct APNsHeaders {
    private(set) var authorization: String?
    private(set) var topic: String?
    private(set) var pushType: String?
    private(set) var priority: String?
    private(set) var expiration: String?
    private(set) var id: String?
    private(set) var collapseID: String?
    private(set) var isEncoded = false
    private(set) var hasDuplicates = false

    init(_ headers: HTTPFields) {
        for field in headers.fields {
            // Most names are told from the others by their length.
            switch field.name.utf8.count {
            case 13 where field.name == "authorization": Self.set(&authorization, field.value, &hasDuplicates)
            case 10 where field.name == "apns-topic": Self.set(&topic, field.value, &hasDuplicates)
            case 14 where field.name == "apns-push-type": Self.set(&pushType, field.value, &hasDuplicates)
            case 13 where field.name == "apns-priority": Self.set(&priority, field.value, &hasDuplicates)
            case 15 where field.name == "apns-expiration": Self.set(&expiration, field.value, &hasDuplicates)
            case 7 where field.name == "apns-id": Self.set(&id, field.value, &hasDuplicates)
            case 16 where field.name == "apns-collapse-id": Self.set(&collapseID, field.value, &hasDuplicates)
            case 16 where field.name == "content-encoding": isEncoded = true
            default: break
            }
        }
    }

    private static func set(_ place: inout String?, _ value: String, _ hasDuplicates: inout Bool) {
        if place != nil { hasDuplicates = true }
        place = value
    }
}
