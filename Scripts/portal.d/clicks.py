#!/usr/bin/env python3
"""News rings in a real browser on a real desktop, and a click on the desktop's notification brings the app.

    clicks.py PROGRAM PICTURES [firefox] [chromium]     PROGRAM is the built farbell; both browsers without a word

Firefox subscribes with its own push protocol, decrypts what Farbell encrypted, and says so. Chromium's push service
cannot be replaced: there the push is decrypted here and given to the service worker through DevTools."""
import asyncio
import pathlib
import sys
import tempfile
import time

from browser import Fault, until
from by_browser import ByChromium, ByFirefox
from desktop import Desktop
from gateway import OTHER, PASSWORD, Gateway
from pushservice import PushService, decode

BROWSERS = {"firefox": ByFirefox, "chromium": ByChromium}


class RingingGateway(Gateway):
    """One that pushes to the test's push service."""

    def __init__(self, program, push, port=None):
        super().__init__(program, port)
        self.push = push

    def configuration(self):
        configuration = super().configuration()
        configuration["push"]["browser"] |= {"caFile": str(self.push.certificate), "allowHosts": ["127.0.0.1"]}
        return configuration

    def read_elsewhere(self, name):
        """Another mail program marks a mail as read."""
        box = self.folder / "mail" / self.account
        (box / "new" / name).rename(box / "cur" / f"{name}:2,S")


