"""Firefox, driven through Marionette: commands as lists of JSON, each with its length before it."""
import asyncio
import base64
import itertools
import json
import os
import pathlib
import shutil
import signal
import tempfile

from browser import ANSWER_SECONDS, Fault, Tab, until

# A browser that is left alone: it asks nobody anything but the pages it is shown and our push service.
PREFERENCES = {
    "marionette.port": 0,
    # They would turn push off, among others.
    "remote.prefs.recommended": False,
    "dom.push.enabled": True,
    "dom.push.connection.enabled": True,
    "dom.push.testing.allowInsecureServerURL": True,
    "alerts.useSystemBackend": True,
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.aboutwelcome.enabled": False,
    "browser.discovery.enabled": False,
    "browser.newtabpage.enabled": False,
    "browser.safebrowsing.downloads.enabled": False,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.search.update": False,
    "browser.sessionstore.resume_from_crash": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.startup.homepage_override.mstone": "ignore",
    "browser.startup.page": 0,
    "browser.tabs.warnOnClose": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.update.enabled": False,
    "intl.accept_languages": "en-US",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.prefetch-next": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
    "signon.rememberSignons": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
    "toolkit.telemetry.unified": False,
    "termsofuse.bypassNotification": True,
}
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Keys, as WebDriver writes them (section 17.4.2).
TAB, ENTER, SHIFT = "\ue004", "\ue007", "\ue008"


class Firefox(Tab):
    """Firefox with a profile of its own, on a `Desktop`, and the tab of it that is driven now."""

    def __init__(self, desktop, push_url):
        self.desktop = desktop
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="farbell-firefox-"))
        self.preferences = PREFERENCES | {"dom.push.serverURL": push_url}
        self.numbers = itertools.count(1)
        self.lock = asyncio.Lock()
        self.writer = None

    @staticmethod
    def program():
        return shutil.which("firefox-esr") or shutil.which("firefox")

    async def __aenter__(self):
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in self.preferences.items()]
        (self.folder / "user.js").write_text("".join(lines))
        self.log = open(self.folder / "log", "wb")
        environment = self.desktop.environment() | {"MOZ_CRASHREPORTER_DISABLE": "1", "HOME": str(self.folder)}
        self.process = await asyncio.create_subprocess_exec(
            self.program(), "--marionette", "--no-remote", "--profile", str(self.folder), "--width", "1100",
            "--height", "760", "about:blank", stdin=asyncio.subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            start_new_session=True, env=environment)
        try:
            await self.connect()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def connect(self):
        port_file = self.folder / "MarionetteActivePort"

        async def port():
            if self.process.returncode is not None:
                raise Fault(f"Firefox ended: {(self.folder / 'log').read_text()[-2000:]}")
            return port_file.exists() and port_file.read_text().strip()

        number = int(await until("Firefox", port, 60))
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", number)
        await self.message()
        await self.send("WebDriver:NewSession", capabilities={"alwaysMatch": {"unhandledPromptBehavior": "ignore"}})

    async def __aexit__(self, *_):
        if self.writer:
            self.writer.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def message(self):
        length = await self.reader.readuntil(b":")
        return json.loads(await self.reader.readexactly(int(length[:-1])))

    async def send(self, command, **parameters):
        """Sends one command and returns what it gives. One at a time."""
        async with self.lock:
            number = next(self.numbers)
            data = json.dumps([0, number, command, parameters])
            self.writer.write(f"{len(data)}:{data}".encode())
            try:
                while True:
                    _, answered, error, result = await asyncio.wait_for(self.message(), ANSWER_SECONDS)
                    if answered == number:
                        break
            except (asyncio.TimeoutError, asyncio.IncompleteReadError):
                raise Fault(f"Firefox did not answer {command} {str(parameters)[:300]}") from None
        if error:
            raise Fault(f"{command}: {error['error']}: {error['message']}")
        return result["value"] if isinstance(result, dict) and set(result) == {"value"} else result

    async def grant(self, name):
        """Lets the origin of the current page do what a browser asks a person about."""
        await self.send("WebDriver:SetPermission", descriptor={"name": name}, state="granted")

    async def go(self, url):
        await self.send("WebDriver:Navigate", url=url)

    async def run(self, script):
        """Evaluates a JavaScript expression, waits for a promise, and returns the value."""
        return await self.send("WebDriver:ExecuteScript", script=f"return ({script});", args=[])

    async def click(self, selector):
        await self.see(f"Boolean(document.querySelector({json.dumps(selector)}))")
        found = await self.send("WebDriver:FindElement", using="css selector", value=selector)
        await self.send("WebDriver:ElementClick", id=found[ELEMENT])

    async def type(self, text):
        """Types into what has the focus; a new line is Shift and Enter."""
        for number, line in enumerate(text.split("\n")):
            # Keys that are held down are let go of at the end of each call.
            if number:
                await self.keys(SHIFT + ENTER)
            await self.keys(line)

    async def tab(self):
        await self.keys(TAB)

    async def enter(self):
        await self.keys(ENTER)

    async def keys(self, text):
        found = await self.send("WebDriver:GetActiveElement")
        await self.send("WebDriver:ElementSendKeys", id=found[ELEMENT], text=text)

    # Tabs

    async def tabs(self):
        return await self.send("WebDriver:GetWindowHandles")

    async def open_tab(self):
        """Opens a tab in front of the others, and drives it."""
        made = await self.send("WebDriver:NewWindow", type="tab", focus=True)
        await self.switch(made["handle"])

    async def switch(self, handle, focus=True):
        await self.send("WebDriver:SwitchToWindow", handle=handle, focus=focus)

    async def close_tab(self):
        """Closes the tab that is driven."""
        await self.send("WebDriver:CloseWindow")

    async def tab_at(self, fits, seconds=20):
        """Waits for a tab whose address fits, and drives it, without putting it in front."""
        async def look():
            for handle in await self.tabs():
                try:
                    await self.switch(handle, focus=False)
                    if fits(await self.send("WebDriver:GetCurrentURL")):
                        return handle
                except Fault:
                    # It closed meanwhile.
                    continue
            return None

        return await until("the tab", look, seconds)

    async def picture(self, path):
        data = await self.send("WebDriver:TakeScreenshot", full=False)
        pathlib.Path(path).write_bytes(base64.b64decode(data))
