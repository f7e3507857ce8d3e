#!/usr/bin/env python3
"""The push libraries that `farbell-bench push` compares with: push_peer.py NAME JSON.

Sends so many pushes to the fake services and prints one line, RESULT and JSON. With "sent" it writes when each was
handed to the library: lines of a number and nanoseconds of the monotonic clock.
"""

import asyncio
import json
import os
import resource
import ssl
import sys
import time

TITLE = "New message from bench"
WORDS = "The train leaves at nine. "


def text(number):
    return f"bench-{number}"


def token(number):
    return f"{number:064x}"


def result(count, failed, begin, **more):
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        "RESULT "
        + json.dumps(
            {
                "count": count,
                "failed": failed,
                "begin": begin,
                "cpuSeconds": usage.ru_utime + usage.ru_stime - START_CPU,
                "kib": usage.ru_maxrss,
                **more,
            }
        ),
        flush=True,
    )


def mark_cpu():
    global START_CPU
    usage = resource.getrusage(resource.RUSAGE_SELF)
    START_CPU = usage.ru_utime + usage.ru_stime


START_CPU = 0.0


def write_sent(path, sent):
    if path:
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{number} {at}\n" for number, at in enumerate(sent))


# aioapns


def apns_client(config, url):
    from aioapns import APNs
    from aioapns.connection import APNsProductionClientProtocol

    context = ssl.create_default_context(cafile=config["ca"])
    context.set_alpn_protocols(["h2"])
    with open(config["key"], encoding="ascii") as file:
        key = file.read()
    client = APNs(
        key=key, key_id=config["keyId"], team_id=config["teamId"], topic=config["topic"], ssl_context=context
    )

    # The library knows Apple's host and port only.
    class Protocol(APNsProductionClientProtocol):
        APNS_SERVER = "localhost"
        APNS_PORT = int(url.rsplit(":", 1)[1])

    client.pool.protocol_class = Protocol
    return client


def apns_request(number, devices):
    from aioapns import NotificationRequest, PushType

    return NotificationRequest(
        device_token=token(number % devices),
        message={
            "aps": {
                "alert": {"title": TITLE, "body": text(number)},
                "badge": 1,
                "sound": "default",
                "interruption-level": "active",
                "thread-id": "bench",
            },
            "farbell": {
                "notification": "00000000-0000-4000-8000-000000000000",
                "app": "bench",
                "collapse": f"f-{number}",
                "tap": "0" * 32,
            },
        },
        time_to_live=604800,
        priority=10,
        collapse_key=f"f-{number}",
        push_type=PushType.ALERT,
    )


async def aioapns(config):
    count, window, devices = config["count"], config["window"], config["devices"]
    client = apns_client(config, config["url"])
    # One stream only is allowed before the first success.
    failed = 0 if (await client.send_notification(apns_request(0, devices))).is_successful else 1
    background = []
    if config.get("deadUrl"):
        dead = apns_client(config, config["deadUrl"])
        background = [
            asyncio.ensure_future(dead.send_notification(apns_request(number, devices))) for number in range(window)
        ]
        await asyncio.sleep(0.5)
    sent = [0] * count
    mark_cpu()
    begin = time.monotonic_ns()

    async def send(number):
        nonlocal failed
        sent[number] = time.monotonic_ns()
        answer = await client.send_notification(apns_request(number, devices))
        if not answer.is_successful:
            failed += 1

    if config.get("rate"):
        tasks = []
        for number in range(1, count):
            wait = begin + number * 1_000_000_000 // config["rate"] - time.monotonic_ns()
            if wait > 0:
                await asyncio.sleep(wait / 1e9)
            tasks.append(asyncio.ensure_future(send(number)))
        await asyncio.gather(*tasks)
    else:
        numbers = iter(range(1, count))

        async def work():
            for number in numbers:
                await send(number)

        await asyncio.gather(*(work() for _ in range(window)))
    write_sent(config.get("sent"), sent)
    result(count - 1, failed, begin)
    for task in background:
        task.cancel()


# pywebpush


def pywebpush(config):
    import requests
    from py_vapid import Vapid02
    from pywebpush import webpush

    with open(config["subscriptions"], encoding="ascii") as file:
        subscriptions = [line.split() for line in file]
    signer = Vapid02()
    signer.generate_keys()
    session = requests.Session()
    # Proxies and roots of the environment would stand before ours.
    session.trust_env = False
    session.verify = config["ca"]
    count, failed = config["count"], 0

    def send(number):
        endpoint, key, auth = subscriptions[number % len(subscriptions)]
        body = {
            "notification": "00000000-0000-4000-8000-000000000000",
            "title": TITLE,
            "body": text(number),
            "app": "bench",
            "collapse": f"f-{number}",
            "tap": "0" * 32,
            "badge": 1,
        }
        answer = webpush(
            {"endpoint": endpoint, "keys": {"p256dh": key, "auth": auth}},
            json.dumps(body),
            vapid_private_key=signer,
            vapid_claims={"sub": "mailto:bench@example.org"},
            ttl=604800,
            timeout=30,
            requests_session=session,
            headers={"Urgency": "normal"},
        )
        return answer.status_code == 201

    send(0)
    sent = [0] * count
    mark_cpu()
    begin = time.monotonic_ns()
    for number in range(1, count):
        sent[number] = time.monotonic_ns()
        if not send(number):
            failed += 1
    write_sent(config.get("sent"), sent)
    result(count - 1, failed, begin)


# apprise


def apprise(config):
    from apprise import Apprise

    count, fan = config["count"], config["fan"]
    host = config["url"].split("://", 1)[1]
    service = Apprise()
    for number in range(fan):
        service.add(f"json://{host}/d/{number}")
    service.notify(title=TITLE, body=text(0))
    failed = 0
    mark_cpu()
    begin = time.monotonic_ns()
    rounds = max(1, count // fan)
    for number in range(1, rounds + 1):
        if not service.notify(title=TITLE, body=text(number) + " " + WORDS):
            failed += 1
    result(rounds * fan, failed, begin, warm=fan)


def main():
    # The fakes are on this machine.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    name, config = sys.argv[1], json.loads(sys.argv[2])
    if name == "aioapns":
        asyncio.run(aioapns(config))
    elif name == "pywebpush":
        pywebpush(config)
    elif name == "apprise":
        apprise(config)
    else:
        sys.exit(f"what is {name}?")


main()
