package import Base
package enum OpenAPI { package static func document(publicURL: String, version: String) -> JSON { [:] } }
