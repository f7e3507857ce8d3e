#!/usr/bin/env python3
"""An approval system: asks people, hears their answers, confirms. Python's standard library only.

    FARBELL=https://farbell.example.org FARBELL_KEY_FILE=oa.key CALLBACK_SECRET=whsec_... ./approvals.py 9000

People ask for an approval:   curl -d '{"who":"alice","what":"3 days of leave for Bob"}' http://127.0.0.1:9000/ask
See what became of them:      curl http://127.0.0.1:9000/cases
Farbell calls:                POST http://127.0.0.1:9000/farbell   (apps.oa.callback.url)

A question goes out with POST /v1/messages; the answer is whatever the person replies, typed into the notification
or in any client, and comes back as a callback with the question's correlation.
"""
import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FARBELL = os.environ["FARBELL"]
KEY = open(os.environ["FARBELL_KEY_FILE"]).read().strip()
SECRET = base64.b64decode(os.environ["CALLBACK_SECRET"].removeprefix("whsec_"))
TOLERANCE = 300  # seconds a call may be old: a recorded one cannot be played back later

lock = threading.Lock()
cases = {}  # correlation -> {"who", "what", "state", "receipts"}
seen = set()  # ids of calls: a call may come twice, and counts once


def send(to, body, correlation, **more):
    """Sends one message; Farbell has it on disk when this returns."""
    message = {"to": to, "body": body, "correlation": correlation, "receipts": "final", **more}
    request = urllib.request.Request(
        f"{FARBELL}/v1/messages", json.dumps(message).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["messages"][0]["id"]


def genuine(headers, body):
    """Whether Farbell made this call, lately (Standard Webhooks)."""
    stamp = headers.get("webhook-timestamp", "")
    if not stamp.isdigit() or abs(time.time() - int(stamp)) > TOLERANCE:
        return False
    signed = f"{headers.get('webhook-id', '')}.{stamp}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.new(SECRET, signed, hashlib.sha256).digest()).decode()
    return any(hmac.compare_digest(expected, given) for given in headers.get("webhook-signature", "").split())


def answered(call):
    """A person has answered a question."""
    case = cases.get(call.get("correlation"))
    if case is None or call["sender"] != f"account/{case['who']}":
        return
    words = call["body"].strip().lower()
    case["state"] = "approved" if words in ("yes", "ok", "approved", "是") else "refused"
    send({"account": case["who"]}, f"Noted: {case['what']} is {case['state']}.", call["correlation"] + ".done",
         priority="low")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/ask":
            wish = json.loads(body)
            correlation = f"case-{len(cases) + 1}"
            with lock:
                cases[correlation] = {**wish, "state": "open", "receipts": []}
            send({"account": wish["who"]}, f"May I approve {wish['what']}? Answer yes or no.", correlation,
                 subject="Approval", id=correlation)
            return self.answer(202, {"case": correlation})
        if self.path != "/farbell" or not genuine(self.headers, body):
            return self.answer(401, {})
        call = json.loads(body)
        if call["type"] == "challenge":
            return self.answer(200, {"challenge": call["challenge"]})
        with lock:
            if self.headers["webhook-id"] not in seen:
                if call["type"] == "message":
                    answered(call)
                elif call["type"] == "receipt" and call.get("correlation") in cases:
                    cases[call["correlation"]]["receipts"].append(call["state"])
                seen.add(self.headers["webhook-id"])
        self.answer(200, {})

    def do_GET(self):
        self.answer(200, cases)

    def answer(self, status, document):
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
