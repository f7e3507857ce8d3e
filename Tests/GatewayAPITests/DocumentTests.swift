import Base
import GatewayTestKit
import Testing

@testable import GatewayAPI

@Suite struct DocumentTests {
    private static let document = OpenAPI.document(publicURL: "https://farbell.example", version: "1.2.3")

    @Test("Every route stands in the document, and nothing else does") func completeness() async throws {
        try await TestAPI.run { api in
            var documented: [String] = []
            for path in Self.document["paths"]?.object?.members ?? [] {
                for method in path.value.object?.keys ?? [] { documented.append("\(method.uppercased()) \(path.key)") }
            }
            #expect(documented.sorted() == api.handler.routes.sorted())
            #expect(documented.count > 40)
        }
    }

    @Test("The document is OpenAPI 3.1 with unique operations, and all its references lead somewhere") func references()
    {
        #expect(Self.document["openapi"]?.string == "3.1.0")
        let checker = SchemaCheck(Self.document)
        var ids: [String] = []
        var references: Set<String> = []
        func walk(_ json: JSON) {
            for member in json.object?.members ?? [] {
                if member.key == "operationId", let id = member.value.string { ids.append(id) }
                if member.key == "$ref", let reference = member.value.string { references.insert(reference) }
                walk(member.value)
            }
            for item in json.array ?? [] { walk(item) }
        }
        walk(Self.document)
        #expect(Set(ids).count == ids.count)
        #expect(references.count > 30)
        for reference in references { #expect(checker.resolve(reference) != nil, "\(reference)") }
        // A schema nobody refers to is one that was forgotten.
        for name in Self.document["components"]?["schemas"]?.object?.keys ?? [] {
            #expect(references.contains("#/components/schemas/\(name)"), "\(name) is not used")
        }
    }

    @Test("The schemas' validator finds what does not fit") func validator() throws {
        let checker = SchemaCheck(["schemas": ["Name": ["type": "string"]]])
        let schema: JSON = [
            "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": [
                "a": ["type": "integer", "minimum": 1, "maximum": 3], "b": ["type": ["string", "null"]],
                "c": [
                    "oneOf": [
                        ["type": "string", "enum": ["x"]], ["type": "array", "items": ["$ref": "#/schemas/Name"]],
                    ]
                ],
                "d": ["type": "string", "format": "date-time"], "e": ["const": "url"],
            ],
        ]
        for good in [
            #"{"a":1}"#, #"{"a":3,"b":null,"c":"x"}"#, #"{"a":2,"c":["y"],"d":"2026-11-21T08:00:00.000Z","e":"url"}"#,
        ] {
            #expect(checker.faults(try JSONParser.parse(good), schema) == [], "\(good)")
        }
        for bad in [
            "{}", "[]", #"{"a":"1"}"#, #"{"a":1.5}"#, #"{"a":4}"#, #"{"a":1,"z":1}"#, #"{"a":1,"b":1}"#,
            #"{"a":1,"c":"y"}"#,
            #"{"a":1,"c":[1]}"#, #"{"a":1,"d":"2026-11-21T08:00:00Z"}"#, #"{"a":1,"e":"file"}"#,
        ] {
            #expect(checker.faults(try JSONParser.parse(bad), schema) != [], "\(bad)")
        }
        #expect(checker.faults("x", ["pattern": "y"]) != [])
    }
}
