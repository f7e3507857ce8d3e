"""A gateway of its own for the portal's walk: a folder, a port, a mailbox."""
import asyncio
import base64
import itertools
import json
import pathlib
import shutil
import signal
import socket
import tempfile

import aiohttp

from browser import Fault, until

ACCOUNT, OTHER, PASSWORD = "alice", "bob", "correct horse 12"
ATTACHMENT_BYTES = 100_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway:
    account = ACCOUNT

    def __init__(self, program, port=None, files=None):
        self.program = program
        # Where the portal puts files that go with messages.
        self.files = files
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="farbell-portal-"))
        self.port = port or free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        if files:
            files.origin = self.origin
        self.config = self.folder / "farbell.json"
        self.numbers = itertools.count(1)

    def configuration(self):
        return {
            "listen": {"address": "127.0.0.1", "port": self.port}, "publicURL": self.origin,
            "data": {"sqlite": {"path": "farbell.sqlite"}}, "keyFile": "farbell.key",
            "admin": {"tokenFile": "admin.token"}, "log": {"format": "json", "level": "info", "statsSeconds": 0},
            "farms": {
                "web": {"kind": "link", "url": self.origin + "/healthz?app={app}&ticket={launch}"},
                "rds": {"kind": "rdp", "address": "rds.example.org"},
            },
            "apps": {
                "mail": {"name": "Mail", "farm": "web", "monitor": {"kind": "maildir", "path": "mail/{username}"}},
                "outlook": {
                    "name": "Outlook", "farm": "rds", "launch": {"program": "||OUTLOOK", "name": "Outlook"},
                    # Nobody listens there: the monitor tries again and says so.
                    "monitor": {"kind": "imap", "url": "imap://127.0.0.1:9", "startTLS": "none"},
                },
                "wiki": {"name": "Team wiki", "farm": "web"},
            },
            "push": {
                "browser": {"kind": "webpush", "subject": "mailto:farm@example.org", "keyFile": "webpush.pem"},
            },
            "people": {"contacts": "consent"},
            "portal": {"filesURL": self.files.url} if self.files else {},
            "limits": {"attachmentBytes": ATTACHMENT_BYTES},
            "notify": {"groupSeconds": 0, "ackSeconds": 5, "devicePerMinute": 0},
        }

    async def __aenter__(self):
        self.config.write_text(json.dumps(self.configuration()))
        for part in ("tmp", "new", "cur"):
            (self.folder / "mail" / self.account / part).mkdir(parents=True)
        for account in (self.account, OTHER):
            adding = await asyncio.create_subprocess_exec(
                self.program, "account", "add", account, "--config", str(self.config), stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
            output, _ = await adding.communicate(f"{PASSWORD}\n".encode())
            if adding.returncode:
                raise Fault(f"no account: {output.decode()}")
        self.log = open(self.folder / "log", "wb")
        self.process = await asyncio.create_subprocess_exec(
            self.program, "serve", "--config", str(self.config), stdin=asyncio.subprocess.DEVNULL, stdout=self.log,
            stderr=self.log)
        self.http = aiohttp.ClientSession()

        async def is_ready():
            if self.process.returncode is not None:
                raise Fault(f"the gateway ended: {self.text()[-2000:]}")
            try:
                async with self.http.get(self.origin + "/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientError:
                return False

        await until("the gateway", is_ready, 30)
        return self

    async def __aexit__(self, *_):
        await self.http.close()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), 20)
            except asyncio.TimeoutError:
                self.process.kill()
                await self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    async def device(self, account):
        """A device of an account's, as a function that makes its calls."""
        login = aiohttp.BasicAuth(account, PASSWORD)
        body = {"installation": f"{account}-desk", "name": "desk", "platform": "linux"}
        async with self.http.post(self.origin + "/v1/devices", json=body, auth=login) as answer:
            headers = {"Authorization": f"Bearer {(await answer.json())['token']}"}

        async def call(method, path, body=None):
            async with self.http.request(method, self.origin + path, json=body, headers=headers) as answer:
                text = await answer.text()
                if answer.status >= 300:
                    raise Fault(f"{method} {path}: {answer.status} {text}")
                return json.loads(text) if text else None

        return call

    def text(self):
        return (self.folder / "log").read_text(errors="replace")

    def events(self, name):
        lines = [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def deliver(self, sender, subject, text="Hello."):
        """Delivers a mail as a mail server does: written in `tmp`, then renamed into `new`."""
        name = f"{next(self.numbers)}.portal"
        box = self.folder / "mail" / self.account
        encoded = base64.b64encode(subject.encode()).decode()
        (box / "tmp" / name).write_text(
            f"From: {sender}\r\nTo: alice@example.org\r\nSubject: =?UTF-8?B?{encoded}?=\r\n"
            f"Message-ID: <{name}@example.org>\r\n\r\n{text}\r\n")
        (box / "tmp" / name).rename(box / "new" / name)
