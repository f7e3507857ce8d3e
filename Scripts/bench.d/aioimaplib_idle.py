"""Waits for mail in many mailboxes from one process: PORT CAFILE COUNT LINES.

Writes a mailbox's user to LINES each time the server announces a message.
"""
import asyncio
import os
import ssl
import sys

from aioimaplib import aioimaplib


async def watch(port, context, user, lines, turn):
    client = aioimaplib.IMAP4_SSL(host="127.0.0.1", port=port, ssl_context=context, timeout=60)
    async with turn:
        await client.wait_hello_from_server()
        await client.login(user, "secret")
        await client.select("INBOX")
        await client.idle_start(timeout=1500)
    while True:
        pushed = await client.wait_server_push(timeout=1500)
        if any(b"EXISTS" in line for line in pushed if isinstance(line, (bytes, bytearray))):
            os.write(lines, f"{user}\n".encode())


async def main():
    port, ca_file, count, path = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    context = ssl.create_default_context(cafile=ca_file)
    lines = os.open(path, os.O_WRONLY)
    # Not all handshakes at once.
    turn = asyncio.Semaphore(20)
    await asyncio.gather(*(watch(port, context, f"u{number:05}", lines, turn) for number in range(count)))


asyncio.run(main())
