#!/usr/bin/env python3
"""Walks through the portal in Chromium: signs in, sets an app up, hears of news, is rung by a push, is looked at by
axe-core. Pictures go to a folder.

    see.py PROGRAM PICTURES     PROGRAM is the built farbell
"""
import asyncio
import pathlib
import sys

from browser import Browser, Fault
from files import FilePlace
from gateway import PASSWORD, Gateway
from people import People
from ringing import Ringing
from talking import Talking


class Steps(People, Ringing, Talking):
    """All of them."""


async def walk(program, pictures):
    pictures.mkdir(parents=True, exist_ok=True)
    async with FilePlace() as files, Gateway(program, files=files) as gateway, Browser() as browser:
        await browser.send(
            "Browser.setPermission", permission={"name": "notifications"}, setting="granted", origin=gateway.origin)
        page = await browser.page(gateway.origin + "/")
        await page.size(1100, 720)
        await page.dark(False)
        steps = Steps(gateway, browser, page, pictures)
        try:
            for step in (steps.sign_in, steps.install, steps.set_up, steps.settings, steps.presence, steps.push,
                         steps.launches, steps.stage, steps.tabs, steps.tap, steps.talking, steps.looks, steps.sign_out):
                await step()
        except Exception:
            await steps.picture("fault")
            print(f"The log ends:\n{gateway.text()[-3000:]}", file=sys.stderr)
            shown = await page.run(
                "navigator.serviceWorker.ready.then((r) => r.getNotifications())"
                ".then((n) => n.map((i) => [i.tag, i.title, i.body].join(' / ')))")
            print(f"The page said: {page.complaints}; notifications: {shown}", file=sys.stderr)
            raise
        secrets = [PASSWORD, "mail-password", "fbd_", "Ward round", "ward round", "noodles"]
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
