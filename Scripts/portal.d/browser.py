"""Chromium, driven through its DevTools protocol."""
import asyncio
import base64
import itertools
import json
import os
import pathlib
import shutil
import signal
import tempfile

import aiohttp

PATIENCE = 20
ANSWER_SECONDS = 30


class Fault(Exception):
    """What did not happen, in words."""


async def until(what, look, seconds=PATIENCE):
    """Waits until `look()` gives something that is true, and returns it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while True:
        result = await look()
        if result:
            return result
        if loop.time() > deadline:
            raise Fault(f"waited in vain for {what}")
        await asyncio.sleep(0.05)


class Tab:
    """What a page of any browser can be asked; `run(expression)`, `type`, `tab` and `enter` are the browser's own."""

    async def sign_in(self, account, password):
        """By keyboard alone, on the page that asks for it."""
        await self.see("document.activeElement?.name === 'account'")
        await self.type(account)
        await self.tab()
        await self.type(password)
        await self.enter()

    async def see(self, script, seconds=PATIENCE):
        """Waits until JavaScript gives something that is true."""
        async def look():
            try:
                return await self.run(script)
            except Fault:
                # Between two documents.
                return None

        return await until(script, look, seconds)

    async def see_text(self, text, seconds=PATIENCE):
        return await self.see(f"document.body.innerText.includes({json.dumps(text)})", seconds)


