"""A desktop without a screen: an X server, a window manager, a session bus, and a notification service that tells
what it is asked to show and clicks as a person would."""
import asyncio
import json
import os
import pathlib
import signal
import tempfile

from browser import Fault, until

BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""
HERE = pathlib.Path(__file__).parent


class Desktop:
    """Programs started with `environment()` are on it. Ended with the `async with`."""

    def __init__(self, width=1280, height=900):
        self.size = f"{width}x{height}x24"
        self.processes = []
        # What is shown now, by number; what was ever shown, in order.
        self.open, self.shown, self.closed = {}, [], []

    async def __aenter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="farbell-desktop-")
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def start(self):
        inlet, outlet = os.pipe()
        await self.run("Xvfb", "-displayfd", str(outlet), "-screen", "0", self.size, "-nolisten", "tcp", "-noreset",
                       pass_fds=(outlet,))
        os.close(outlet)
        # A line: the number comes before its end, and the server wants to write both.
        with os.fdopen(inlet) as lines:
            number = await asyncio.to_thread(lines.readline)
        if not number.strip():
            raise Fault("the X server did not start")
        self.display = f":{number.strip()}"
        config = pathlib.Path(self.folder.name, "bus.conf")
        config.write_text(BUS)
        bus = await self.run("dbus-daemon", "--nofork", "--print-address", "--config-file", str(config),
                             stdout=asyncio.subprocess.PIPE)
        self.bus = (await asyncio.wait_for(bus.stdout.readline(), 20)).decode().strip()
        await self.run("openbox", "--sm-disable", env=self.environment())
        self.notices = await self.run(
            "/usr/bin/python3", "-B", str(HERE / "notices.py"), env=self.environment(),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
        line = await asyncio.wait_for(self.notices.stdout.readline(), 20)
        if not line:
            raise Fault("the notification service did not start: python3-dbus and python3-gi are needed")
        self.reader = asyncio.create_task(self.read())

    async def __aexit__(self, *_):
        if hasattr(self, "reader"):
            self.reader.cancel()
        for process in reversed(self.processes):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    await asyncio.wait_for(process.wait(), 10)
                except asyncio.TimeoutError:
                    os.killpg(process.pid, signal.SIGKILL)
                    await process.wait()
        self.folder.cleanup()

    async def run(self, program, *arguments, **options):
        options = {"stdin": asyncio.subprocess.DEVNULL, "stdout": asyncio.subprocess.DEVNULL,
                   "stderr": asyncio.subprocess.DEVNULL, "start_new_session": True} | options
        process = await asyncio.create_subprocess_exec(program, *arguments, **options)
        self.processes.append(process)
        return process

    def environment(self):
        kept = {key: value for key, value in os.environ.items()
                if "proxy" not in key.lower() and key not in ("WAYLAND_DISPLAY", "XDG_RUNTIME_DIR")}
        return kept | {"DISPLAY": self.display, "DBUS_SESSION_BUS_ADDRESS": self.bus, "NO_AT_BRIDGE": "1",
                       "GSETTINGS_BACKEND": "memory"}

    async def read(self):
        async for line in self.notices.stdout:
            event = json.loads(line)
            if event["event"] == "shown":
                self.shown.append(event)
                self.open[event["id"]] = event
            else:
                self.open.pop(event["id"], None)
                self.closed.append(event)

    async def notice(self, text, seconds=20):
        """Waits for a notification with this text to be shown."""
        async def look():
            return next((n for n in self.open.values() if text in f"{n['title']}\n{n['body']}"), None)

        try:
            return await until("the notification", look, seconds)
        except Fault:
            raise Fault(f"no notification with “{text}”; shown: {self.shown}") from None

    async def gone(self, notice):
        async def look():
            return notice["id"] not in self.open

        await until(f"the end of the notification {notice}", look)

    def act(self, **order):
        self.notices.stdin.write(json.dumps(order).encode() + b"\n")

    def click(self, notice):
        if "default" not in notice["actions"]:
            raise Fault(f"it cannot be clicked: {notice}")
        self.act(click=notice["id"], action="default")

    async def picture(self, path):
        """The whole screen, by ImageMagick."""
        process = await self.run("import", "-window", "root", str(path), env=self.environment())
        if await asyncio.wait_for(process.wait(), 30) != 0:
            raise Fault("no picture of the screen")
