#!/usr/bin/env python3
"""Example of a program for Farbell's push kind "exec": one JSON line in, one JSON line out.

It answers every request at once, several at a time if they come so. Put the call of your service where
`deliver` stands. Reading ends when Farbell stops: finish what you have and leave.
"""
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

writing = Lock()


def deliver(request):
    """Returns the answer without its id; see README.md for all outcomes."""
    address = request["to"].get("token", "")
    if address == "unknown":
        return {"outcome": "gone", "reason": "no_such_pager"}
    if address == "busy":
        return {"outcome": "retry", "afterSeconds": 30, "blame": "device", "reason": "busy"}
    # Here the service would be called, with a time-out below `timeoutSeconds`. `request["push"]` is the same on
    # every attempt at the same push: give it to the service if it can tell repeats by it.
    return {"outcome": "delivered", "status": 200}


def serve(line):
    request = json.loads(line)
    try:
        answer = deliver(request)
    except Exception as error:
        print(f"push failed: {type(error).__name__}", file=sys.stderr, flush=True)
        answer = {"outcome": "retry", "reason": "exception"}
    with writing:
        print(json.dumps({"id": request["id"], **answer}), flush=True)


with ThreadPoolExecutor(max_workers=8) as workers:
    for line in sys.stdin:
        workers.submit(serve, line)