class Browser:
    """A browser with a profile of its own, ended with the `async with`; with a window if there is a `Desktop`."""

    def __init__(self, desktop=None):
        self.desktop = desktop
        self.folder = tempfile.mkdtemp(prefix="farbell-browser-")
        self.numbers = itertools.count(1)
        self.waiting = {}
        self.pages = {}
        self.targets = {}

    async def __aenter__(self):
        program = shutil.which("chromium") or shutil.which("google-chrome")
        arguments = [
            "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars",
            "--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-US",
            "--remote-debugging-port=0", f"--user-data-dir={self.folder}", "about:blank",
        ]
        if os.geteuid() == 0:
            arguments.insert(0, "--no-sandbox")
        if self.desktop:
            environment = self.desktop.environment()
            arguments[:0] = ["--password-store=basic", "--window-position=20,20", "--window-size=1200,840"]
            # Its offer to keep a password would cover the page.
            profile = pathlib.Path(self.folder, "Default")
            profile.mkdir()
            (profile / "Preferences").write_text('{"credentials_enable_service": false}')
        else:
            environment = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
            arguments.insert(0, "--headless=new")
        # A group of its own: its helpers end with it.
        self.process = await asyncio.create_subprocess_exec(
            program, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True, env=environment)
        port_file = pathlib.Path(self.folder, "DevToolsActivePort")

        async def port():
            return port_file.exists() and port_file.read_text().split()

        number, path = (await until("the browser", port, 60))[:2]
        self.http = aiohttp.ClientSession()
        self.socket = await self.http.ws_connect(f"ws://127.0.0.1:{number}{path}", max_msg_size=0)
        self.reader = asyncio.create_task(self.read())
        await self.send("Target.setDiscoverTargets", discover=True)
        return self

    async def __aexit__(self, *_):
        self.reader.cancel()
        await self.http.close()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def read(self):
        async for message in self.socket:
            data = json.loads(message.data)
            if "id" in data:
                waiter = self.waiting.pop(data["id"], None)
                if waiter and not waiter.done():
                    waiter.set_result(data)
                continue
            method, parameters = data["method"], data["params"]
            if method in ("Target.targetCreated", "Target.targetInfoChanged"):
                info = parameters["targetInfo"]
                self.targets[info["targetId"]] = info
            elif method == "Target.targetDestroyed":
                self.targets.pop(parameters["targetId"], None)
            page = self.pages.get(data.get("sessionId"))
            if page:
                page.heard(method, parameters)

    async def send(self, method, session=None, **parameters):
        number = next(self.numbers)
        self.waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        await self.socket.send_json(message)
        try:
            answer = await asyncio.wait_for(self.waiting[number], ANSWER_SECONDS)
        except asyncio.TimeoutError:
            raise Fault(f"the browser did not answer {method} {str(parameters)[:300]}") from None
        if "error" in answer:
            raise Fault(f"{method}: {answer['error'].get('message')}")
        return answer["result"]

    async def attach(self, target):
        session = (await self.send("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = Page(self, target, session)
        self.pages[session] = page
        return page

    async def context(self):
        """Somebody else's browser: cookies and storage of its own."""
        return (await self.send("Target.createBrowserContext"))["browserContextId"]

    async def page(self, url="about:blank", context=None):
        more = {"browserContextId": context} if context else {}
        target = (await self.send("Target.createTarget", url="about:blank", **more))["targetId"]
        page = await self.attach(target)
        for domain in ("Page", "Runtime", "Log", "ServiceWorker", "Accessibility"):
            await page.send(f"{domain}.enable")
        await page.go(url)
        return page

    def find(self, kind, fits):
        """The id of a target of a kind whose URL fits."""
        return next((key for key, info in self.targets.items() if info["type"] == kind and fits(info["url"])), None)


class Page(Tab):
    """One tab, or a worker."""

    def __init__(self, browser, target, session):
        self.browser, self.target, self.session = browser, target, session
        self.complaints = []
        self.registrations = {}
        # What a page asks files for.
        self.chooser = None
        # What is answered to requests of a path, where `Fetch` is enabled.
        self.answers = {}

    def heard(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            entry = parameters["entry"]
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
        elif method == "Page.fileChooserOpened":
            self.chooser = parameters
        elif method == "Fetch.requestPaused":
            asyncio.create_task(self.answer(parameters))
        elif method == "ServiceWorker.workerRegistrationUpdated":
            for registration in parameters["registrations"]:
                self.registrations[registration["scopeURL"]] = registration["registrationId"]

    async def answer(self, parameters):
        path = "/" + parameters["request"]["url"].split("/", 3)[3]
        await self.send(
            "Fetch.fulfillRequest", requestId=parameters["requestId"], responseCode=201,
            responseHeaders=[{"name": "Content-Type", "value": "application/json"}],
            body=base64.b64encode(json.dumps(self.answers[path]).encode()).decode())

    async def send(self, method, **parameters):
        return await self.browser.send(method, self.session, **parameters)

    async def go(self, url):
        await self.send("Page.navigate", url=url)

    async def run(self, script):
        """Evaluates JavaScript, waits for a promise, and returns the value."""
        answer = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Fault(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    async def click(self, selector, meanwhile=None):
        """Clicks as a mouse does: in the middle of what can be seen. `meanwhile` runs while the button is down."""
        await self.see(f"Boolean(document.querySelector({json.dumps(selector)}))")
        box = await self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({ block: 'center' }); const b = e.getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)
            if meanwhile and kind == "mousePressed":
                await self.run(meanwhile)

    async def choose(self, *files):
        """Answers the page's question for files, which the next key or click brings up."""
        async def asked():
            return self.chooser

        chooser = await until("the choice of files", asked)
        self.chooser = None
        await self.send(
            "DOM.setFileInputFiles", files=[str(file) for file in files], backendNodeId=chooser["backendNodeId"])

    async def type(self, text):
        await self.send("Input.insertText", text=text)

    async def key(self, name, code=None, number=0, text=None, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            await self.send(
                "Input.dispatchKeyEvent", type=kind, key=name, code=code or name, windowsVirtualKeyCode=number,
                modifiers=modifiers, **more)

    async def tab(self, back=False):
        await self.key("Tab", number=9, modifiers=8 if back else 0)

    async def enter(self):
        await self.key("Enter", number=13, text="\r")

    async def size(self, width, height, scale=1, phone=False):
        await self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone)

    async def dark(self, is_dark):
        await self.send(
            "Emulation.setEmulatedMedia",
            features=[
                {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"},
                # What fades in has no contrast yet.
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ])

    async def picture(self, path):
        await self.send("Page.bringToFront")
        # Two frames, so that what was just drawn is on it; a browser with nothing to draw may make none.
        await self.run(
            "new Promise((done) => { setTimeout(done, 500);"
            " requestAnimationFrame(() => requestAnimationFrame(done)); })")
        data = await self.send("Page.captureScreenshot", format="png")
        pathlib.Path(path).write_bytes(base64.b64decode(data["data"]))

    async def hide(self, is_hidden):
        """Puts another tab in front, or this one."""
        if is_hidden:
            self.cover = await self.browser.page()
            await self.cover.send("Page.bringToFront")
        else:
            await self.send("Page.bringToFront")
