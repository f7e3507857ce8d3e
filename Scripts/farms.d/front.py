"""front.py CERTIFICATE KEY: the web server of the manual, on 127.0.0.2: `/websockify` goes to port 6080, everything else
to Farbell's 8440; ports 14500 to 14509 go to those of 127.0.0.1. TLS ends here."""
import asyncio
import ssl
import sys

certificate, key = sys.argv[1:]
XPRA = range(14500, 14510)


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass
    finally:
        writer.close()


async def serve(reader, writer, port):
    try:
        head = await reader.readuntil(b"\r\n\r\n") if port == 443 else b""
        if port == 443:
            # A browser opens a connection of its own for a WebSocket.
            port = 6080 if head.split(b" ")[1].startswith(b"/websockify") else 8440
        inner_reader, inner = await asyncio.open_connection("127.0.0.1", port)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()
        return
    inner.write(head)
    await asyncio.gather(pump(reader, inner), pump(inner_reader, writer))


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    for port in (443, *XPRA):
        await asyncio.start_server(
            lambda reader, writer, port=port: serve(reader, writer, port), "127.0.0.2", port, ssl=context)
    await asyncio.Event().wait()


asyncio.run(main())
