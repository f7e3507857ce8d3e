"""IMAP and POP3 peer; the user's name chooses how the login ends. Prints its port; ends with its standard input.

After the login it echoes lines: `X text` gives `text`; `BIG n` gives n bytes; `BYE` closes.
"""
import argparse, asyncio, base64, os, ssl, sys, threading

parser = argparse.ArgumentParser()
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--implicit", action="store_true")
parser.add_argument("--protocol", default="imap")
parser.add_argument("--greeting", default="")
parser.add_argument("--no-starttls", action="store_true")
parser.add_argument("--split", action="store_true")
options = parser.parse_args()

context = None
if options.cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.cert, options.key)


class Session:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.secure = options.implicit

    async def say(self, text):
        data = text.encode() if isinstance(text, str) else text
        if options.split:
            for byte in data:
                self.writer.write(bytes([byte]))
                await self.writer.drain()
                await asyncio.sleep(0)
        else:
            self.writer.write(data)
            await self.writer.drain()

    async def line(self):
        data = await self.reader.readline()
        if not data.endswith(b"\n"):
            raise ConnectionError("closed")
        return data.decode().rstrip("\r\n")

    async def start_tls(self):
        await self.writer.start_tls(context) if hasattr(self.writer, "start_tls") else None
        self.secure = True

    def verdict(self, credentials):
        """None when right, else the text of the refusal."""
        fields = credentials.split("\0")
        user = fields[1] if len(fields) == 3 else credentials
        if "auth=Bearer " in credentials:
            return None if "auth=Bearer good\x01" in credentials else "[AUTHENTICATIONFAILED] token"
        if user.startswith("code-"):
            return "[" + user[5:] + "] for secret-pw\x07 refused"
        if user == "plain-no":
            return "Login failed."
        if user == "busy-words":
            return "[ALERT] Too many simultaneous connections."
        return None if fields[-1] == "secret-pw" else "[AUTHENTICATIONFAILED] wrong"

    async def imap(self):
        if options.greeting == "hang":
            await asyncio.sleep(60)
        await self.say(options.greeting + "\r\n" if options.greeting else "* OK ready\r\n")
        if options.greeting.startswith("* BYE"):
            return
        while True:
            tag, _, rest = (await self.line()).partition(" ")
            verb, _, argument = rest.partition(" ")
            if verb == "CAPABILITY":
                starttls = "" if self.secure or options.no_starttls or not context else " STARTTLS"
                await self.say("* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=OAUTHBEARER AUTH=GSSAPI" + starttls + "\r\n")
                await self.say(tag + " OK done\r\n")
            elif verb == "STARTTLS":
                await self.say(tag + " OK begin\r\n")
                await self.start_tls()
            elif verb == "AUTHENTICATE":
                mechanism, _, initial = argument.partition(" ")
                if not initial:
                    await self.say("+ \r\n")
                    initial = await self.line()
                credentials = base64.b64decode(initial).decode()
                if "hang-login" in credentials:
                    await asyncio.sleep(60)
                if "drop-login" in credentials:
                    return
                if "bye-login" in credentials:
                    return await self.say("* BYE overloaded\r\n")
                problem = self.verdict(credentials)
                if problem and mechanism == "OAUTHBEARER":
                    await self.say("+ " + base64.b64encode(b'{"status":"401"}').decode() + "\r\n")
                    await self.line()
                if problem:
                    await self.say(tag + " NO " + problem + "\r\n")
                    continue
                await self.say("* CAPABILITY IMAP4rev1 IDLE\r\n")
                await self.say(tag + " OK logged in\r\n")
                return await self.echo()
            elif verb == "LOGOUT":
                return
            else:
                await self.say(tag + " BAD unknown\r\n")

    async def pop3(self):
        await self.say("+OK ready\r\n")
        while True:
            verb, _, argument = (await self.line()).partition(" ")
            if verb == "CAPA":
                await self.say("+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n")
            elif verb == "AUTH":
                mechanism, _, initial = argument.partition(" ")
                if not initial:
                    await self.say("+ \r\n")
                    initial = await self.line()
                problem = self.verdict(base64.b64decode(initial).decode())
                if problem:
                    await self.say("-ERR " + problem + "\r\n")
                    continue
                await self.say("+OK logged in\r\n")
                return await self.echo()
            else:
                await self.say("-ERR unknown\r\n")

    async def smtp(self):
        await self.say("220 ready\r\n")
        while True:
            verb, _, argument = (await self.line()).partition(" ")
            if verb == "EHLO":
                await self.say("250-peer\r\n250 AUTH PLAIN\r\n")
            elif verb == "AUTH":
                mechanism, _, initial = argument.partition(" ")
                if not initial:
                    await self.say("334 \r\n")
                    initial = await self.line()
                problem = self.verdict(base64.b64decode(initial).decode())
                if problem:
                    await self.say(("454 " if "LATER" in problem else "535 ") + problem + "\r\n")
                    continue
                await self.say("235 logged in\r\n")
                return await self.echo()
            else:
                await self.say("500 unknown\r\n")

    async def echo(self):
        while True:
            line = await self.line()
            if line == "BYE":
                return
            if line.startswith("BIG "):
                await self.say(b"z" * int(line[4:]))
            elif line.startswith("EAT "):
                await self.reader.readexactly(int(line[4:]))
                await self.say("eaten\r\n")
            elif line == "DEAF":
                await asyncio.sleep(60)
            else:
                await self.say(line[2:] + "\r\n")


async def serve(reader, writer):
    session = Session(reader, writer)
    try:
        await {"imap": session.imap, "pop3": session.pop3, "smtp": session.smtp}[options.protocol]()
    except (OSError, ConnectionError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def main():
    server = await asyncio.start_server(
        serve, "127.0.0.1", 0, backlog=4096, limit=1 << 20, ssl=context if options.implicit else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def wait_for_end():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=wait_for_end, daemon=True).start()
asyncio.run(main())
