"""A real farm of one user for whole.py: Dovecot with his mail, Sylpheed that reads it on Xvnc, websockify.
Needs root: it makes a user of Linux, and takes him away again."""
import asyncio
import email.utils
import fcntl
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile

from browser import Fault, until
from gateway import free_port

USER = "farbell-whole"
COMMENT = "made by Farbell's scripts"
MAIL_PASSWORD = "mail of " + secrets.token_hex(6)
PROGRAMS = ["Xvnc", "websockify", "vncpasswd", "openbox", "wmctrl", "sylpheed", "dovecot", "doveadm"]

DOVECOT = """base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 1
mail_location = maildir:{folder}/mail
passdb {{
  driver = passwd-file
  args = scheme=PLAIN {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail
}}
namespace inbox {{
  inbox = yes
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"""
ACCOUNT = """[Account: 1]
account_name=Ward
is_default=1
name=Alice Berg
address={user}@example.org
receive_server=127.0.0.1
protocol=3
user_id={user}
password={password}
receive_at_getall=1
set_imapport=1
imap_port={port}
ssl_imap=0
imap_auth_method=0
inbox=#imap/Ward/INBOX
"""
LOOKS = """[Common]
check_on_startup=1
open_inbox_on_startup=1
autochk_newmail=0
immediate_execution=1
mainwin_width=1180
mainwin_height=740
mainwin_x=40
mainwin_y=20
"""
FOLDERS = """<?xml version="1.0" encoding="UTF-8"?>
<folderlist>
    <folder type="imap" name="Ward" account_id="1">
        <folderitem type="inbox" name="INBOX" path="INBOX" mtime="0" new="0" unread="0" total="0" />
    </folder>
</folderlist>
"""
# What an administrator writes to /etc/farbell/apps/mail: the mail that was tapped, or the program. Sylpheed has to look
# for new mail before it finds it.
APP = """#!/bin/sh
if [ -n "$FARBELL_ITEM" ] && wmctrl -x -a .Sylpheed; then
    sylpheed --receive
    sleep 1
    exec sylpheed --open "#imap/Ward/INBOX/${{FARBELL_ITEM#*/}}"
fi
exec {tools}/farm-raise Sylpheed sylpheed
"""


