"""What the stories of clicks.py do in each browser in its own way."""
import json

from browser import Browser, Fault, until
from firefox import Firefox
from pushservice import Receiver

DELIVERED = 100


class ByFirefox:
    name = "firefox"

    def __init__(self, desktop, push, gateway):
        self.browser = Firefox(desktop, push.url)
        self.push, self.gateway = push, gateway

    async def __aenter__(self):
        self.page = await self.browser.__aenter__()
        return self

    async def __aexit__(self, *reason):
        await self.browser.__aexit__(*reason)

    async def permit(self):
        await self.browser.grant("notifications")

    async def leave(self):
        """No page of ours stays open; the browser does."""
        await self.browser.open_tab()
        kept = (await self.browser.send("WebDriver:GetWindowHandle"))
        for handle in await self.browser.tabs():
            if handle != kept:
                await self.browser.switch(handle)
                await self.browser.close_tab()
        await self.browser.switch(kept)

    async def accepted(self, taken):
        """The browser itself tells its push service that it decrypted the push and the page's worker took it."""
        async def look():
            return next((ack for ack in self.push.acks if ack["version"] == taken["version"]), None)

        ack = await until("the browser's acknowledgement", look)
        if ack["code"] != DELIVERED:
            raise Fault(f"the browser could not use the push: {ack}")

    async def opened(self, fits):
        """Waits for a tab that a click opened, in front."""
        await self.browser.tab_at(fits)
        await self.browser.see("document.visibilityState === 'visible'")

    async def reopen(self, url):
        await self.browser.go(url)
        return self.browser

    async def cover(self):
        self.portal = await self.browser.send("WebDriver:GetWindowHandle")
        await self.browser.open_tab()
        await self.browser.switch(self.portal, focus=False)
        await self.browser.see("document.visibilityState === 'hidden'")

    async def uncovered(self):
        await self.browser.switch(self.portal, focus=False)
        await self.browser.see("document.visibilityState === 'visible'")

    async def back_to(self, _):
        await self.browser.switch(self.portal)

    async def unsubscribed(self):
        async def look():
            return self.push.left and not self.push.subscriptions

        await until("the end of the subscription", look)


class ByChromium:
    name = "chromium"

    def __init__(self, desktop, push, gateway):
        self.browser = Browser(desktop)
        self.push, self.gateway = push, gateway

    async def __aenter__(self):
        await self.browser.__aenter__()
        self.page = await self.browser.page()
        return self

    async def __aexit__(self, *reason):
        await self.browser.__aexit__(*reason)

    async def permit(self):
        """Allows notifications, and lets `subscribe` give an address at our push service: Google's is not here."""
        origin = self.gateway.origin
        await self.browser.send(
            "Browser.setPermission", permission={"name": "notifications"}, setting="granted", origin=origin)
        await self.page.see("navigator.serviceWorker.ready.then((r) => r.active?.state === 'activated')")

        async def registration():
            return self.page.registrations.get(origin + "/")

        self.number = await until("the service worker's registration", registration)
        receiver = Receiver(self.heard)
        key = await self.page.run(
            "fetch('/v1/push').then((r) => r.json()).then((r) => r.items[0].applicationServerKey)")
        subscription = {"endpoint": self.push.subscribe(self.name, key, receiver), "keys": receiver.keys()}
        await self.page.run(
            f"(() => {{ const json = {json.dumps(subscription)}; let current = null;"
            " PushManager.prototype.getSubscription = async () => current;"
            " PushManager.prototype.subscribe = async (options) => current = { options, toJSON: () => json,"
            " unsubscribe: async () => { current = null; } }; })()")

    async def heard(self, text):
        await self.page.send(
            "ServiceWorker.deliverPushMessage", origin=self.gateway.origin, registrationId=self.number, data=text)

    async def leave(self):
        old = [info["targetId"] for info in self.browser.targets.values() if info["type"] == "page"]
        self.page = await self.browser.page()
        for target in old:
            await self.browser.send("Target.closeTarget", targetId=target)

    async def accepted(self, taken):
        """It was decrypted here: see `heard`."""

    async def opened(self, fits):
        async def look():
            return self.browser.find("page", fits)

        self.page = await self.browser.attach(await until("the tab", look))
        await self.page.see("document.visibilityState === 'visible'")

    async def reopen(self, url):
        await self.page.go(url)
        return self.page

    async def cover(self):
        await self.page.hide(True)
        await self.page.see("document.visibilityState === 'hidden'")

    async def uncovered(self):
        await self.page.see("document.visibilityState === 'visible'")

    async def back_to(self, page):
        self.page = page
        await page.send("Page.bringToFront")

    async def unsubscribed(self):
        """The subscription is not the browser's own: see `permit`."""
