import Base
import Gateway
import GatewayTestKit
import Testing

private struct MonitorKind: MonitorPlugin {
    let kind = "scripted"
    func configure(app: AppID, _ reader: ConfigReader, _ context: PluginContext) -> (any Monitor)? {
        ScriptedMonitor(upstream: reader.string("server"))
    }
}

private struct PushKind: PushPlugin {
    let kind = "recording"
    func configure(name: String, _ reader: ConfigReader, _ context: PluginContext) -> (any PushAdapter)? {
        RecordingPushAdapter(concurrency: reader.integer("concurrency", in: 1...10, default: 2))
    }
}

private struct FarmKind: FarmPlugin {
    let kind = "recording"
    func configure(farm: FarmID, _ reader: ConfigReader, _ context: PluginContext) -> (any Farm)? { RecordingFarm() }
}

@Suite("the core's part of the configuration")
struct ConfigurationTests {
    private func read(_ text: String) throws(ConfigError) -> GatewayConfiguration {
        let plugins = PluginCatalog(monitors: [MonitorKind()], pushes: [PushKind()], farms: [FarmKind()])
        let context = PluginContext(transport: NoTransport(), time: ManualTime(), log: Log(sink: NullLogSink()))
        return try ConfigDocument(file: "f.json", text: Array(text.utf8), environment: [:]).read {
            GatewayConfiguration($0, plugins: plugins, context: context)
        }
    }

    private func problems(_ text: String) -> [String] {
        do throws(ConfigError) {
            _ = try read(text)
            return []
        } catch {
            return error.problems.map(\.description)
        }
    }

    @Test("SG-16 apps, monitors, farms and push services are put together by name; everything has a default")
    func complete() throws {
        let configuration = try read(
            """
            {"farms":{"f":{"kind":"recording"}},"push":{"p":{"kind":"recording","concurrency":3}},
             "apps":{"mail":{"name":"Mail","farm":"f","monitor":{"kind":"scripted","server":"s:1"}},"desk":{"farm":"f"},"talk":{}},
             "notify":{"summary":"hint","targets":{"escalate":[],"afterSeconds":30},"ackSeconds":5,"groupSeconds":0,
                       "holdSeconds":3,"itemTTLSeconds":60,"escalateSeconds":90,"devicePerMinute":7,"quietHours":{"from":"22:00","to":"06:00","timeZone":"UTC"}},
             "limits":{"queueMessages":7}}
            """)
        #expect(configuration.apps.map(\.id) == ["mail", "desk", "talk"])
        #expect(configuration.apps[0].monitor?.upstream == "s:1")
        #expect(configuration.apps[0].monitorKind == "scripted")
        #expect(configuration.apps[1].name == "desk")
        #expect(configuration.apps[1].launch != nil && configuration.apps[2].launch == nil)
        #expect(configuration.pushes.map(\.name) == ["p"] && configuration.pushes[0].adapter.concurrency == 3)
        #expect(configuration.notify.ack == .seconds(5) && configuration.notify.hold == .seconds(3))
        #expect(configuration.notify.targets == .escalate([], after: .seconds(30)))
        #expect(configuration.notify.itemTTL == .seconds(60))
        #expect(configuration.notify.escalation == .seconds(90) && configuration.notify.devicePerMinute == 7)
        #expect(configuration.limits.queueMessages == 7)
        let empty = try read("{}")
        #expect(empty.notify == NotifyDefaults() && empty.limits == Limits() && empty.apps.isEmpty)
    }

    @Test("what is common to all push services is read by the core: concurrency and rate")
    func pushCommons() throws {
        let pushes = try read(
            #"{"push":{"a":{"kind":"recording","concurrency":7,"ratePerSecond":2.5},"b":{"kind":"recording"}}}"#
        ).pushes
        #expect(pushes.map(\.concurrency) == [7, 2] && pushes.map(\.ratePerSecond) == [2.5, nil])
        #expect(
            problems(#"{"push":{"a":{"kind":"recording","ratePerSecond":0}}}"#)
                == ["f.json:1:50: push.a.ratePerSecond: 0.0 is out of range; allowed is 0.01 to 100000.0"])
    }

    @Test("every fault at once, with its place and a suggestion")
    func faults() {
        let text = """
            {"push":{"p":{"kind":"recordin"}},
             "apps":{"a":{"farm":"g","monitor":{"kind":"scripted"}},
                     "b":{"launch":{"x":1}},
                     "c":{"monitr":{"kind":"scripted"}}},
             "notify":{"targets":["d1"],"ackSeconds":0,"sumary":"full"},
             "farms":{"f":{"kind":"recording","more":1}},
             "limits":{"queueMessages":0}}
            """
        let found = problems(text)
        let expected = [
            "f.json:1:22: push.p.kind: unknown kind 'recordin'; known: recording; did you mean 'recording'?",
            "apps.a.farm: there is no farm 'g' under 'farms'",
            "apps.a.monitor: the key 'server' is missing", "apps.b.launch: needs 'farm'",
            "apps.c.monitr: unknown key 'monitr'; did you mean 'monitor'?",
            "notify.targets: a list of devices belongs to a registration", "notify.ackSeconds:",
            "notify.sumary: unknown key 'sumary'; did you mean 'summary'?", "farms.f.more: unknown key 'more'",
            "limits.queueMessages:",
        ]
        for text in expected { #expect(found.contains { $0.contains(text) }, "\(text) is not in \(found)") }
        #expect(found.count == expected.count, "\(found)")
        #expect(found.allSatisfy { $0.hasPrefix("f.json:") })
    }
}
