"""A real mail server for the tests of push kind "smtp": aiosmtpd, with STARTTLS and a login.

    smtp_server.py CERTIFICATE KEY USER PASSWORD

Prints its port, then for each message one JSON line with what Python's `email` library reads in it. Receivers
whose name begins with `nobody` are refused. Ends with its standard input.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key, user, password = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)


def authenticate(server, session, envelope, mechanism, data):
    good = data.login == user.encode() and data.password == password.encode()
    return AuthResult(success=good, handled=False)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody"):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 fine"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        fields = ["Subject", "From", "To", "Date", "Message-ID", "References", "In-Reply-To", "Auto-Submitted"]
        report = {name.lower(): str(message[name]) for name in fields if message[name] is not None}
        report |= {
            "names": message.keys(),
            "type": message.get_content_type(),
            "charset": message.get_content_charset(),
            "text": message.get_content().replace("\r\n", "\n"),
            "defects": [type(defect).__name__ for part in message.walk() for defect in part.defects]
            + [type(defect).__name__ for value in message.values() for defect in value.defects],
            "timestamp": int(message["Date"].datetime.timestamp()),
            "sender": envelope.mail_from,
            "receivers": envelope.rcpt_tos,
            "encrypted": session.ssl is not None,
            "authenticated": session.authenticated,
        }
        print(json.dumps(report), flush=True)
        return "250 2.0.0 taken"


def session():
    return SMTP(
        Handler(),
        hostname="oracle.example",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=authenticate,
    )


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(session, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
