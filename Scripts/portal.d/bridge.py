#!/usr/bin/env python3
"""Two people talk, one in the portal in Chromium, the other with an XMPP client (slixmpp) by a real Prosody.

    bridge.py PROGRAM PICTURES     PROGRAM is the built farbell; needs Debian's prosody, python3-slixmpp and openssl"""
import asyncio
import json
import pathlib
import shutil
import sys
import tempfile

from browser import Browser, Fault, until
from gateway import ACCOUNT, OTHER, PASSWORD, Gateway, free_port
from walk import Walk

CLIENT = pathlib.Path(__file__).parent.parent / "xmpp.d" / "client.py"
COMPONENT, SECRET = "farbell.localhost", "speak, friend"
SETTINGS = """
run_as_root = true
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ info = "{folder}/prosody.log" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {clients} }}
component_ports = {{ {components} }}
component_interfaces = {{ "127.0.0.1" }}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "presence", "message", "iq", "offline" }}
modules_disabled = {{ "s2s", "tls" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
VirtualHost "localhost"
Component "{component}"
  component_secret = "{secret}"
"""


class Prosody:
    """A server with one user, ended with the `async with`."""

    async def __aenter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="farbell-prosody-"))
        self.clients, self.components = free_port(), free_port()
        accounts = self.folder / "data" / "localhost" / "accounts"
        accounts.mkdir(parents=True)
        (accounts / f"{OTHER}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')
        settings = self.folder / "prosody.cfg.lua"
        settings.write_text(SETTINGS.format(
            folder=self.folder, clients=self.clients, components=self.components, component=COMPONENT, secret=SECRET))
        self.process = await asyncio.create_subprocess_exec(
            "prosody", "--config", str(settings), "-F", stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)

        async def listens():
            log = self.folder / "prosody.log"
            return log.exists() and log.read_text().count("Activated service") >= 2

        try:
            await until("Prosody", listens, 30)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Client:
    """A person's XMPP client: told what to do, and what it heard."""

    def __init__(self, port):
        self.port, self.heard = port, []

    async def __aenter__(self):
        self.process = await asyncio.create_subprocess_exec(
            "/usr/bin/python3", "-B", str(CLIENT), f"{OTHER}@localhost", PASSWORD, str(self.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        self.reader = asyncio.create_task(self.read())
        try:
            await self.wait("ready")
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_):
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        self.reader.cancel()

    async def read(self):
        async for line in self.process.stdout:
            self.heard.append(json.loads(line))

    def do(self, what, **fields):
        self.process.stdin.write(json.dumps({"do": what, "to": f"{ACCOUNT}@{COMPONENT}", **fields}).encode() + b"\n")

    async def wait(self, event, **fields):
        """The first event of a kind with such fields."""
        async def look():
            return next(
                (e for e in self.heard if e["event"] == event and fields.items() <= e.items()), None)

        try:
            return await until(f"{event} {fields}", look, 30)
        except Fault as fault:
            raise Fault(f"{fault}; the client heard {self.heard}") from None


class BridgeGateway(Gateway):
    def __init__(self, program, prosody):
        super().__init__(program)
        self.prosody = prosody
        (self.folder / "xmpp.secret").write_text(SECRET)

    def configuration(self):
        return super().configuration() | {
            "people": {"contacts": "directory"},
            "bridges": {"chat": {
                "kind": "xmpp", "url": f"xmpp://127.0.0.1:{self.prosody.components}", "component": COMPONENT,
                "secret": {"file": "xmpp.secret"}, "users": {"domain": "localhost"}, "receiptSeconds": 2}},
        }


class Bridge(Walk):
    def __init__(self, *parts, client):
        super().__init__(*parts)
        self.client = client

    async def meet(self):
        page, client = self.page, self.client
        await page.sign_in(ACCOUNT, PASSWORD)
        await page.see_text("Live")
        await page.click("a[data-key=nav-talks]")
        await page.see_text("Nobody has written yet.")
        await page.click("#add-contact")
        await page.type(OTHER)
        await page.enter()
        client.do("presence", type="subscribe")
        await client.wait("presence", type="available")
        await page.see("document.querySelector('.presence.online') !== null")
        client.do("presence", to=None, show="away")
        await page.see("document.querySelector('.presence.away') !== null")
        self.say("each sees the other there")

    async def hear(self):
        page, client = self.page, self.client
        client.do("send", id="one", body="Is the <round> at ten?")
        await page.see_text("1 new")
        await page.click(f"a[data-key='talk-account/{OTHER}']")
        await page.see("document.querySelector('.log .theirs .text')?.textContent === 'Is the <round> at ten?'")
        await client.wait("receipt", id="one")
        await client.wait("displayed", id="one")
        client.do("state", state="composing")
        await page.see_text(f"{OTHER} is writing…")
        self.say("what the client sent was read in the page, and it knows; its typing shows")

    async def answer(self):
        page, client = self.page, self.client
        await page.click("#compose")
        await page.type("At nine.\nBring the list.")
        await client.wait("state", state="composing")
        await page.enter()
        heard = await client.wait("message", body="At nine.\nBring the list.")
        own = "document.querySelector('.log .own p.quiet')?.textContent"
        # By the client's receipt (XEP-0184), not yet by its marker.
        await page.see(f"{own}.includes('delivered')")
        client.do("displayed", id=heard["id"])
        await page.see(f"{own}.includes('read')")
        await self.check("a conversation with an XMPP client")
        await self.picture("bridge")
        self.say("what the page sent arrived; typing, delivered and read show")


async def walk(program, pictures):
    pictures.mkdir(parents=True, exist_ok=True)
    async with Prosody() as prosody, BridgeGateway(program, prosody) as gateway, Browser() as browser:
        page = await browser.page(gateway.origin + "/")
        await page.size(1100, 720)

        async def is_connected():
            return gateway.events("bridge.connected")

        await until("the bridge", is_connected)
        async with Client(prosody.clients) as client:
            steps = Bridge(gateway, browser, page, pictures, client=client)
            try:
                for step in (steps.meet, steps.hear, steps.answer):
                    await step()
            except Exception:
                await steps.picture("bridge-fault")
                print(f"The log ends:\n{gateway.text()[-3000:]}\nThe client heard {client.heard}", file=sys.stderr)
                raise


if __name__ == "__main__":
    try:
        asyncio.run(walk(sys.argv[1], pathlib.Path(sys.argv[2])))
    except Fault as fault:
        print(f"bridge: {fault}", file=sys.stderr)
        sys.exit(1)