class Farm:
    def __init__(self, gateway_port):
        self.gateway_port = gateway_port
        self.imap, self.relay = free_port(), free_port()
        self.processes = []

    async def __aenter__(self):
        if os.geteuid() != 0:
            raise Fault("this makes a user: run it as root")
        missing = [program for program in PROGRAMS if not shutil.which(program)]
        if missing:
            raise Fault(f"missing: {missing}; Scripts/install --farms --tests installs them")
        await self.lock_user()
        if self.is_left_behind():
            await self.remove_user()
        subprocess.run(["useradd", "--comment", COMMENT, "--create-home", "--shell", "/bin/bash", USER], check=True)
        self.person = pwd.getpwnam(USER)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="farbell-farm-"))
        self.folder.chmod(0o755)
        try:
            await self.start()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def lock_user(self):
        """The run before may be on its way out still."""
        self.lock = open(f"/run/lock/{USER}", "wb")
        for _ in range(600):
            try:
                return fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                await asyncio.sleep(0.1)
        raise Fault(f"another run has the user {USER}")

    @staticmethod
    def is_left_behind():
        """By a run that was killed: whoever holds the lock may take it away."""
        try:
            found = pwd.getpwnam(USER)
        except KeyError:
            return False
        if found.pw_gecos != COMMENT:
            raise Fault(f"there is a user {USER} already, and not of ours")
        return True

    async def start(self):
        self.install_tools()
        self.install_mail()
        await self.run("dovecot", "-F", "-c", str(self.folder / "dovecot.conf"))
        await self.run(
            "websockify", "--token-plugin", "JSONTokenApi", "--token-source",
            f"http://127.0.0.1:{self.gateway_port}/farms/desk/token?token=%s", f"127.0.0.1:{self.relay}")
        for port in (self.imap, self.relay):
            await until(f"port {port}", lambda port=port: answers(port))

    def install_tools(self):
        plugins = pathlib.Path(__file__).parent.parent.parent / "Plugins" / "Farms"
        self.tools = self.folder / "tools"
        self.tools.mkdir()
        for file in [*plugins.glob("NoVNC/Tools/*"), *plugins.glob("Xrdp/Tools/*")]:
            shutil.copy(file, self.tools)
            (self.tools / file.name).chmod(0o755)
        (self.folder / "apps").mkdir()
        app = self.folder / "apps" / "mail"
        app.write_text(APP.format(tools=self.tools))
        app.chmod(0o755)

    def install_mail(self):
        for name in ("run", "state", "mail"):
            (self.folder / name).mkdir()
        os.chown(self.folder / "mail", self.person.pw_uid, self.person.pw_gid)
        (self.folder / "passwd").write_text(f"{USER}:{{PLAIN}}{MAIL_PASSWORD}::::::\n")
        (self.folder / "dovecot.conf").write_text(DOVECOT.format(
            folder=self.folder, port=self.imap, uid=self.person.pw_uid, gid=self.person.pw_gid))
        home = pathlib.Path(self.person.pw_dir, ".sylpheed-2.0")
        home.mkdir(0o700)
        files = {"accountrc": ACCOUNT.format(user=USER, password=MAIL_PASSWORD, port=self.imap), "sylpheedrc": LOOKS,
                 "folderlist.xml": FOLDERS}
        for name, text in files.items():
            (home / name).write_text(text)
            (home / name).chmod(0o600)
        for path in (home, *home.iterdir()):
            os.chown(path, self.person.pw_uid, self.person.pw_gid)

    async def __aexit__(self, *_):
        for process in self.processes:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            await process.wait()
        await self.remove_user()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.close()

    @staticmethod
    async def remove_user():
        # Every process of a user that exists for this alone, in a group of its own each.
        for _ in range(20):
            found = subprocess.run(["pgrep", "-u", USER], capture_output=True, text=True).stdout.split()
            for number in found:
                try:
                    os.kill(int(number), signal.SIGKILL)
                except ProcessLookupError:
                    pass
            if not found:
                break
            await asyncio.sleep(0.1)
        subprocess.run(["userdel", "--remove", USER], capture_output=True)

    async def run(self, *arguments):
        process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=open(self.folder / f"{pathlib.Path(arguments[0]).name}.errors", "wb"), start_new_session=True)
        self.processes.append(process)

    def configuration(self):
        """The parts of a gateway's configuration."""
        return {
            "farms": {"desk": {
                "kind": "novnc", "socket": f"ws://127.0.0.1:{self.relay}/websockify",
                "session": ["/usr/bin/env", f"FARBELL_APPS={self.folder}/apps", f"FARBELL_STATE={self.folder}/novnc",
                            f"{self.tools}/novnc-session"]}},
            "apps": {"mail": {
                "name": "Mail", "farm": "desk",
                "monitor": {"kind": "imap", "url": f"imap://127.0.0.1:{self.imap}", "startTLS": "none"}}},
        }

    def deliver(self, sender, subject, text):
        """Delivers a mail as a mail server does: by Dovecot's delivery agent."""
        mail = (f"From: {sender}\r\nTo: {USER}@example.org\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
                f"Date: {email.utils.formatdate(localtime=True)}\r\n"
                f"Message-ID: <{secrets.token_hex(8)}@example.org>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
                f"{text}\r\n")
        subprocess.run(
            ["/usr/lib/dovecot/dovecot-lda", "-c", str(self.folder / "dovecot.conf"), "-d", USER],
            input=mail.encode(), check=True)

    async def windows(self):
        """The titles of the windows on the user's screen."""
        state = self.folder / "novnc" / f"{USER}.display"
        if not state.exists():
            return ""
        display = state.read_text().split()[0]
        process = await asyncio.create_subprocess_exec(
            "runuser", "-u", USER, "--", "env", f"DISPLAY=:{display}", "wmctrl", "-l",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        return (await process.communicate())[0].decode(errors="replace")

    async def window(self, text, seconds=30):
        async def look():
            return text in await self.windows()

        try:
            await until(f"a window with “{text}”", look, seconds)
        except Fault:
            raise Fault(f"no window with “{text}” but {await self.windows()!r}") from None

    def count(self, program):
        found = subprocess.run(["pgrep", "-u", USER, "-x", program], capture_output=True, text=True).stdout
        return len(found.split())


async def answers(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
