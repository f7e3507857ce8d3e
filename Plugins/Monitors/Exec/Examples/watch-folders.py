#!/usr/bin/env python3
"""Watches folders for Farbell, by the `stream` contract: one process for all registrations.

Each registration has a folder, named in its "config". A file NNN.json in it is a piece of news: a JSON object with
"title", "sender" and so on. Files are numbered upwards. Renamed to NNN.json.seen it was read elsewhere; removed, it is
gone. A folder may want a password: the one in its file ".password". A file ".busy" holds the seconds that the folder
wants to be left alone.

Only Python's standard library is needed. Lines to Farbell go to standard output, complaints to standard error.
"""
import json
import os
import select
import sys
import time

BATCH = 500  # events at once
FOLLOWED = 1000  # files whose fate is followed


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


class Registration:
    """One folder. State moves only when Farbell has acknowledged the batch that says so."""

    def __init__(self, told):
        self.id = told["id"]
        self.folder = told["config"]["folder"]
        self.wanted = set(told["secrets"])  # secrets that have not come yet
        self.secrets = {}
        self.state = json.loads(told["cursor"]) if told["cursor"] else None
        self.unacknowledged = None  # (id of the batch, state after it)
        self.is_open = False  # the password was right
        self.has_failed = False
        self.said_watching = False

    def fail(self, kind, text, **more):
        self.has_failed = True  # Farbell comes again with a new "add"
        say({"error": {"reg": self.id, "kind": kind, "text": text, **more}})

    def look(self):
        if self.has_failed or self.wanted or self.unacknowledged:
            return
        try:
            if not self.is_open and not self.log_in():
                return
            self.report(sorted(os.listdir(self.folder)))
        except OSError as error:
            self.fail("network", error.strerror)

    def log_in(self):
        with open(os.path.join(self.folder, ".logins"), "a") as logins:
            logins.write("one\n")
        try:
            with open(os.path.join(self.folder, ".password")) as file:
                password = file.read().strip()
        except FileNotFoundError:
            password = None
        if password is not None and self.secrets.get("password") != password:
            self.fail("auth_failed", "the folder has another password")
        else:
            self.is_open = True
        return self.is_open

    def report(self, names):
        if ".busy" in names:
            with open(os.path.join(self.folder, ".busy")) as file:
                self.fail("throttled", "the folder wants a pause", retryAfter=float(file.read()))
            return
        files = [name for name in names if name.endswith(".json") and not name.startswith(".")]
        if self.state is None:  # the first time: what is there is old, and says nothing
            self.send([], {"last": files[-1] if files else "", "open": []})
            return
        present, read = set(files), {name[:-5] for name in names if name.endswith(".json.seen")}
        events, still_open = [], []
        for name in self.state["open"]:
            if name in present or len(events) >= BATCH:
                still_open.append(name)
            else:
                events.append({"seen" if name in read else "gone": name})
        last = self.state["last"]
        for name in files:
            if name > last and len(events) < BATCH:
                with open(os.path.join(self.folder, name)) as file:
                    events.append({"new": {**json.load(file), "key": name}})
                still_open.append(name)
                last = name
        if events:
            self.send(events, {"last": last, "open": still_open[-FOLLOWED:]})
        elif not self.said_watching:
            self.said_watching = True
            say({"watching": {"reg": self.id}})

    def send(self, events, state):
        batch = "%s-%d" % (self.id, time.monotonic_ns())
        self.unacknowledged = (batch, state)
        say({"batch": {"id": batch, "reg": self.id, "events": events, "cursor": json.dumps(state)}})

    def acknowledge(self, batch):
        if self.unacknowledged and self.unacknowledged[0] == batch:
            self.state = self.unacknowledged[1]
            self.unacknowledged = None
            self.look()


def main():
    interval = float(os.environ.get("INTERVAL", "5"))
    registrations = {}
    beat = time.monotonic()
    buffered = b""
    say({"ready": {"capabilities": ["seen", "gone"]}})
    while True:
        if select.select([0], [], [], interval)[0]:
            chunk = os.read(0, 65536)
            if not chunk:
                return  # Farbell has gone
            *lines, buffered = (buffered + chunk).split(b"\n")
            for line in lines:
                message = json.loads(line)
                for told in message.get("registrations", []) + ([message["add"]] if "add" in message else []):
                    registrations[told["id"]] = Registration(told)
                if "secret" in message:
                    secret = message["secret"]
                    registration = registrations.get(secret["id"])
                    if registration:
                        registration.secrets[secret["name"]] = secret["value"]
                        registration.wanted.discard(secret["name"])
                if "remove" in message:
                    registrations.pop(message["remove"]["id"], None)
                if "ack" in message:
                    for registration in list(registrations.values()):
                        registration.acknowledge(message["ack"]["batch"])
                if "shutdown" in message:
                    return
        for registration in list(registrations.values()):
            registration.look()
        if time.monotonic() - beat >= 15:
            beat = time.monotonic()
            say({"heartbeat": 1})


if __name__ == "__main__":
    main()
