"""What every step of the portal's walk uses."""
import json
import pathlib
import sys
import time

from browser import Fault

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

    def expected(self, text):
        """Forgets complaints that a step causes on purpose."""
        self.page.complaints = [line for line in self.page.complaints if text not in line]

    def sessions(self, script):
        return f"fetch('/v1/sessions').then((r) => r.json()).then((r) => {{ const s = r.items; return {script}; }})"

    def decided(self, count):
        async def look():
            lines = self.gateway.events("notification.decided")
            return len(lines) >= count and lines

        return look
