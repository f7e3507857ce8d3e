#!/usr/bin/env python3
"""Two people talk, each in a Firefox of its own.

    together.py PROGRAM PICTURES     PROGRAM is the built farbell"""
import asyncio
import pathlib
import sys

from browser import Fault
from desktop import Desktop
from firefox import Firefox
from gateway import ACCOUNT, PASSWORD, Gateway
from talking import Talking

# Nobody is pushed to.
NO_PUSH_SERVICE = "ws://127.0.0.1:9/"


class Together(Talking):
    """The steps that two people take in Chromium."""

    async def check(self, what):
        """axe-core looks in Chromium: it finds the same there."""

    async def picture(self, name):
        await super().picture(f"firefox-{name}")


async def walk(program, pictures):
    pictures.mkdir(parents=True, exist_ok=True)
    async with Gateway(program) as gateway, Desktop() as desktop, Firefox(desktop, NO_PUSH_SERVICE) as alice, \
            Firefox(desktop, NO_PUSH_SERVICE) as bob:
        steps = Together(gateway, None, alice, pictures)
        steps.bob = bob
        try:
            for page in (alice, bob):
                await page.go(gateway.origin + "/")
            await alice.sign_in(ACCOUNT, PASSWORD)
            await alice.see_text("Live")
            await steps.converse()
        except Exception:
            for page, name in ((alice, "alice"), (bob, "bob")):
                await page.picture(pictures / f"firefox-fault-{name}.png")
            print(f"The log ends:\n{gateway.text()[-3000:]}", file=sys.stderr)
            raise


if __name__ == "__main__":
    try:
        asyncio.run(walk(sys.argv[1], pathlib.Path(sys.argv[2])))
    except Fault as fault:
        print(f"together: {fault}", file=sys.stderr)
        sys.exit(1)
