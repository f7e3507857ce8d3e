"""Steps: two people find one another, talk, and see how the other is."""
import json
import pathlib
import tempfile

from browser import Fault, until
from gateway import ATTACHMENT_BYTES, OTHER, PASSWORD
from walk import Walk

LONG_AGO = 60


class Talking(Walk):
    async def talking(self):
        """Alice is at the page of all the other steps; Bob has a browser of his own."""
        self.bob = await self.browser.page(self.gateway.origin + "/", await self.browser.context())
        await self.bob.size(1100, 720)
        await self.bob.dark(False)
        await self.converse()
        await self.attach()
        await self.page_back()
        await self.statuses()
        await self.talk_looks()
        await self.bob.run(f"({CALL})('DELETE', '/v1/portal/session')")
        await self.list_apps()

    async def converse(self):
        await self.sign_in_other()
        await self.become_contacts()
        await self.talk()
        await self.change()

    async def at(self, page, what):
        """axe-core and the console, on a page that may be Bob's."""
        own, self.page = self.page, page
        try:
            await self.check(what)
        finally:
            self.page = own

    async def sign_in_other(self):
        bob = self.bob
        await bob.sign_in(OTHER, PASSWORD)
        await bob.see_text("Live")
        await bob.click("a[data-key=nav-talks]")
        await bob.see("document.querySelector('h1')?.textContent === 'Messages'")

    async def become_contacts(self):
        alice, bob = self.page, self.bob
        await alice.click("a[data-key=nav-talks]")
        await alice.see_text("Nobody has written yet.")
        await alice.click("#add-contact")
        await alice.type(OTHER)
        await alice.enter()
        await alice.see_text("Asked; no answer yet")
        # Nobody of that name: it looks the same.
        await alice.see("document.getElementById('add-contact').value === ''")
        await alice.click("#add-contact")
        await alice.type("nobody")
        await alice.enter()
        await alice.see("document.body.innerText.split('Asked; no answer yet').length === 3")
        await bob.see_text("Asks to be your contact")
        await self.at(bob, "a contact's request")
        await bob.click("[data-key=agree-alice]")
        for page in (alice, bob):
            await page.see("document.querySelector('.presence.online') !== null")
        self.say("two people are contacts and see one another online")

    async def talk(self):
        alice, bob = self.page, self.bob
        await alice.click(f"a[data-key=contact-{OTHER}]")
        await alice.see("document.getElementById('compose') !== null")
        await self.check("an empty conversation")
        await alice.click("#compose")
        await alice.type("Is the ward round at ten?")
        await bob.see_text("alice is writing…")
        await alice.enter()
        await alice.see("document.querySelector('.log .own .text')?.textContent === 'Is the ward round at ten?'")
        await alice.see("document.activeElement?.id === 'compose' && document.activeElement.value === ''")
        await bob.see_text("1 new")
        await bob.see_text("Is the ward round at ten?")
        await self.at(bob, "the list of conversations")
        await alice.see_text("delivered")
        await bob.click("a[data-key='talk-account/alice']")
        await bob.see("document.querySelector('.log .theirs .text') !== null")
        await alice.see("document.querySelector('.log .own p.quiet').textContent.includes('read')")
        await bob.click("#compose")
        await bob.type("At nine.\nBring the list.")
        await bob.enter()
        await alice.see("document.querySelector('.log .theirs .text')?.textContent === 'At nine.\\nBring the list.'")
        # What comes is read aloud, and what was there is not read again.
        spoken = await alice.run("document.querySelector('.log').getAttribute('role')")
        if spoken != "log":
            raise Fault("the history is no log")
        await bob.see("document.querySelector('.log .own p.quiet').textContent.includes('read')")
        if "At nine" in await alice.run("document.getElementById('toasts').textContent"):
            raise Fault("what is read is announced, too")
        await alice.run("document.getElementById('toasts').replaceChildren(), window.scrollTo(0, 0)")
        await self.picture("talk")
        self.say("they talk: typing, delivered and read marks")

    async def change(self):
        alice, bob = self.page, self.bob
        await alice.run("window.kept = document.querySelector('.log .theirs')")
        await alice.click(".log .own [data-key^=edit-]")
        await alice.see("document.activeElement?.id === 'compose'")
        await alice.run("document.getElementById('compose').select()")
        await alice.type("Is the round at half past nine?")
        await alice.enter()
        await bob.see("document.querySelector('.log .theirs .text').textContent === 'Is the round at half past nine?'")
        await bob.see_text("edited")
        if not await alice.run("window.kept.isConnected"):
            raise Fault("an entry that stayed was drawn anew")
        await bob.click(".log .own [data-key^=withdraw-]")
        await bob.click("dialog .danger")
        await alice.see_text("This message was withdrawn.")
        if await alice.run("document.querySelector('.log').textContent.includes('Bring the list')"):
            raise Fault("what was withdrawn is still there")
        self.say("edits and withdrawals show on both sides")

    async def attach(self):
        with tempfile.TemporaryDirectory(prefix="farbell-attach-") as folder:
            files = {name: pathlib.Path(folder, name) for name in ("Plan März (1).txt", "rota.csv", "scan.bin")}
            for name, file in files.items():
                file.write_bytes(name.encode() * 100)
            files["scan.bin"].write_bytes(bytes(2 * ATTACHMENT_BYTES))
            await self.attach_by_keyboard(*files.values())

    async def attach_by_keyboard(self, plan, rota, scan):
        alice, bob, place = self.page, self.bob, self.gateway.files
        chosen = "[...document.querySelectorAll('.chosen li span')].map((e) => e.textContent)"
        await alice.send("Page.setInterceptFileChooserDialog", enabled=True)
        # The place's certificate is of nobody's making.
        await alice.send("Security.setIgnoreCertificateErrors", ignore=True)
        await alice.click("#compose")
        await alice.tab()
        await alice.tab()
        await alice.see("document.activeElement?.id === 'attach'")
        await alice.enter()
        await alice.choose(scan)
        await alice.see_text("“scan.bin” is too large: it has 195.3 kB, and at most 97.7 kB can be sent.")
        await self.check("a conversation with a file that is too large")
        await alice.enter()
        await alice.choose(plan, rota)
        await alice.see(f"{chosen}.length === 2")
        if await alice.run("document.querySelector('.compose .fault').textContent"):
            raise Fault("what was wrong is still said")
        await self.check("a conversation with files to be sent")
        await self.picture("attach")
        await alice.see("document.activeElement?.id === 'attach'")
        for _ in range(2):
            await alice.tab(back=True)
        await alice.see("document.activeElement?.getAttribute('aria-label') === 'Remove rota.csv'")
        await alice.enter()
        await alice.see(f"{chosen}.length === 1 && document.activeElement.id === 'attach'")
        place.failures = 1
        await alice.click("#compose")
        await alice.enter()
        await alice.see_text("“Plan März (1).txt” could not be uploaded. Nothing was sent; try again.")
        self.expected("507")
        await alice.click("#compose")
        await alice.enter()
        await bob.see("document.querySelector('.log .theirs .files a')?.textContent === 'Plan März (1).txt'")
        await alice.see(f"{chosen}.length === 0")

        async def is_kept():
            return list(place.kept.items())

        kept = await until("the file", is_kept)
        if len(kept) != 1 or kept[0][1] != {"body": plan.read_bytes(), "type": "text/plain"} or place.refused:
            raise Fault(f"kept: {[path for path, _ in kept]}; refused: {place.refused}")
        address = await bob.run("document.querySelector('.log .theirs .files a').href")
        if address != place.url.removesuffix("/farbell") + kept[0][0]:
            raise Fault(f"the message names {address}")
        await self.picture("attached")
        self.say("a file goes with a message, by keyboard; one that is too large or did not arrive is told")

    async def page_back(self):
        alice, bob = self.page, self.bob
        await bob.run(
            f"(async () => {{ for (let n = 1; n <= {LONG_AGO}; n += 1) await ({CALL})('POST', '/v1/messages',"
            " { to: { account: 'alice' }, body: `Line ${n}` }); })()")
        await alice.see_text(f"Line {LONG_AGO}")
        await alice.run("window.isOld = true; location.reload()")
        await alice.see(f"!window.isOld && document.querySelector('.log')?.textContent.includes('Line {LONG_AGO}')")
        if await alice.run("document.querySelector('.log').textContent.includes('half past')"):
            raise Fault("the whole history came at once")
        await alice.click("[data-key=earlier]")
        await alice.see("document.querySelector('.log').textContent.includes('half past')")
        order = await alice.run(
            "[...document.querySelectorAll('.log li[data-number]')].map((e) => Number(e.dataset.number))")
        if order != sorted(order) or len(set(order)) != len(order):
            raise Fault(f"entries out of order: {order}")
        await alice.see("document.querySelector('[data-key=earlier]') === null")
        self.say(f"{len(order)} entries, page by page, in order and once each")

    async def statuses(self):
        alice, bob = self.page, self.bob
        await alice.click("a[data-key=nav-talks]")
        await alice.see("document.querySelector('#status [name=status]') !== null")
        await alice.run(
            "(() => { const s = document.querySelector('#status [name=status]'); s.value = 'lunch';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await alice.click("[name=status-text]")
        await alice.type("noodles")
        await alice.enter()
        await bob.see_text("At lunch: noodles")
        await self.check("conversations, contacts and status")
        await alice.run("document.getElementById('toasts').replaceChildren(), window.scrollTo(0, 0)")
        await self.picture("talks")
        self.say("a status with own words shows at the other side")

    async def talk_looks(self):
        alice = self.page
        await alice.dark(True)
        await alice.click("a[data-key='talk-account/bob']")
        await alice.see("document.querySelectorAll('.log li').length > 10")
        await self.check("a conversation, dark")
        await self.picture("talk-dark")
        await alice.size(390, 844, scale=2, phone=True)
        await self.check("a conversation on a phone, dark")
        await self.picture("phone-talk-dark")
        width = await alice.run("document.documentElement.scrollWidth")
        if width > 390:
            raise Fault(f"a phone has to scroll sideways: {width}")
        await alice.dark(False)
        await self.language("zh")
        await alice.see_text("按 Enter 发送")
        await alice.see("document.getElementById('attach')?.textContent === '添加附件'")
        await self.check("a conversation on a phone, Chinese")
        await self.picture("phone-talk-chinese")
        await self.language("en")
        await alice.size(1100, 720)

    async def language(self, tag):
        await self.page.run(
            f"(() => {{ const s = document.getElementById('language'); s.value = {json.dumps(tag)};"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")


# A call as the page makes it.
CALL = """async (method, path, body) => {
  const { csrf } = await (await fetch('/v1/portal/session')).json();
  const answer = await fetch(path, { method, body: body && JSON.stringify(body),
    headers: { 'Content-Type': 'application/json', 'Farbell-CSRF': csrf } });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
}"""