class Story:
    def __init__(self, by, gateway, push, desktop, pictures):
        self.by, self.gateway, self.push, self.desktop, self.pictures = by, gateway, push, desktop, pictures
        self.start = time.monotonic()

    def say(self, text):
        print(f"{time.monotonic() - self.start:6.1f} s  {self.by.name}: {text}", flush=True)

    async def picture(self, name):
        await self.desktop.picture(self.pictures / f"{self.by.name}-{name}.png")

    async def logged(self, event, count=1):
        async def look():
            lines = self.gateway.events(event)
            return len(lines) >= count and lines

        return await until(f"{count} × {event}", look)

    async def subscribe(self):
        """Signs in, sets an app up, and lets it ring: the portal's own way."""
        page, push = self.by.page, self.push
        await page.go(self.gateway.origin + "/")
        await page.sign_in(self.gateway.account, PASSWORD)
        await page.see_text("Your apps")
        await self.by.permit()
        await page.click("a[aria-label='Set up Mail']")
        await self.set_up(page)
        await page.see_text("Watching", 30)
        await page.click("a[data-key=nav-apps]")
        await page.see("document.querySelector('h1')?.textContent === 'Your apps'")
        await page.click(".push button")
        await page.see(
            "fetch('/v1/devices').then((r) => r.json()).then((r) => r.items[0].channel?.adapter === 'browser')")
        await page.see("document.querySelector('.push') === null")
        key = await page.run(
            "fetch('/v1/push').then((r) => r.json()).then((r) => r.items[0].applicationServerKey)")
        bound = [subscription["key"] for subscription in push.subscriptions.values()]
        if [decode(each) for each in bound] != [decode(key)]:
            raise Fault(f"subscribed with {bound} instead of {key}")
        await self.picture("1-allowed")
        self.say("the portal subscribed with the gateway's key")

    async def test_push(self):
        """Among the devices: a test goes all the way to the desktop."""
        page = self.by.page
        await page.click("a[data-key=nav-devices]")
        await page.click("button[data-key^=test-]")
        await page.see_text("The push service took it.")
        notice = await self.desktop.notice("This is a test notification")
        await self.by.accepted(self.push.taken[-1])
        self.desktop.act(sweep=notice["id"])
        await self.desktop.gone(notice)
        await page.click("a[data-key=nav-apps]")
        await page.see("document.querySelector('h1')?.textContent === 'Your apps'")
        self.say("a test push of the list of devices shows on the desktop")

    async def set_up(self, page):
        await page.see_text("This app needs no credentials.")
        await page.click("#set-up button[type=submit]")

    async def ring(self):
        """With no page open, news comes as a push, and a click on the notification opens the app."""
        await self.by.leave()
        await self.logged("stream.closed")
        self.gateway.deliver("Li Na <li@example.org>", "Ward round at nine")
        notice = await self.desktop.notice("Li Na")
        taken = self.push.taken[-1]
        if b"Li Na" in taken["body"]:
            raise Fault("the push was not encrypted")
        await self.by.accepted(taken)
        self.say(f"{len(taken['body'])} encrypted bytes became “{notice['title']}” of “{notice['program']}”")
        self.desktop.click(notice)
        await self.by.opened(lambda url: "/healthz?app=mail&ticket=flt_" in url)
        await self.picture("2-clicked")
        await self.desktop.gone(notice)
        if not self.gateway.events("launch.answered"):
            raise Fault("no launch in the log")
        await self.by.leave()
        self.say("a click on it opened the app")

    async def take_back(self):
        """What is read elsewhere goes away here."""
        self.gateway.deliver("Chen <chen@example.org>", "Never mind")
        notice = await self.desktop.notice("Chen")
        box = self.gateway.folder / "mail" / self.gateway.account / "new"
        self.gateway.read_elsewhere(max(box.iterdir(), key=lambda file: file.stat().st_mtime_ns).name)
        await self.desktop.gone(notice)
        if not self.desktop.closed[-1]["byProgram"]:
            raise Fault("not taken back by the browser")
        self.say("read elsewhere, the notification was taken back")

    async def talk(self):
        """Two people talk: one in this browser, the other by the API."""
        page = await self.by.reopen(self.gateway.origin + "/")
        self.bob = bob = await self.gateway.device(OTHER)
        await bob("PUT", "/v1/contacts/alice")
        await page.see_text("Live")
        await page.click("a[data-key=nav-talks]")
        await page.see_text("Asks to be your contact")
        await page.click("[data-key=agree-bob]")
        await page.see("document.querySelector('a[data-key=contact-bob]') !== null")
        await page.click("a[data-key=contact-bob]")
        await page.see("document.activeElement?.id === 'compose' || document.getElementById('compose') !== null")
        await page.click("#compose")
        await page.type("Is the round at ten?")
        await page.click("form button[type=submit]")
        await self.heard("account/alice", "Is the round at ten?")
        await bob("POST", "/v1/conversations/alice/typing", {"state": "composing"})
        await page.see_text("bob is writing…")
        await bob("POST", "/v1/messages", {"to": {"account": "alice"}, "body": "At nine."})
        await page.see("document.querySelector('.log .theirs .text')?.textContent === 'At nine.'")

        async def is_read():
            talk = await bob("GET", "/v1/conversations/alice")
            return talk["peerRead"] >= talk["items"][-1]["number"]

        await until("the read mark", is_read)
        await self.picture("3-talk")
        self.say("two people talk: typing, messages both ways, read")

    async def heard(self, sender, text):
        async def look():
            items = (await self.bob("GET", "/v1/conversations/alice"))["items"]
            return any(i["from"] == sender and i["body"] == text for i in items)

        await until(f"“{text}”", look)

    async def answer(self):
        """What is typed into a notification goes back with no page open."""
        count, bob = len(self.gateway.events("stream.closed")), self.bob
        await self.by.leave()
        await self.logged("stream.closed", count + 1)
        await bob("POST", "/v1/messages", {"to": {"account": "alice"}, "body": "Are you coming?"})
        notice = await self.desktop.notice(OTHER)
        if "inline-reply" not in notice["actions"]:
            self.say(f"this browser's notifications have no field to answer in: {sorted(notice['actions'])}")
            return self.desktop.act(sweep=notice["id"])
        self.desktop.act(reply=notice["id"], text="In five minutes")
        await self.heard("account/alice", "In five minutes")
        self.say("an answer typed into the notification arrived, with no page open")

    async def to_talk(self):
        """A click on the notification of what a person wrote brings that conversation."""
        shown = "document.querySelector('.log')?.textContent.includes({})"
        at_talk = lambda url: url.endswith("#talk/account%2Fbob")
        await self.by.leave()
        await self.bob("POST", "/v1/messages", {"to": {"account": "alice"}, "body": "With no page"})
        notice = await self.desktop.notice(OTHER)
        self.desktop.click(notice)
        await self.by.opened(at_talk)
        await self.by.page.see(shown.format("'With no page'"))
        await self.picture("5-conversation")
        await self.desktop.gone(notice)
        page = self.by.page
        await page.click("a[data-key=nav-devices]")
        await page.see("location.hash === '#devices'")
        await self.by.cover()
        await self.bob("POST", "/v1/messages", {"to": {"account": "alice"}, "body": "Behind a tab"})
        notice = await self.desktop.notice(OTHER)
        if "inline-reply" in notice["actions"]:
            self.desktop.act(reply=notice["id"], text="Here, too")
            await self.heard("account/alice", "Here, too")
            await self.bob("POST", "/v1/messages", {"to": {"account": "alice"}, "body": "Good"})
            notice = await self.desktop.notice(OTHER)
        self.desktop.click(notice)
        await self.by.uncovered()
        await page.see("location.hash === '#talk/account%2Fbob'")
        await page.see(shown.format("'Behind a tab'"))
        await self.desktop.gone(notice)
        if self.gateway.events("launch.requested")[1:]:
            raise Fault("what a person wrote launched something")
        self.say("a click on what a person wrote brought the conversation: with no page, and behind another tab")

    async def hidden(self):
        """Behind another tab: the stream brings the news, the notification is real, a click brings the app."""
        page = await self.by.reopen(self.gateway.origin + "/")
        await page.see_text("Live")
        await self.by.cover()
        count = len(self.push.taken)
        self.gateway.deliver("Ruth <ruth@example.org>", "Lunch?")
        notice = await self.desktop.notice("Ruth")
        if len(self.push.taken) != count:
            raise Fault("a device that is connected was pushed to")
        self.desktop.click(notice)
        await self.by.opened(lambda url: "/healthz?app=mail&ticket=flt_" in url)
        await self.desktop.gone(notice)
        await self.picture("4-clicked")
        await self.by.back_to(page)
        self.say("behind another tab: a click on the notification opened the app beside the portal")

    async def sign_out(self):
        """Nothing rings for somebody who signed out."""
        await self.by.page.click("#sign-out")
        await self.by.page.see("document.querySelector('[name=account]') !== null")
        await self.by.unsubscribed()
        if self.push.refused:
            raise Fault(f"the push service refused: {self.push.refused}")
        self.say("signed out, and the subscription is given up")


async def walk(story, steps):
    try:
        for step in steps:
            await step()
    except BaseException:
        desktop, push = story.desktop, story.push
        await story.picture("fault")
        print(f"The log ends:\n{story.gateway.text()[-3000:]}\nShown: {desktop.shown}\nClosed: {desktop.closed}\n"
              f"Acknowledged: {push.acks}; refused: {push.refused}", file=sys.stderr)
        raise


async def tell(name, program, pictures):
    with tempfile.TemporaryDirectory(prefix="farbell-push-") as folder:
        async with PushService(pathlib.Path(folder)) as push, RingingGateway(program, push) as gateway, \
                Desktop() as desktop, BROWSERS[name](desktop, push, gateway) as by:
            story = Story(by, gateway, push, desktop, pictures)
            await walk(story, (story.subscribe, story.test_push, story.ring, story.take_back, story.talk,
                               story.answer, story.to_talk, story.hidden, story.sign_out))


async def main(program, pictures, *names):
    pictures.mkdir(parents=True, exist_ok=True)
    for name in names or BROWSERS:
        await tell(name, program, pictures)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]))
    except Fault as fault:
        print(f"clicks: {fault}", file=sys.stderr)
        sys.exit(1)
