internal import Base
internal import Gateway

/// Accounts in JSON, for the administrator.
enum AccountCodec {
    static func json(of account: Account) -> JSON {
        var object: JSONObject = [
            "id": .string(account.id.text), "name": .string(account.id.text), "kind": .string(account.kind.rawValue),
            "disabled": .bool(account.isDisabled),
        ]
        if let locale = account.locale { object.append("locale", .string(locale)) }
        object.append("created", .timestamp(account.created))
        return .object(object)
    }
}
