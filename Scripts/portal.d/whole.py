#!/usr/bin/env python3
"""The main job in one story, with real parts only: a person signs in on the portal, sets the mail app up, opens it,
reads mail in it, looks elsewhere, is rung, clicks, and is back in the app.

    whole.py PROGRAM PICTURES [firefox] [chromium]     as root; PROGRAM is the built farbell"""
import asyncio
import pathlib
import sys
import tempfile

import clicks
from browser import Fault
from farm import MAIL_PASSWORD, USER, Farm
from gateway import PASSWORD, free_port

NEWS = [("Li Na <li@example.org>", "Ward round at nine", "Bring the charts of room 7, please."),
        ("Chen <chen@example.org>", "Rota for December", "The draft is attached. Any wishes?"),
        ("Anna Berg <anna@example.org>", "Minutes of the meeting", "Two points are for you.")]


class FarmGateway(clicks.RingingGateway):
    account = USER

    def __init__(self, program, push, farm, port):
        super().__init__(program, push, port)
        self.farm = farm

    def configuration(self):
        return super().configuration() | self.farm.configuration()


class Whole(clicks.Story):
    def __init__(self, by, gateway, push, desktop, pictures, farm):
        super().__init__(by, gateway, push, desktop, pictures)
        self.farm = farm

    async def set_up(self, page):
        await page.click("#set-up [name=username]")
        await page.type(USER)
        await page.click("#set-up [name=password]")
        await page.type(MAIL_PASSWORD)
        await page.click("#set-up button[type=submit]")

    async def state(self, *states):
        """Waits for the gateway to know the app's client in one of these states."""
        await self.by.page.see(
            "fetch('/v1/sessions').then((r) => r.json()).then((r) =>"
            f" r.items.some((i) => i.app === 'mail' && {list(states)}.includes(i.state)))", 40)

    async def back_in_the_app(self, launches, subject, picture):
        await self.logged("launch.confirmed", launches)
        await self.state("active", "visible")
        await self.farm.window(subject)
        # The picture comes after the window.
        await asyncio.sleep(2)
        await self.picture(picture)
        for program in ("Xvnc", "sylpheed"):
            if self.farm.count(program) != 1:
                raise Fault(f"{self.farm.count(program)} × {program}")

    async def launch(self):
        self.farm.deliver(*NEWS[0])
        page = self.by.page
        await page.see_text("1 new")
        await page.click("button[aria-label='Open Mail']")
        await page.see("document.querySelector('#stage iframe')?.contentDocument?.querySelector('canvas') != null", 60)
        await self.back_in_the_app(1, "Sylpheed", "4-launched")
        self.say("the mail program is in the page, with the mail")

    async def elsewhere(self):
        await self.by.cover()
        await self.state("hidden")
        self.farm.deliver(*NEWS[1])
        notice = await self.desktop.notice("Chen", 40)
        self.desktop.click(notice)
        await self.by.uncovered()
        await self.back_in_the_app(2, NEWS[1][1], "5-back-from-another-tab")
        self.say("behind another tab: rung by the stream; the click brought the app back, at the mail")

    async def away(self):
        await self.by.leave()
        await self.logged("stream.closed")
        count = len(self.push.taken)
        self.farm.deliver(*NEWS[2])
        notice = await self.desktop.notice("Anna", 40)
        if len(self.push.taken) != count + 1:
            raise Fault("the news did not come as a push")
        await self.by.accepted(self.push.taken[-1])
        self.desktop.click(notice)
        await self.by.opened(lambda url: url.startswith(self.gateway.origin))
        await self.back_in_the_app(3, NEWS[2][1], "6-back-by-push")
        self.say("no page open: rung by an encrypted push; the click opened the app, at the mail")

    async def secrets(self):
        leaks = [secret for secret in (MAIL_PASSWORD, PASSWORD, "Rota for") if secret in self.gateway.text()]
        if leaks:
            raise Fault(f"in the log: {leaks}")


async def tell(name, program, pictures):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="farbell-push-") as folder:
        async with Farm(port) as farm, clicks.PushService(pathlib.Path(folder)) as push, \
                FarmGateway(program, push, farm, port) as gateway, clicks.Desktop() as desktop, \
                clicks.BROWSERS[name](desktop, push, gateway) as by:
            story = Whole(by, gateway, push, desktop, pictures, farm)
            steps = (story.subscribe, story.launch, story.elsewhere, story.away, story.secrets)
            await clicks.walk(story, steps)


async def main(program, pictures, *names):
    pictures.mkdir(parents=True, exist_ok=True)
    for name in names or clicks.BROWSERS:
        await tell(name, program, pictures)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:]))
    except Fault as fault:
        print(f"whole: {fault}", file=sys.stderr)
        sys.exit(1)
