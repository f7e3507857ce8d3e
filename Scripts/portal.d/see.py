#!/usr/bin/env python3
"""Walks through the portal in Chromium: signs in, sets an app up, hears of news, is rung by a push, is looked at by
axe-core. Pictures go to .build/portal.

    see.py PROGRAM PICTURES     PROGRAM is the built farbell
"""
import asyncio
import json
import pathlib
import sys
import time

from browser import Browser, Fault, until
from gateway import ACCOUNT, PASSWORD, Gateway

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def axe_script():
    file = pathlib.Path(sys.prefix, "axe-core", "axe.min.js")
    if not file.exists():
        raise Fault("axe-core is missing: run Scripts/oracle/setup")
    return file.read_text()


class Walk:
    def __init__(self, gateway, browser, page, pictures):
        self.gateway, self.browser, self.page, self.pictures = gateway, browser, page, pictures
        self.axe = axe_script()
        self.start = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.start:6.1f} s  {text}", flush=True)

    async def picture(self, name):
        await self.page.picture(self.pictures / f"{name}.png")

    async def check(self, what):
        """No fault that axe-core finds, and no complaint in the browser's console."""
        await self.page.run(self.axe + "; true")
        result = await self.page.run(
            f"axe.run(document, {{ runOnly: {json.dumps(RULES)} }}).then((r) => ({{"
            " passes: r.passes.length, faults: r.violations.map((v) => v.id + ': ' + v.help + ' '"
            " + v.nodes.map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join(' | ')) }))")
        if result["faults"]:
            raise Fault(f"axe-core on {what}:\n  " + "\n  ".join(result["faults"]))
        if result["passes"] < 10:
            raise Fault(f"axe-core on {what}: only {result['passes']} rules applied")
        if self.page.complaints:
            raise Fault(f"the browser complains on {what}: {self.page.complaints}")
        self.say(f"axe-core: {result['passes']} rules hold on {what}")

    async def sign_in(self):
        page = self.page
        await page.see("document.activeElement?.name === 'account'")
        await self.check("the sign-in page")
        await self.picture("sign-in")
        # By keyboard alone.
        await page.type(ACCOUNT)
        await page.tab()
        await page.type("wrong password")
        await page.enter()
        await page.see_text("The account or its password is wrong.")
        self.expected("401")
        await page.run("document.querySelector('[name=password]').select()")
        await page.type(PASSWORD)
        await page.enter()
        await page.see("document.querySelector('h1')?.textContent === 'Your apps'")
        cookie = await page.run("document.cookie")
        if cookie:
            raise Fault(f"a script can read a cookie: {cookie}")
        kept = (await self.browser.send("Storage.getCookies"))["cookies"]
        flags = [(c["name"], c["httpOnly"], c["secure"], c.get("sameSite"), c["path"]) for c in kept]
        if flags != [("__Host-farbell", True, True, "Strict", "/")]:
            raise Fault(f"cookies: {flags}")
        self.say("signed in by keyboard; the cookie is out of a script's reach")

    def expected(self, text):
        """Forgets complaints that a step causes on purpose."""
        self.page.complaints = [line for line in self.page.complaints if text not in line]

    async def set_up(self):
        page = self.page
        await page.see_text("Live")
        await self.check("the list of apps")
        await page.click("a[aria-label='Set up Mail']")
        await page.see_text("This app needs no credentials.")
        await page.click("#set-up button[type=submit]")
        await page.see_text("Watching", 30)
        await page.click("a[data-key=nav-apps]")
        await page.click("a[aria-label='Set up Outlook']")
        await page.see("document.querySelectorAll('#set-up input').length === 2")
        await self.check("the form of an app")
        await page.click("#set-up [name=username]")
        await page.type("alice@example.org")
        await page.tab()
        await page.type("mail-password")
        await page.enter()
        await page.see_text("Outlook is set up.")
        await page.click("a[data-key=nav-apps]")
        await page.see_text("Trying again soon", 30)
        self.say("two apps are set up; the health of both is told")

    async def settings(self):
        page = self.page
        await page.click("a[data-key=details-mail]")
        await page.see("document.querySelector('#notify [name=summary]') !== null")
        await page.run(
            "(() => { const s = document.querySelector('#notify [name=summary]'); s.value = 'full';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.click("#quiet")
        await page.see("!document.querySelector('.hours').hidden")
        await page.click("#notify button[type=submit]")
        await page.see_text("Saved.")
        notify = await page.run(
            "fetch('/v1/registrations').then((r) => r.json())"
            ".then((r) => r.items.find((i) => i.app === 'mail').notify)")
        if notify.get("summary") != "full" or notify.get("quietHours", {}).get("from") != "22:00":
            raise Fault(f"settings were not kept: {notify}")
        await page.click("#quiet")
        await page.click("#notify button[type=submit]")
        await page.see(
            "fetch('/v1/registrations').then((r) => r.json())"
            ".then((r) => r.items.find((i) => i.app === 'mail').notify.quietHours === undefined)")
        self.say("summary policy and quiet hours are kept")

    def sessions(self, script):
        return f"fetch('/v1/sessions').then((r) => r.json()).then((r) => {{ const s = r.items; return {script}; }})"

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
        await page.click("a[data-key=nav-apps]")
        await page.see(self.sessions("s.every((i) => i.app !== 'mail' || i.state === 'gone')"))
        self.say("presence follows the page; read here, the notification goes away")

    def decided(self, count):
        async def look():
            lines = self.gateway.events("notification.decided")
            return len(lines) >= count and lines

        return look

    async def push(self):
        """A push goes to the service worker, shows, is clicked, and is taken back."""
        page, origin = self.page, self.gateway.origin
        await page.see("navigator.serviceWorker.ready.then((r) => r.active?.state === 'activated')")

        async def registration():
            return page.registrations.get(origin + "/")

        number = await until("the service worker's registration", registration)

        async def deliver(document):
            await page.send(
                "ServiceWorker.deliverPushMessage", origin=origin, registrationId=number, data=json.dumps(document))

        news = {
            "notification": "11111111-2222-8333-8444-555555555555", "app": "mail", "title": "New message from Li Na",
            "body": "Ward round at nine", "badge": 1, "collapse": "c-1", "tap": "used-up",
        }
        shown = "navigator.serviceWorker.ready.then((r) => r.getNotifications())"
        await deliver(news)
        await page.see(shown + ".then((n) => n.length === 1 && n[0].title === 'New message from Li Na'"
                       " && n[0].body === 'Ward round at nine' && n[0].data.tap === 'used-up')")
        await deliver({**news, "notification": "22222222-2222-8333-8444-555555555555", "title": "2 new messages"})
        await page.see(shown + ".then((n) => n.length === 1 && n[0].title === '2 new messages')")
        await deliver({"notification": "33333333-2222-8333-8444-555555555555", "app": "mail", "badge": 2,
                       "collapse": "c-2", "tap": "used-up"})
        await page.see(shown + ".then((n) => n.length === 2 && n.some((i) => i.body === 'You have a message'))")
        await deliver({"clear": ["22222222-2222-8333-8444-555555555555"], "badge": 1, "collapse": "c-1"})
        await page.see(shown + ".then((n) => n.length === 1 && n[0].tag === 'c-2')")
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
        await page.click("a[data-key=nav-apps]")
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
        if b"r\0d\0s\0.\0e\0x\0a\0m\0p\0l\0e\0" not in saved.read_bytes() and b"rds.example.org" not in saved.read_bytes():
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
        await self.page.click("a[data-key=details-mail]")
        await self.page.click("button[aria-label='Mark “For both tabs” as read']")
        await self.page.see("document.querySelectorAll('.news li').length === 1")
        await self.page.click("a[data-key=nav-apps]")
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

    async def looks(self):
        page = self.page
        gateway = self.gateway
        for number, (sender, subject) in enumerate([
                ("Anna Berg <anna@example.org>", "Minutes of Monday's meeting"),
                ("Li Na <li@example.org>", "Rota for December"), ("Chen <chen@example.org>", "Re: budget")]):
            gateway.deliver(sender, subject, "As discussed, here is the list." if number else "Please read before noon.")
        await page.see_text("5 new")
        await page.run("document.getElementById('toasts').replaceChildren()")
        await page.size(1100, 720)
        await self.check("the list of apps")
        await self.picture("apps-light")
        await page.dark(True)
        await self.check("the list of apps, dark")
        await self.picture("apps-dark")
        await page.click("a[data-key=details-mail]")
        await page.see_text("Minutes of Monday")
        await self.check("an app, dark")
        await self.picture("app-dark")
        await page.size(390, 844, scale=2, phone=True)
        await self.check("an app on a phone, dark")
        await self.picture("phone-app-dark")
        await page.dark(False)
        await page.click("a[data-key=nav-apps]")
        await page.see("document.querySelector('h1')?.textContent === 'Your apps'")
        await self.check("the list of apps on a phone")
        width = await page.run("document.documentElement.scrollWidth")
        if width > 390:
            raise Fault(f"a phone has to scroll sideways: {width}")
        await self.picture("phone-apps")
        await page.run(
            "(() => { const s = document.getElementById('language'); s.value = 'zh';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.see_text("您的应用")
        await self.check("the list of apps, Chinese")
        await self.picture("phone-chinese")
        await page.size(1100, 720)
        await self.picture("apps-chinese")
        await page.click("a[data-key=nav-devices]")
        await page.see_text("当前已连接")
        await self.check("the devices, Chinese")
        await self.picture("devices-chinese")
        locale = await page.see(
            "fetch('/v1/devices').then((r) => r.json()).then((r) => r.items[0].locale === 'zh-CN' && 'zh-CN')")
        self.say(f"light, dark, on a phone, in Chinese; notifications too are in {locale}")

    async def sign_out(self):
        page = self.page
        await page.run(
            "(() => { const s = document.getElementById('language'); s.value = 'en';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.click("#everywhere")
        await page.see("document.querySelector('dialog[open]') !== null")
        await self.check("the question")
        await page.click("dialog .danger")
        await page.see("document.querySelector('[name=account]') !== null")
        cookies = (await self.browser.send("Storage.getCookies"))["cookies"]
        if cookies:
            raise Fault("the cookie is still there")
        await page.go(self.gateway.origin + "/l/some-tap")
        await page.see_text("Sign in to open your message.")
        if await page.run("location.pathname") != "/":
            raise Fault("the tap stays in the address")
        await page.type(ACCOUNT)
        await page.click("[name=password]")
        await page.type(PASSWORD)
        await page.enter()
        await page.see_text("used already or is too old")
        self.say("signed out everywhere; a tap asks to sign in, then goes on")


async def walk(program, pictures):
    pictures.mkdir(parents=True, exist_ok=True)
    async with Gateway(program) as gateway, Browser() as browser:
        await browser.send(
            "Browser.setPermission", permission={"name": "notifications"}, setting="granted", origin=gateway.origin)
        page = await browser.page(gateway.origin + "/")
        await page.size(1100, 720)
        steps = Walk(gateway, browser, page, pictures)
        try:
            for step in (steps.sign_in, steps.set_up, steps.settings, steps.presence, steps.push, steps.launches,
                         steps.stage, steps.tabs, steps.tap, steps.looks, steps.sign_out):
                await step()
        except Exception:
            await steps.picture("fault")
            print(f"The log ends:\n{gateway.text()[-3000:]}", file=sys.stderr)
            shown = await page.run(
                "navigator.serviceWorker.ready.then((r) => r.getNotifications())"
                ".then((n) => n.map((i) => [i.tag, i.title, i.body].join(' / ')))")
            print(f"The page said: {page.complaints}; notifications: {shown}", file=sys.stderr)
            raise
        secrets = [PASSWORD, "mail-password", "fbd_", "Ward round"]
        leaks = [secret for secret in secrets if secret in gateway.text()]
        if leaks:
            raise Fault(f"in the log: {leaks}")
        steps.say("done; pictures are in " + str(pictures))


if __name__ == "__main__":
    try:
        asyncio.run(walk(sys.argv[1], pathlib.Path(sys.argv[2])))
    except Fault as fault:
        print(f"see-portal: {fault}", file=sys.stderr)
        sys.exit(1)
