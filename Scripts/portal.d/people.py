"""Steps: signing in, setting apps up, how it looks, signing out."""
from browser import Fault
from gateway import ACCOUNT, PASSWORD
from walk import Walk


class People(Walk):
    async def sign_in(self):
        page = self.page
        await page.see("document.activeElement?.name === 'account'")
        await self.check("the sign-in page")
        await self.picture("sign-in")
        await page.sign_in(ACCOUNT, "wrong password")
        await page.see_text("The account or its password is wrong.")
        self.expected("401")
        await page.run("document.querySelector('[name=password]').select()")
        await page.type(PASSWORD)
        await page.enter()
        await page.see("document.querySelector('h1')?.textContent === 'Your apps'")
        inline = await page.run(
            "(() => { try { const s = document.createElement('script'); s.textContent = 'window.foreign = true';"
            " document.body.append(s); } catch { } return window.foreign === true; })()")
        if inline:
            raise Fault("a script inside the page runs")
        self.expected("Trusted")
        self.expected("Content Security Policy")
        cookie = await page.run("document.cookie")
        if cookie:
            raise Fault("a script can read a cookie")
        kept = (await self.browser.send("Storage.getCookies"))["cookies"]
        flags = [(c["name"], c["httpOnly"], c["secure"], c.get("sameSite"), c["path"]) for c in kept]
        if flags != [("__Host-farbell", True, True, "Strict", "/")]:
            raise Fault(f"cookies: {flags}")
        self.say("signed in by keyboard; the cookie is out of a script's reach")

    async def install(self):
        """The browser itself says whether it would put the portal on the desktop."""
        await self.page.see("navigator.serviceWorker.ready.then((r) => r.active?.state === 'activated')")
        errors = (await self.page.send("Page.getInstallabilityErrors"))["installabilityErrors"]
        manifest = await self.page.send("Page.getAppManifest")
        if errors or manifest["errors"] or not manifest.get("data"):
            raise Fault(f"it cannot be installed: {errors} {manifest['errors']}")
        self.say("Chromium would install it")

    async def set_up(self):
        page = self.page
        await page.see_text("Live")
        await self.check("the list of apps")
        await page.click("a[aria-label='Set up Mail']")
        await page.see_text("This app needs no credentials.")
        await page.click("#set-up button[type=submit]")
        await page.see_text("Watching", 30)
        await self.list_apps()
        await page.click("a[aria-label='Set up Outlook']")
        await page.see("document.querySelectorAll('#set-up input').length === 2")
        await self.check("the form of an app")
        await page.click("#set-up [name=username]")
        await page.type("alice@example.org")
        await page.tab()
        await page.type("mail-password")
        await page.enter()
        await page.see_text("Outlook is set up.")
        await self.list_apps()
        await page.see_text("Trying again soon", 30)
        self.say("two apps are set up; the health of both is told")

    async def settings(self):
        page = self.page
        await page.click("a[data-key=details-mail]")
        await page.see("document.querySelector('#notify [name=summary]') !== null")
        await page.run(
            "(() => { const s = document.querySelector('#notify [name=summary]'); s.value = 'full';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.click("#quiet")
        await page.see("!document.querySelector('.hours').hidden")
        await page.click("#notify button[type=submit]")
        await page.see_text("Saved.")
        notify = await page.run(
            "fetch('/v1/registrations').then((r) => r.json())"
            ".then((r) => r.items.find((i) => i.app === 'mail').notify)")
        if notify.get("summary") != "full" or notify.get("quietHours", {}).get("from") != "22:00":
            raise Fault(f"settings were not kept: {notify}")
        await page.click("#quiet")
        await page.click("#notify button[type=submit]")
        await page.see(
            "fetch('/v1/registrations').then((r) => r.json())"
            ".then((r) => r.items.find((i) => i.app === 'mail').notify.quietHours === undefined)")
        self.say("summary policy and quiet hours are kept")

    async def looks(self):
        page = self.page
        gateway = self.gateway
        for sender, subject in [
                ("Anna Berg <anna@example.org>", "Minutes of Monday's meeting"),
                ("Li Na <li@example.org>", "Rota for December"), ("Chen <chen@example.org>", "Re: budget")]:
            gateway.deliver(sender, subject)
        await page.see_text("5 new")
        await page.run("document.getElementById('toasts').replaceChildren()")
        await page.size(1100, 720)
        await self.check("the list of apps")
        await self.picture("apps-light")
        await page.dark(True)
        await self.check("the list of apps, dark")
        await self.picture("apps-dark")
        await page.click("a[data-key=details-mail]")
        await page.see_text("Minutes of Monday")
        await self.check("an app, dark")
        await self.picture("app-dark")
        await page.size(390, 844, scale=2, phone=True)
        await self.check("an app on a phone, dark")
        await self.picture("phone-app-dark")
        await page.dark(False)
        await self.list_apps()
        await self.check("the list of apps on a phone")
        width = await page.run("document.documentElement.scrollWidth")
        if width > 390:
            raise Fault(f"a phone has to scroll sideways: {width}")
        await self.picture("phone-apps")
        await page.run(
            "(() => { const s = document.getElementById('language'); s.value = 'zh';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.see_text("您的应用")
        await self.check("the list of apps, Chinese")
        await self.picture("phone-chinese")
        await page.size(1100, 720)
        await self.picture("apps-chinese")
        await page.click("a[data-key=nav-devices]")
        await page.see_text("当前已连接")
        await self.check("the devices, Chinese")
        await self.picture("devices-chinese")
        locale = await page.see(
            "fetch('/v1/devices').then((r) => r.json()).then((r) => r.items[0].locale === 'zh-CN' && 'zh-CN')")
        self.say(f"light, dark, on a phone, in Chinese; notifications too are in {locale}")

    async def sign_out(self):
        page = self.page
        await page.run(
            "(() => { const s = document.getElementById('language'); s.value = 'en';"
            " s.dispatchEvent(new Event('change', { bubbles: true })); })()")
        await page.click("#everywhere")
        await page.see("document.querySelector('dialog[open]') !== null")
        await self.check("the question")
        await page.click("dialog .danger")
        await page.see("document.querySelector('[name=account]') !== null")
        cookies = (await self.browser.send("Storage.getCookies"))["cookies"]
        if cookies:
            raise Fault("the cookie is still there")
        await page.go(self.gateway.origin + "/l/some-tap")
        await page.see_text("Sign in to open your message.")
        if await page.run("location.pathname") != "/":
            raise Fault("the tap stays in the address")
        await page.sign_in(ACCOUNT, PASSWORD)
        await page.see_text("used already or is too old")
        self.say("signed out everywhere; a tap asks to sign in, then goes on")
