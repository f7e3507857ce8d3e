import Base
import Gateway
import GatewayTestKit
import Testing

@Suite("words, times and names")
struct TextTests {
    private func content(
        _ policy: NotifyPreferences.Summary = .digest, sender: String? = "Bob", subject: String? = "Lunch",
        preview: String? = nil, locale: String? = nil
    ) -> SummaryContent {
        SummaryContent(
            appName: "Mail", policy: policy, sender: sender, subject: subject, preview: preview, locale: locale)
    }

    @Test("SG-10 hint, digest and full; the digest of a burst names its senders; Chinese where wanted")
    func summaries() {
        #expect(SummaryText([content(.hint)]).body == "You have a message")
        #expect(SummaryText([content(.hint)]).title == "Mail")
        #expect(SummaryText([content()]).title == "New message from Bob")
        #expect(SummaryText([content(sender: nil)]).title == "Mail")
        #expect(SummaryText([content(subject: nil)]).body == "You have a message")
        #expect(SummaryText([content(.full, preview: "Noon?")]).body == "Lunch\nNoon?")
        let burst = ["Ann", "Bob", "Ann", "Cid", "Dan"].map { content(sender: $0) }
        #expect(SummaryText(burst).title == "Mail: 5 new messages")
        #expect(SummaryText(burst).body == "Dan, Cid, Ann and others")
        #expect(SummaryText(burst.map { _ in content(.hint) }).body == nil)
        #expect(SummaryText([content(locale: "zh-CN")]).title == "来自Bob的新消息")
        #expect(SummaryText([content(locale: "zh"), content(locale: "zh")]).title == "Mail：2条新消息")
        #expect(SummaryText([]).title == "")
    }

    private func templates(_ notify: String) throws -> NotifyDefaults {
        try ConfigDocument(file: "f.json", text: Array("{\"notify\":\(notify)}".utf8), environment: [:]).read {
            $0.object("notify") { NotifyDefaults($0) } ?? NotifyDefaults()
        }
    }

    @Test("templates of the configuration replace and add phrases; the closest language is spoken")
    func ownTemplates() throws {
        let own = try templates(
            """
            {"locale":"de","templates":{
              "de":{"hint":"Neues in {app}","newFrom":"Neues von {sender}","one":"{app}: eine neue Nachricht",
                    "many":"{app}: {count} neue","andOthers":"{senders} und {count} weitere","separator":" · "},
              "en-GB":{"hint":"Post! {{{app}}}"}}}
            """
        ).templates
        func title(_ contents: [SummaryContent], _ locale: String?) -> SummaryText {
            SummaryText(contents, own, deviceLocale: locale)
        }
        #expect(title([content(.hint)], nil).body == "Neues in Mail")
        #expect(title([content(.hint)], "fr").body == "Neues in Mail")
        #expect(title([content(.hint, locale: "en")], "fr").body == "You have a message")
        #expect(title([content(.hint, locale: "zh")], "en-GB-oed").body == "Post! {Mail}")
        #expect(title([content(locale: "zh")], "de-AT").title == "Neues von Bob")
        #expect(title([content()], "en-GB").title == "New message from Bob")
        let burst = ["Ann", "Bob", "Cid", "Dan", "Eve"].map { content(sender: $0) }
        #expect(title(burst, nil).title == "Mail: 5 neue")
        #expect(title(burst, nil).body == "Eve · Dan · Cid und 2 weitere")
        // What a language lacks is said in the configured one.
        #expect(own.words(["en-GB"]).test == "This is a test notification")
        #expect(own.words(["zh"]).test == "这是一条测试通知")
        #expect(own.words([nil]).test == "This is a test notification")
    }

    @Test("one and many: English has a form of its own for one, Chinese has not")
    func plural() {
        let words = NotifyTemplates()
        #expect(words.words(["en"]).many("Mail", 1) == "Mail: 1 new message")
        #expect(words.words(["en"]).many("Mail", 2) == "Mail: 2 new messages")
        #expect(words.words(["zh"]).many("Mail", 1) == "Mail：1条新消息")
        #expect(words.words(["zh"]).refused("Mail") == "登录被拒绝。请更新密码，以便继续接收通知。")
    }

    @Test("faults of templates are reported where they stand, with the placeholders there are")
    func wrongTemplates() {
        let text =
            #"{"locale":"fr","templates":{"de":{"hint":"{sender}","newFrom":"{sendr}","test":"{","mani":"x"},"?":{}}}"#
        var problems: [String] = []
        do { _ = try templates(text) } catch let error as ConfigError {
            problems = error.problems.map(\.description)
        } catch { Issue.record(error) }
        for expected in [
            "notify.templates.de.hint: unknown placeholder '{sender}'; known here: {app}",
            "notify.templates.de.newFrom: unknown placeholder '{sendr}'; known here: {app}, {sender}; did you mean 'sender'?",
            "notify.templates.de.test: a brace stands alone; write {{ or }} for one that is shown",
            "notify.templates.de.mani: unknown key 'mani'", "notify.templates.?: a name has 1 to 64",
            "notify.locale: there are no templates for 'fr'; there are for de, en, zh",
        ] {
            #expect(problems.contains { $0.contains(expected) }, "\(expected) in \(problems)")
        }
        #expect(problems.contains { $0.hasPrefix("f.json:1:52: notify.templates.de.hint") }, "\(problems)")
    }

