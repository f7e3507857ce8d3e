"""A push service for browsers on loopback: takes Web Push over HTTPS (RFC 8030), checks who sends it (RFC 8292), and
hands it on, still encrypted, by the protocol that Firefox speaks to its own push service (autopush: JSON over a
WebSocket), or to a receiver in this program where a browser's own service cannot be replaced."""
import base64
import datetime
import ipaddress
import json
import secrets
import ssl
import time
import uuid

import http_ece
import jwt
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAX_BODY = 4096
DAY_SECONDS = 86_400


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def identity(folder):
    """A certificate for 127.0.0.1 that signs itself, and its key: two files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "push service")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256()))
    files = folder / "push.pem", folder / "push.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files


class Receiver:
    """Stands for a browser: has the keys of a subscription, decrypts, and gives the text to `heard(text)`."""

    def __init__(self, heard):
        self.heard = heard
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.secret = secrets.token_bytes(16)

    def keys(self):
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        return {"p256dh": encode(point), "auth": encode(self.secret)}

    async def send(self, message):
        await self.heard(http_ece.decrypt(
            decode(message["data"]), private_key=self.private, auth_secret=self.secret, version="aes128gcm").decode())


class Wire:
    """A browser that is connected by WebSocket."""

    def __init__(self, socket):
        self.socket = socket

    async def send(self, message):
        await self.socket.send_json(message)


class PushService:
    def __init__(self, folder):
        self.certificate, self.key = identity(folder)
        # By the secret part of an endpoint: `{channel, key, wire}`.
        self.subscriptions = {}
        self.taken, self.refused, self.acks, self.left = [], [], [], []
        self.runner = None

    async def __aenter__(self):
        application = web.Application(client_max_size=MAX_BODY)
        application.router.add_get("/", self.connect)
        application.router.add_post("/push/{secret}", self.take)
        self.runner = web.AppRunner(application, access_log=None)
        await self.runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        ports = []
        for tls in (None, context):
            site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=tls, shutdown_timeout=1)
            await site.start()
            ports.append(site._server.sockets[0].getsockname()[1])
        # The browser comes by the first, Farbell by the second.
        self.url, self.origin = f"ws://127.0.0.1:{ports[0]}/", f"https://127.0.0.1:{ports[1]}"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    def subscribe(self, channel, key, wire):
        """Returns the endpoint of a new subscription that is bound to a public key (base64url)."""
        secret = secrets.token_urlsafe(24)
        self.subscriptions[secret] = {"channel": channel, "key": key, "wire": wire}
        return f"{self.origin}/push/{secret}"

    # The side of the application server

    def judge(self, request, body, subscription):
        """What is wrong with a push: a status and a word, or None."""
        headers = request.headers
        scheme, _, rest = headers.get("Authorization", "").partition(" ")
        fields = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme.lower() != "vapid" or not {"t", "k"} <= fields.keys():
            return 401, "no VAPID"
        # Firefox writes it with padding.
        if decode(fields["k"]) != decode(subscription["key"]):
            return 403, "another key than the subscription's"
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(fields["k"]))
        try:
            claims = jwt.decode(
                fields["t"], public, algorithms=["ES256"], audience=self.origin, options={"require": ["exp", "sub"]})
        except jwt.PyJWTError as error:
            return 403, f"VAPID: {error}"
        if claims["exp"] > time.time() + DAY_SECONDS + 60:
            return 403, "VAPID: good for more than a day"
        if not headers.get("TTL", "").isdigit():
            return 400, "no TTL"
        if headers.get("Content-Encoding") != "aes128gcm" or len(body) < 100:
            return 400, "not encrypted"
        return None

    async def take(self, request):
        subscription = self.subscriptions.get(request.match_info["secret"])
        body = await request.read()
        if not subscription:
            self.refused.append("no such subscription")
            return web.Response(status=410)
        fault = self.judge(request, body, subscription)
        if fault:
            self.refused.append(fault[1])
            return web.Response(status=fault[0], text=fault[1])
        version = uuid.uuid4().hex
        self.taken.append({"version": version, "body": body})
        await subscription["wire"].send({
            "messageType": "notification", "channelID": subscription["channel"], "version": version,
            "data": encode(body), "headers": {"encoding": "aes128gcm"}, "ttl": int(request.headers["TTL"])})
        return web.Response(status=201, headers={"Location": f"{self.origin}/message/{version}", "TTL": "60"})

    # The browser's side

    async def connect(self, request):
        socket = web.WebSocketResponse(protocols=("push-notification",))
        await socket.prepare(request)
        wire = Wire(socket)
        async for message in socket:
            if message.type == WSMsgType.TEXT:
                answer = self.hear(json.loads(message.data), wire)
                if answer is not None:
                    await socket.send_json(answer)
        return socket

    def hear(self, message, wire):
        """The answer to a message of a browser's, or None."""
        kind = message.get("messageType")
        if kind == "hello":
            return {"messageType": "hello", "status": 200, "uaid": message.get("uaid") or uuid.uuid4().hex,
                    "use_webpush": True, "broadcasts": {}}
        if kind == "register":
            endpoint = self.subscribe(message["channelID"], message.get("key"), wire)
            return {"messageType": "register", "status": 200, "channelID": message["channelID"],
                    "pushEndpoint": endpoint}
        if kind == "unregister":
            for secret, subscription in list(self.subscriptions.items()):
                if subscription["channel"] == message["channelID"]:
                    del self.subscriptions[secret]
            self.left.append(message["channelID"])
            return {"messageType": "unregister", "status": 200, "channelID": message["channelID"]}
        if kind == "ack":
            self.acks += message["updates"]
            return None
        # A sign of life.
        return {} if not message or kind == "ping" else None
