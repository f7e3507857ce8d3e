extension ScreenPage {
    /// The page's program. A raw string: what stands here is JavaScript.
    static let script = #"""
        // Shows an app and reports whether it can be seen. Beats only while it can: silence means "not in front".
        const words = navigator.language.startsWith("zh")
          ? { opening: "正在打开…",
              used: "此链接已使用或已过期。请从通知或门户重新打开应用。",
              failed: "应用无法打开。", ended: "连接已断开。请重新打开应用。" }
          : { opening: "Opening…",
              used: "This link was used or has expired. Open the app again from its notification or the portal.",
              failed: "The app cannot be opened now.", ended: "The connection ended. Open the app again." };
        const screen = document.getElementById("screen");
        const note = document.getElementById("note");
        const beatMilliseconds = 5000;

        let covered = false;   // the portal says so
        let shown = false;     // the app's picture is there
        let presence = null;   // { token, instance } of the redeemed launch
        let app = null;
        let session = null;    // its id once opened
        let seq = 0;
        let reported = null;
        let timer = null;
        let opening = null;

        function say(text) { note.textContent = text; }
        function tell(event) { if (parent !== window) parent.postMessage({ farbell: event }, location.origin); }

        async function call(path, body, token) {
          const headers = { "Content-Type": "application/json" };
          if (token) headers.Authorization = "Bearer " + token;
          return fetch(path, { method: "POST", headers, body: JSON.stringify(body), keepalive: true,
            credentials: "omit", cache: "no-store" });
        }

        function visible() { return shown && !covered && document.visibilityState === "visible"; }

        async function open() {
          const answer = await call("/v1/sessions", { app, instance: presence.instance }, presence.token);
          if (answer.ok) { session = (await answer.json()).id; seq = 0; reported = "active"; }
          // The account has not registered, or signed out: there is nothing to report any more.
          else if (answer.status >= 400 && answer.status < 500 && answer.status !== 429) presence = null;
        }

        async function report(state) {
          if (!presence) return;
          try {
            if (!session) {
              if (state !== "visible") return;
              opening ??= open().finally(() => { opening = null; });
              await opening;
              if (!session) return;
              // It may have been hidden meanwhile.
              state = visible() ? "visible" : "hidden";
            }
            seq += 1;
            reported = state;
            const answer = await call(`/v1/sessions/${session}/presence`, { seq, state }, presence.token);
            // The gateway started anew: the next beat opens the session again.
            if (answer.status === 404) session = null;
            else if (answer.status === 401 || answer.status === 403) presence = null;
          } catch (error) {
            // Offline: the lease ends by itself, and the next beat tries again.
          }
        }

        function look() {
          clearInterval(timer);
          if (visible()) {
            report("visible");
            timer = setInterval(() => report("visible"), beatMilliseconds);
          } else if (session && reported !== "hidden") report("hidden");
        }

        document.addEventListener("visibilitychange", look);
        addEventListener("pagehide", () => {
          clearInterval(timer);
          if (session) report("gone");
          session = null;
        });
        addEventListener("pageshow", (event) => { if (event.persisted) look(); });
        addEventListener("message", (event) => {
          if (event.origin !== location.origin || event.source !== parent) return;
          if (event.data?.farbell === "hidden") covered = true;
          else if (event.data?.farbell === "visible") covered = false;
          else if (event.data?.farbell === "launch") again(event.data.ticket);
          else return;
          look();
        });

        // The app runs here already: its session hears what was tapped, and shows that.
        function again(ticket) { call("/v1/launches/redeem", { ticket }).catch(() => {}); }

        function end(text, event) {
          shown = false;
          look();
          say(text);
          tell(event);
        }

        async function showScreen(start) {
          const { default: RFB } = await import(start.module);
          const options = start.password ? { credentials: { password: start.password } } : {};
          const screenConnection = new RFB(screen, start.socket, options);
          screenConnection.scaleViewport = true;
          screenConnection.resizeSession = true;
          screenConnection.addEventListener("connect", () => {
            say("");
            shown = true;
            look();
            tell("shown");
            screenConnection.focus();
          });
          screenConnection.addEventListener("disconnect", () => end(words.ended, "ended"));
          screenConnection.addEventListener("credentialsrequired", () => screenConnection.disconnect());
        }

        function showPage(start, name) {
          const frame = document.createElement("iframe");
          frame.title = name;
          frame.allow = "clipboard-read; clipboard-write; fullscreen";
          frame.referrerPolicy = "no-referrer";
          frame.addEventListener("load", () => {
            say("");
            shown = true;
            look();
            tell("shown");
          }, { once: true });
          frame.src = start.url;
          screen.append(frame);
        }

        async function run() {
          const ticket = location.hash.slice(1);
          // Not to stay in the history, nor to be seen over a shoulder.
          history.replaceState(null, "", location.pathname);
          say(words.opening);
          if (!ticket) return end(words.used, "failed");
          const answer = await call("/v1/launches/redeem", { ticket });
          if (answer.status === 410) return end(words.used, "failed");
          if (!answer.ok) return end(words.failed, "failed");
          const launch = await answer.json();
          document.title = launch.name;
          screen.setAttribute("aria-label", launch.name);
          app = launch.app;
          presence = launch.presence ?? null;
          if (launch.start.kind === "rfb") await showScreen(launch.start);
          else if (launch.start.kind === "frame") showPage(launch.start, launch.name);
          else end(words.failed, "failed");
        }

        run().catch(() => end(words.failed, "failed"));

        """#
}