    @Test(
        "language tags",
        arguments: [
            ("en", true), ("zh-Hant-TW", true), ("de-x-mine", true), ("", false), ("e", false), ("en-", false),
            ("en--us", false), ("en us", false), ("toolongatag", false), ("en_US", false),
        ]) func tags(tag: String, isGood: Bool)
    { #expect(LocaleTag.isTag(tag) == isGood) }

    @Test("a tag and what it is a kind of") func chains() {
        #expect(LocaleTag.chain("zh-Hant-TW") == ["zh-hant-tw", "zh-hant", "zh"])
        #expect(LocaleTag.chain("de-x-mine") == ["de-x-mine", "de"])
    }

    @Test("SG-10 what is too long is cut between whole characters, within the limit")
    func cutting() {
        #expect("abc".cut(to: 3) == "abc")
        #expect("abcdef".cut(to: 5) == "ab…")
        #expect("中文中文".cut(to: 9) == "中文…")
        let family = "👨‍👩‍👧‍👦"
        #expect((family + family).cut(to: family.utf8.count + 3) == family + "…")
        #expect((family + family).cut(to: family.utf8.count + 2) == "…")
        #expect("abcdef".cut(to: 2) == "")
        let text = SummaryText([
            content(sender: String(repeating: "é", count: 500), subject: String(repeating: "界", count: 5000))
        ])
        #expect(text.title.utf8.count <= SummaryText.titleLimit)
        #expect((text.body?.utf8.count ?? 0) <= SummaryText.bodyLimit)
    }

    private func time(_ text: String) throws -> Timestamp { try #require(Timestamp(text)) }

    @Test(
        "quiet hours end when the clock on the wall says so: over midnight and when the clocks change",
        arguments: [
            ("22:00", "07:00", "Europe/Berlin", "2026-11-21T23:30:00+01:00", "2026-11-22T07:00:00+01:00"),
            ("22:00", "07:00", "Europe/Berlin", "2026-11-21T06:59:59+01:00", "2026-11-21T07:00:00+01:00"),
            ("22:00", "07:00", "Europe/Berlin", "2026-11-21T07:00:00+01:00", ""),
            ("22:00", "07:00", "Europe/Berlin", "2026-11-21T21:59:59+01:00", ""),
            ("12:00", "13:00", "UTC", "2026-11-21T12:00:00Z", "2026-11-21T13:00:00Z"),
            // One hour less in the night to 29 March, one more in that to 25 October.
            ("22:00", "07:00", "Europe/Berlin", "2026-03-28T23:00:00+01:00", "2026-03-29T07:00:00+02:00"),
            ("22:00", "07:00", "Europe/Berlin", "2026-10-24T23:00:00+02:00", "2026-10-25T07:00:00+01:00"),
            // 02:30 does not exist that night.
            ("22:00", "02:30", "Europe/Berlin", "2026-03-29T01:00:00+01:00", "2026-03-29T03:30:00+02:00"),
            ("22:00", "02:30", "Europe/Berlin", "2026-03-29T01:45:00+01:00", "2026-03-29T03:30:00+02:00"),
            ("22:00", "07:00", "Asia/Kathmandu", "2026-11-21T23:00:00+05:45", "2026-11-22T07:00:00+05:45"),
        ])
    func quietHours(from: String, to: String, zone: String, now: String, end: String) throws {
        let json: JSON = ["from": .string(from), "to": .string(to), "timeZone": .string(zone)]
        let quiet = try NotifyPreferences.QuietHours(json: json)
        #expect(quiet.end(at: try time(now)) == (end.isEmpty ? nil : try time(end)))
    }

    @Test("in no minute of a year do quiet hours end in the past or stay quiet for ever")
    func quietHoursAlwaysEnd() throws {
        for (from, to) in [(1320, 150), (120, 180), (150, 170), (1, 0)] {
            let quiet = NotifyPreferences.QuietHours(fromMinute: from, toMinute: to, timeZone: "Europe/Berlin")
            var now = try time("2026-01-01T00:00:00Z")
            while now < (try time("2027-01-01T00:00:00Z")) {
                if let end = quiet.end(at: now) {
                    #expect(end > now && end - now <= .seconds(26 * 3600))
                }
                now = now + .seconds(637)
            }
        }
    }

    @Test("message ids and queue addresses read what they write, and nothing else")
    func names() {
        for key in [MessageKey(queue: 1, seq: 1), MessageKey(queue: 35, seq: 36), MessageKey(queue: .max, seq: .max)] {
            #expect(MessageKey(key.description) == key)
        }
        for text in [
            "", "m", "m1", "m1-", "m-1", "m0-1", "m1-0", "m01-1", "M1-1", "m1-1-1", "m1--1", "m+1-1", "x1-1", "m1-1 ",
            "mA-1",
        ] {
            #expect(MessageKey(text) == nil, "\(text)")
        }
        for text in ["account/alice", "device/dev_1", "app/oa", "account/a/b"] {
            #expect(QueueAddress(text)?.description == text)
        }
        for text in ["", "alice", "account/", "user/alice", "/alice"] { #expect(QueueAddress(text) == nil, "\(text)") }
    }

    @Test("a tap token names its message and device, and a forged or foreign one nothing")
    func taps() throws {
        let identities = Identities(security: FakeSecurity())
        let key = MessageKey(queue: 7, seq: 9)
        let tap = identities.tap(key, "dev_1")
        let read = try #require(identities.read(tap: tap))
        #expect(read.message == key && read.device == "dev_1")
        #expect(identities.tap(key, "dev_2") != tap)
        for index in tap.indices {
            var forged = tap
            forged.replaceSubrange(index...index, with: tap[index] == "A" ? "B" : "A")
            #expect(identities.read(tap: forged) == nil || forged == tap)
        }
        #expect(Identities(security: FakeSecurity(key: "other")).read(tap: tap) == nil)
        #expect(identities.read(tap: "") == nil && identities.read(tap: String(repeating: "A", count: 600)) == nil)
        #expect(identities.notification(key, "dev_1") == identities.notification(key, "dev_1"))
        #expect(identities.notification(key, "dev_1") != identities.notification(key, "dev_2"))
        let uuid = identities.notification(key, "dev_1").text
        #expect(uuid.count == 36 && Array(uuid)[14] == "8" && "89ab".contains(Array(uuid)[19]))
        // Push services see the id: nothing of it proves a tap.
        let seen = try #require([UInt8](hexadecimal: uuid.filter { $0 != "-" }))
        let proof = try #require([UInt8](base64URL: tap)).prefix(16)
        #expect(proof.prefix(6) != seen.prefix(6) && proof.suffix(6) != seen.suffix(6))
        let (token, hash) = identities.makeToken()
        #expect(identities.tokenHash(token) == hash && identities.makeToken().token != token)
    }

    @Test(
        "preferences read what they write",
        arguments: [
            #"{}"#, #"{"summary":"full","targets":"all","groupSeconds":0}"#, #"{"targets":["d1","d2"]}"#,
            #"{"targets":{"escalate":["d1"],"afterSeconds":5}}"#, #"{"targets":"latest"}"#,
            #"{"quietHours":{"from":"22:00","to":"07:05","timeZone":"Europe/Berlin"}}"#,
        ])
    func preferences(text: String) throws {
        let preferences = try NotifyPreferences(json: try JSONParser.parse(Array(text.utf8)))
        #expect(String(decoding: preferences.json.serializedBytes, as: UTF8.self) == text)
        #expect(try NotifyPreferences(json: preferences.json) == preferences)
    }

    @Test(
        "wrong preferences name the field",
        arguments: [
            (#"[]"#, "notify"), (#"{"summary":"long"}"#, "notify.summary"), (#"{"sumary":"full"}"#, "notify.sumary"),
            (#"{"targets":"some"}"#, "notify.targets"), (#"{"targets":[1]}"#, "notify.targets"),
            (#"{"targets":{"afterSeconds":60}}"#, "notify.targets"),
            (#"{"targets":{"escalate":[],"afterSeconds":1}}"#, "notify.targets.afterSeconds"),
            (#"{"groupSeconds":-1}"#, "notify.groupSeconds"),
            (#"{"quietHours":{"from":"24:00","to":"07:00","timeZone":"UTC"}}"#, "quietHours"),
            (#"{"quietHours":{"from":"7:00","to":"07:00","timeZone":"UTC"}}"#, "quietHours"),
            (#"{"quietHours":{"from":"07:00","to":"07:00","timeZone":"UTC"}}"#, "quietHours"),
            (#"{"quietHours":{"from":"22:00","to":"07:00","timeZone":"Mars/Base"}}"#, "quietHours.timeZone"),
        ])
    func wrongPreferences(text: String, field: String) throws {
        let json = try JSONParser.parse(Array(text.utf8))
        let error = #expect(throws: GatewayError.self) { _ = try NotifyPreferences(json: json) }
        #expect(error?.field == field)
        #expect(error?.code == .invalidField)
    }
}
