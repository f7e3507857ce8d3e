"""Steps: presence, pushes, launches, taps."""
import json

from browser import Fault, until
from walk import Walk


class Ringing(Walk):
    async def presence(self):
        """In front the page is the app's client; behind another tab it is not."""
        page, gateway = self.page, self.gateway
        in_front = "s.some((i) => i.app === 'mail' && ['active', 'visible'].includes(i.state))"
        await page.see(self.sessions(in_front))
        gateway.deliver("Wang Wei <wang@example.org>", "手术流程讨论", "请看附件。")
        await page.see_text("手术流程讨论")
        await page.see_text("Wang Wei")
        decided = await until("the decision", self.decided(1))
        if decided[-1]["decision"] != "stream":
            raise Fault(f"in front, but {decided[-1]}")
        await self.check("an app with news")
        await self.picture("app")
        await page.hide(True)
        await page.see(self.sessions("s.some((i) => i.app === 'mail' && i.state === 'hidden')"))
        gateway.deliver("Li Na <li@example.org>", "Ward round at nine", "Bring the charts.")
        decided = await until("the decision", self.decided(2))
        if decided[-1]["decision"] != "notify":
            raise Fault(f"hidden, but {decided[-1]}")
        shown = "navigator.serviceWorker.ready.then((r) => r.getNotifications())"
        await page.see(shown + ".then((n) => n.some((i) => i.title.includes('Li Na')))")
        await page.hide(False)
        await page.see(self.sessions(in_front))
        await page.click("button[aria-label='Mark “Ward round at nine” as read']")
        await page.see(shown + ".then((n) => n.length === 0)")
        await self.list_apps()
        await page.see(self.sessions("s.every((i) => i.app !== 'mail' || i.state === 'gone')"))
        self.say("presence follows the page; read here, the notification goes away")

    async def push(self):
        """A push goes to the service worker, shows, is clicked, and is taken back."""
        page, origin = self.page, self.gateway.origin
        await page.see("navigator.serviceWorker.ready.then((r) => r.active?.state === 'activated')")

        async def registration():
            return page.registrations.get(origin + "/")

        number = await until("the service worker's registration", registration)
        shown = "navigator.serviceWorker.ready.then((r) => r.getNotifications())"

        async def deliver(document, effect):
            # DevTools do not say whether the worker got it; the same push again changes nothing.
            for attempt in range(3):
                await page.send(
                    "ServiceWorker.deliverPushMessage", origin=origin, registrationId=number,
                    data=json.dumps(document))
                try:
                    return await page.see(f"{shown}.then((n) => {effect})", 7)
                except Fault:
                    if attempt == 2:
                        raise

        def news(digit, collapse="c-1", **texts):
            return {"notification": f"{digit * 8}-2222-8333-8444-555555555555", "app": "mail", **texts, "badge": 1,
                    "collapse": collapse, "tap": "used-up"}

        await deliver(
            news("1", title="New message from Li Na", body="Ward round at nine"),
            "n.length === 1 && n[0].title === 'New message from Li Na' && n[0].body === 'Ward round at nine'"
            " && n[0].data.tap === 'used-up'")
        await deliver(news("2", title="2 new messages"), "n.length === 1 && n[0].title === '2 new messages'")
        await deliver(news("3", "c-2"), "n.length === 2 && n.some((i) => i.body === 'You have a message')")
        clear = {"clear": [news("2")["notification"]], "badge": 1, "collapse": "c-1"}
        await deliver(clear, "n.length === 1 && n[0].tag === 'c-2'")
        self.say("pushes show, replace one another, and are taken back")

        # No click of a person's can be had without a desktop: the worker gets the event from a script.
        worker = await self.browser.attach(
            self.browser.find("service_worker", lambda url: url == origin + "/service-worker.js"))
        await worker.run(
            "self.registration.getNotifications().then((n) => { try { self.dispatchEvent("
            "new NotificationEvent('notificationclick', { notification: n[0] })); } catch (e) {} return true; })")
        await page.see_text("used already or is too old")
        self.expected("410")
        await page.see(shown + ".then((n) => n.length === 0)")
        # What cannot be launched any more is shown here.
        await page.see("document.querySelector('h1')?.textContent === 'Mail'")
        await self.list_apps()
        self.say("a click closes the notification and brings its tap to the open portal")

    async def launches(self):
        page = self.page
        await page.click("button[aria-label='Open Mail']")

        async def tab():
            return self.browser.find("page", lambda url: "/healthz?app=mail&ticket=flt_" in url)

        opened = await until("the app's own tab", tab)
        await self.browser.send("Target.closeTarget", targetId=opened)
        folder = self.gateway.folder / "downloads"
        await self.browser.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        await page.send("Page.bringToFront")
        await page.click("button[aria-label='Open Outlook']")

        async def file():
            return [path for path in folder.glob("*.rdp")] if folder.exists() else []

        saved = (await until("the .rdp file", file))[0]
        text = saved.read_bytes()
        if not any("rds.example.org".encode(code) in text for code in ("utf-8", "utf-16-le")):
            raise Fault("the file that was saved is not the farm's")
        await page.see_text("was saved")
        self.say("an app opens in a tab, another by its file")

    async def stage(self):
        """An app in the page. The farm's answer is made up here: it names a page of this gateway's to be framed."""
        page, origin = self.page, self.gateway.origin
        answer = {"id": "lch_1", "app": "wiki", "session": None, "expires": "2030-01-01T00:00:00.000Z",
                  "action": {"kind": "url", "url": origin + "/healthz#ticket", "embed": True}}
        page.answers["/v1/launches"] = answer
        await page.send("Fetch.enable", patterns=[{"urlPattern": "*/v1/launches"}])
        await page.click("button[aria-label='Open Team wiki']")
        await page.see("document.querySelector('#stage iframe')?.contentDocument?.body.innerText.includes('ok')")
        await self.check("an app in the page")
        await self.picture("stage")
        if not await page.run("document.getElementById('main').inert"):
            raise Fault("what is behind the app can still be reached")
        await page.run(
            "window.heard = []; document.querySelector('#stage iframe').contentWindow"
            ".addEventListener('message', (e) => window.heard.push(e.data.farbell)); 1")
        await page.click("#stage .stage-bar button:nth-of-type(1)")
        await page.see("document.getElementById('stage').hidden && window.heard.join() === 'hidden'")
        await page.click("button[data-key=open-wiki]")
        await page.see("!document.getElementById('stage').hidden && window.heard.join() === 'hidden,visible'")
        await page.click("#stage .stage-bar button:nth-of-type(3)")
        await page.see("document.querySelector('#stage iframe') === null")
        await page.send("Fetch.disable")
        self.say("an app in the page: covered, brought back, closed")

    async def tabs(self):
        """A second tab hears what the first one's stream brings."""
        second = await self.browser.page(self.gateway.origin + "/")
        await second.see("document.querySelector('.stream.live') !== null")
        self.gateway.deliver("Ruth <ruth@example.org>", "For both tabs")
        for tab in (self.page, second):
            await tab.see("document.querySelector('.badge')?.textContent === '2 new'")
        connected = await self.page.run(
            "fetch('/v1/devices').then((r) => r.json()).then((r) => r.items.filter((i) => i.connected).length)")
        opened = len(self.gateway.events("stream.opened"))
        if (connected, opened) != (1, 1):
            raise Fault(f"{connected} devices are connected by {opened} streams")
        await self.browser.send("Target.closeTarget", targetId=second.target)
        await self.page.send("Page.bringToFront")
        # What changes while a button of the mouse is down takes nothing from under it.
        await self.page.click(
            "a[data-key=details-mail]",
            meanwhile="import('/portal/state.js').then(({ state, changed }) => {"
            " state.apps.find(({ id }) => id === 'mail').name += '!'; changed(); })")
        await self.page.click("button[aria-label='Mark “For both tabs” as read']")
        await self.page.see("document.querySelectorAll('.news li').length === 1")
        await self.list_apps()
        self.say("two tabs share one stream")

    async def tap(self):
        """The address that a notification opens in a browser: the page launches the app and becomes it."""
        page = self.page
        await page.run(
            "window.taps = new BroadcastChannel('farbell');"
            " window.taps.onmessage = ({ data }) => { if (data.name === 'notify') window.lastTap = data.data.tap; }; 1")
        self.gateway.deliver("Chen <chen@example.org>", "Tap me")
        tap = await page.see("window.lastTap")
        await page.see("[...document.querySelectorAll('.toast')].some((e) => e.textContent.includes('Tap me'))")
        await self.check("the list of apps with a notice")
        other = await self.browser.page(f"{self.gateway.origin}/l/{tap}")
        await other.see("location.pathname === '/healthz' && location.search.includes('ticket=flt_')")
        await self.browser.send("Target.closeTarget", targetId=other.target)
        await page.send("Page.bringToFront")
        self.say("the address of a tap launches its app")
