"""A place for the files that go with messages: takes PUT over HTTPS from the portal's origin, and gives what it has."""
import pathlib
import re
import ssl
import tempfile

from aiohttp import web

from pushservice import identity

ADDRESS = re.compile(r"/farbell/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/[^/]+")


class FilePlace:
    def __init__(self):
        self.kept, self.refused, self.origin = {}, [], None
        # So many are not taken, as when the disk is full.
        self.failures = 0

    async def __aenter__(self):
        application = web.Application(client_max_size=1 << 20)
        application.router.add_route("*", "/{path:.*}", self.answer)
        self.runner = web.AppRunner(application, access_log=None)
        await self.runner.setup()
        with tempfile.TemporaryDirectory(prefix="farbell-files-") as folder:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*identity(pathlib.Path(folder)))
        site = web.TCPSite(self.runner, "127.0.0.1", 0, ssl_context=context, shutdown_timeout=1)
        await site.start()
        self.url = f"https://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/farbell"
        return self

    async def __aexit__(self, *_):
        await self.runner.cleanup()

    async def answer(self, request):
        if request.method == "GET":
            file = self.kept.get(request.raw_path)
            return web.Response(status=200 if file else 404, body=file and file["body"])
        headers = {
            "Access-Control-Allow-Origin": self.origin, "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "Content-Type",
        }
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=headers)
        fault = self.judge(request)
        if fault:
            self.refused.append(fault)
            return web.Response(status=400, text=fault, headers=headers)
        if self.failures:
            self.failures -= 1
            return web.Response(status=507, headers=headers)
        self.kept[request.raw_path] = {"body": await request.read(), "type": request.headers["Content-Type"]}
        return web.Response(status=201, headers=headers)

    def judge(self, request):
        if request.method != "PUT" or request.headers.get("Origin") != self.origin:
            return f"{request.method} from {request.headers.get('Origin')}"
        if not ADDRESS.fullmatch(request.raw_path) or request.raw_path in self.kept:
            return f"to {request.raw_path}"
        return None
