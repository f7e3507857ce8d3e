import Base
import Gateway
import GatewayTestKit
import Testing

@testable import GatewayAPI

@Suite(.timeLimit(.minutes(2))) struct PortalTests {
    // MARK: Files

    private static let paths =
        ["/", "/l/some-tap", "/service-worker.js", "/manifest.webmanifest"]
        + PortalFiles.assets.keys.sorted().map { "/portal/\($0)" }

    @Test("The portal's files forbid everything from elsewhere, and script and style inside the page") func headers()
        async throws
    {
        try await TestAPI.run { api in
            for path in Self.paths {
                let reply = try await api.call("GET", path)
                #expect(reply.status == 200 && !reply.body.isEmpty, "\(path)")
                let policy = reply.headers["Content-Security-Policy"] ?? ""
                let parts = policy.split(separator: ";").map { String($0).trimmingSpace }
                #expect(parts.contains("default-src 'none'") && parts.contains("script-src 'self'"), "\(path)")
                #expect(parts.contains("style-src 'self'") && parts.contains("connect-src 'self'"))
                for part in [
                    "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
                    "require-trusted-types-for 'script'",
                ] {
                    #expect(parts.contains(part), "\(path): \(part)")
                }
                #expect(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("*"))
                #expect(reply.headers["X-Content-Type-Options"] == "nosniff")
                #expect(reply.headers["Referrer-Policy"] == "no-referrer")
                #expect(reply.headers["X-Frame-Options"] == "DENY")
                #expect(reply.headers["Cross-Origin-Opener-Policy"] == "same-origin")
                #expect(reply.headers["Set-Cookie"] == nil)
            }
        }
    }

    @Test("IM-3 the page may send files where the configuration says, and to no other place; its session names it")
    func files() async throws {
        try await TestAPI.run { api in
            let browser = try await api.browser()
            func page(_ path: String) async throws -> String? {
                try await api.call("GET", path).headers["Content-Security-Policy"]
            }
            let plain = try #require(try await page("/"))
            #expect(plain.contains("connect-src 'self';"))
            #expect(try await api.call("GET", "/v1/portal/session", headers: browser.headers)["files"] == nil)
            api.place(files: "https://files.example:8443/of/farbell")
            for path in ["/", "/l/some-tap"] {
                let policy = try #require(try await page(path))
                #expect(policy.contains("connect-src 'self' https://files.example:8443;"), "\(policy)")
                #expect(policy.replacing(" https://files.example:8443", with: "") == plain)
            }
            #expect(try await page("/service-worker.js") == plain)
            let session = try await api.call("GET", "/v1/portal/session", headers: browser.headers)
            #expect(session["files"]?["url"] == "https://files.example:8443/of/farbell")
            #expect(session["files"]?["maxBytes"] == .integer(100 << 20))
        }
    }

    @Test("The page has no script or style of its own, loads from here only, and is the same for every tap")
    func page() async throws {
        try await TestAPI.run { api in
            let page = try await api.call("GET", "/")
            #expect(page.contentType == "text/html; charset=utf-8")
            for word in ["style=", "<style", "onclick", "onload", "javascript:", "http:", "https:", "//"] {
                #expect(!page.text.contains(word), "\(word)")
            }
            #expect(page.text.components("<script") == 1 && page.text.contains("></script>"))
            let tapped = try await api.call("GET", "/l/some-tap")
            #expect(tapped.body == page.body && !tapped.text.contains("some-tap"))
        }
    }

    @Test("What the page, its scripts and its manifest ask for is there") func references() async throws {
        try await TestAPI.run { api in
            var wanted: Set<String> = []
            for path in Self.paths where !path.hasSuffix("png") {
                let text = try await api.call("GET", path).text
                for quote in ["\"", "'"] {
                    for part in text.split(separator: Character(quote), omittingEmptySubsequences: false) {
                        if part.hasPrefix("/portal/"), !part.contains(" "), part.utf8.count > 8 {
                            wanted.insert(String(part))
                        }
                        if part.hasPrefix("./"), part.hasSuffix(".js") { wanted.insert("/portal/\(part.dropFirst(2))") }
                    }
                }
            }
            #expect(wanted.count > 15)
            for path in wanted { #expect(try await api.call("GET", path).status == 200, "\(path)") }
            let manifest = try await api.call("GET", "/manifest.webmanifest").json
            #expect(manifest["start_url"]?.string == "/" && manifest["display"]?.string == "standalone")
            #expect(try await api.call("GET", "/portal/none.js").status == 404)
            #expect(try await api.call("GET", "/portal/..%2Findex.html").status == 404)
        }
    }

    @Test("A file that did not change is 304 without a body") func tags() async throws {
        try await TestAPI.run { api in
            let first = try await api.call("GET", "/portal/app.js")
            let tag = try #require(first.headers["ETag"])
            for known in [tag, "W/\(tag)", "\"x\", \(tag)"] {
                let again = try await api.call("GET", "/portal/app.js", headers: ["If-None-Match": known])
                #expect(again.status == 304 && again.body.isEmpty && again.headers["ETag"] == tag)
            }
            #expect(try await api.call("GET", "/portal/app.js", headers: ["If-None-Match": "\"x\""]).status == 200)
            #expect(try await api.call("GET", "/portal/api.js").headers["ETag"] != tag)
        }
    }

    @Test("Both languages have the same words") func words() async throws {
        try await TestAPI.run { api in
            func names(_ path: String) async throws -> [String] {
                try await api.call("GET", path).text.split(separator: "\n").compactMap { line in
                    let parts = line.split(separator: "\"")
                    return line.hasPrefix("  \"") && parts.count > 2 ? String(parts[1]) : nil
                }
            }
            let english = try await names("/portal/words-en.js")
            #expect(english.count > 100)
            #expect(try await names("/portal/words-zh.js") == english)
        }
    }

    // MARK: Session

    private func logIn(_ api: TestAPI, _ body: JSON, headers: HTTPFields = [:]) async throws -> Reply {
        var headers = headers
        if headers["Content-Type"] == nil { headers["Content-Type"] = "application/json" }
        return try await api.call("POST", "/v1/portal/session", headers: headers, body)
    }

    @Test("MN-5 MN-6 Signing in puts the token into a cookie that no script can read, and nowhere else") func cookie()
        async throws
    {
        try await TestAPI.run { api in
            try await api.test.account("alice")
            let reply = try await logIn(api, TestAPI.portalLogin("alice", "browser"))
            #expect(reply.status == 201 && reply.headers["Cache-Control"] == "no-store")
            let parts = try #require(reply.headers["Set-Cookie"]).split(separator: ";").map { String($0).trimmingSpace }
            #expect(parts[0].hasPrefix("__Host-farbell=fbd_"))
            #expect(Set(parts.dropFirst()) == ["Max-Age=34560000", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"])
            let token = parts[0].dropFirst("__Host-farbell=".utf8.count)
            #expect(!reply.text.contains(token) && !reply.text.contains("fbd_"))
            let device = try #require(api.gateway.devices.device(DeviceID(reply["device"]?.string ?? "")))
            #expect((device.platform, device.locale) == ("web", "zh-CN"))
            // The same browser again is the same device; the old cookie is of no use any more.
            let again = try await logIn(api, TestAPI.portalLogin("alice", "browser"))
            #expect((again.status, again["device"]) == (200, reply["device"]))
            let old = try await api.call("GET", "/v1/portal/session", headers: ["Cookie": parts[0]])
            #expect(old.status == 204 && old.headers["Set-Cookie"]?.contains("Max-Age=0") == true)
        }
    }

    @Test("A refused log-in is 401 without what makes a browser ask for itself; many are 429") func refused()
        async throws
    {
        var parts = TestGateway.Parts()
        parts.limits.refusedLogins = 3
        try await TestAPI.run(parts) { api in
            try await api.test.account("alice")
            let wrong = TestAPI.portalLogin("alice", password: "wrong", "browser")
            for _ in 0..<3 {
                let reply = try await logIn(api, wrong)
                #expect((reply.status, reply.code) == (401, "bad_credentials"))
                #expect(reply.headers["WWW-Authenticate"] == nil && reply.headers["Set-Cookie"] == nil)
            }
            #expect(try await logIn(api, wrong).status == 429)
        }
    }

    @Test("Another site's page cannot sign a browser in: neither by a form nor by a script") func loginForgery()
        async throws
    {
        try await TestAPI.run { api in
            try await api.test.account("alice")
            let body = TestAPI.portalLogin("alice", "browser")
            for type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
                let reply = try await logIn(api, body, headers: ["Content-Type": type])
                #expect((reply.status, reply.code) == (415, "unsupported_media_type"))
            }
            for headers: HTTPFields in [
                ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"], ["Origin": "https://evil.example"],
                ["Origin": "null"], ["Origin": "http://farbell.example"],
            ] {
                let reply = try await logIn(api, body, headers: headers)
                #expect((reply.status, reply.code) == (403, "cross_site"), "\(headers.fields)")
            }
            for headers: HTTPFields in [
                ["Sec-Fetch-Site": "same-origin"], ["Origin": "https://farbell.example"],
                ["Origin": "http://127.0.0.1:8440", "Host": "127.0.0.1:8440"],
            ] {
                #expect([200, 201].contains(try await logIn(api, body, headers: headers).status), "\(headers.fields)")
            }
        }
    }

    @Test("The cookie opens what the token opens; a change needs the proof too") func proof() async throws {
        try await TestAPI.run { api in
            let (browser, other) = (try await api.browser(), try await api.browser("bob"))
            let cookie: HTTPFields = ["Cookie": "a=b; \(browser.cookie); c=d"]
            #expect(try await api.call("GET", "/v1/devices", headers: cookie).items.count == 1)
            let path = "/v1/devices/\(browser.id)"
            let change: JSON = ["name": "Mine"]
            for proof in [nil, "", "x", other.proof] {
                var headers = cookie
                headers["Farbell-CSRF"] = proof
                let reply = try await api.call("PATCH", path, headers: headers, change)
                #expect((reply.status, reply.code) == (403, "csrf"), "\(proof ?? "none")")
            }
            for site in ["cross-site", "same-site"] {
                for (method, body) in [("PATCH", change), ("GET", nil)] as [(String, JSON?)] {
                    var headers = browser.headers
                    headers["Sec-Fetch-Site"] = site
                    let reply = try await api.call(method, path, headers: headers, body)
                    #expect((reply.status, reply.code) == (403, "cross_site"))
                }
            }
            var foreign: HTTPFields = ["Cookie": browser.cookie, "Farbell-CSRF": browser.proof]
            foreign["Origin"] = "https://evil.example"
            #expect(try await api.call("PATCH", path, headers: foreign, change).status == 403)
            #expect(try await api.call("PATCH", path, headers: browser.headers, change)["name"]?.string == "Mine")
            // Another's device stays another's.
            let stolen = try await api.call("PATCH", "/v1/devices/\(other.id)", headers: browser.headers, change)
            #expect(stolen.status == 403)
        }
    }

    @Test("A token in the header is not helped by a cookie, and the cookie opens nothing of the administrator's")
    func precedence() async throws {
        try await TestAPI.run { api in
            let browser = try await api.browser()
            let wrong = try await api.call("GET", "/v1/devices", token: "wrong", headers: browser.headers)
            #expect(wrong.status == 401)
            let basic = try await api.call(
                "GET", "/v1/devices", basic: ("alice", TestAPI.password), headers: browser.headers)
            #expect(basic.status == 401)
            #expect(try await api.call("GET", "/v1/admin/accounts", headers: browser.headers).status == 401)
            let none = try await api.call("GET", "/v1/devices", headers: ["Cookie": "__Host-farbell="])
            #expect((none.status, none.code) == (401, "bad_token"))
        }
    }

    @Test("The page learns who is signed in, and hears the stream with the cookie") func stream() async throws {
        try await TestAPI.run { api in
            let browser = try await api.browser()
            let session = try await api.call("GET", "/v1/portal/session", headers: browser.headers)
            #expect(session["account"]?.string == "alice" && session["csrf"]?.string == browser.proof)
            #expect(session.headers["Cache-Control"] == "no-store")
            let reply = try await api.call("GET", "/v1/stream", headers: ["Cookie": browser.cookie])
            let reader = EventReader(try #require(reply.stream))
            #expect(try await reader.first("hello").data["device"]?.string == browser.id)
            let refused = try await api.call(
                "GET", "/v1/stream", headers: ["Cookie": browser.cookie, "Sec-Fetch-Site": "cross-site"])
            #expect(refused.status == 403)
        }
    }

    @Test("Signing out ends this device; everywhere ends all of the account's, and no other's") func signOut()
        async throws
    {
        try await TestAPI.run { api in
            let (first, second) = (try await api.browser(), try await api.browser("alice", "second"))
            let (phone, bob) = (try await api.device(), try await api.browser("bob"))
            let gone = try await api.call("DELETE", "/v1/portal/session", headers: first.headers)
            #expect(gone.status == 204 && gone.headers["Set-Cookie"]?.hasPrefix("__Host-farbell=;") == true)
            #expect(try await api.call("GET", "/v1/devices", headers: first.headers).status == 401)
            #expect(try await api.call("GET", "/v1/devices", headers: second.headers).items.count == 2)
            // Without the proof nobody is signed out.
            let forged = try await api.call(
                "DELETE", "/v1/portal/session?everywhere=true", headers: ["Cookie": second.cookie])
            #expect(forged.status == 403)
            let all = try await api.call("DELETE", "/v1/portal/session?everywhere=true", headers: second.headers)
            #expect(all.status == 204)
            #expect(try await api.call("GET", "/v1/devices", token: phone.token).status == 401)
            #expect(api.gateway.devices.devices(of: "alice").isEmpty)
            #expect(try await api.call("GET", "/v1/devices", headers: bob.headers).items.count == 1)
        }
    }

    @Test("No log line shows a cookie, a proof or a password") func secrecy() async throws {
        var parts = TestGateway.Parts()
        parts.level = .debug
        try await TestAPI.run(parts) { api in
            let browser = try await api.browser()
            _ = try await api.call("GET", "/v1/devices", headers: browser.headers)
            _ = try await api.call("GET", "/v1/devices", headers: ["Cookie": "__Host-farbell=fbd_wrong"])
            _ = try await api.call("GET", "/l/some-tap")
            #expect(!api.test.log.records(of: "http.answered").isEmpty)
            for record in api.test.log.records {
                let line = "\(record.event) \(record.message) \(record.fields.pairs)"
                for secret in [browser.cookie, browser.proof, TestAPI.password, "fbd_wrong", "some-tap"] {
                    #expect(!line.contains(secret), "\(record.event)")
                }
            }
        }
    }
}

extension String {
    /// How often a text stands in it.
    fileprivate func components(_ text: String) -> Int { ranges(of: text).count }
}
